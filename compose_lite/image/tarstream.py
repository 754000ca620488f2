"""tar(5) without files: headers to entries, entries to headers, one pass, no seeking.

Reads v7, ustar, GNU (long names, old sparse, base-256 numbers) and PAX (path, size, times, xattrs, sparse 0.x
and 1.0). Writes ustar with PAX records where ustar is too narrow; equal entries give equal bytes, so a
layer can be made again from its folder. Knows nothing of layers or whiteouts.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from compose_lite.errors import ImageError

BLOCK = 512
FILE, LINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = "file", "link", "symlink", "char", "block", "directory", "fifo"
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"S": FILE,
    b"1": LINK,
    b"2": SYMLINK,
    b"3": CHAR,
    b"4": BLOCKDEV,
    b"5": DIRECTORY,
    b"6": FIFO,
}
_FLAGS = {FILE: b"0", LINK: b"1", SYMLINK: b"2", CHAR: b"3", BLOCKDEV: b"4", DIRECTORY: b"5", FIFO: b"6"}
_XATTR = "SCHILY.xattr."
_MAX_META = 16 * 1024 * 1024  # a PAX header or long name beyond this is an attack, not a name


@dataclass(slots=True)
class Entry:
    """One member. size counts the bytes in the archive; sparse lists (offset, length) of what they are, within real_size."""

    name: str
    kind: str = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: str = ""
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: list[tuple[int, int]] | None = None
    real_size: int = 0


class Body:
    """The content of one entry: read at most what belongs to it."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self.left = size
        self._padding = -size % BLOCK

    def read(self, count: int = -1) -> bytes:
        wanted = self.left if count < 0 else min(count, self.left)
        if not wanted:
            return b""
        piece = self._stream.read(wanted)
        if not piece:
            raise ImageError("archive-short", "the archive ends within a file")
        self.left -= len(piece)
        return piece

    def all(self) -> bytes:
        pieces = []
        while self.left:
            pieces.append(self.read(self.left))
        return b"".join(pieces)

    def skip(self) -> None:
        rest = self.left + self._padding
        while rest:
            piece = self._stream.read(min(rest, 1 << 20))
            if not piece:
                break  # some writers leave out the last padding
            rest -= len(piece)
        self.left = self._padding = 0


def entries(stream: IO[bytes]) -> Iterator[tuple[Entry, Body]]:
    """The members in their order. A body is valid until the next step of the iterator."""
    shared: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    name = link = ""
    while True:
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            if block:
                raise ImageError("archive-short", "the archive ends within a header")
            return
        if block == bytes(BLOCK):
            return  # one empty block ends it well enough; GNU writes two, some one
        if not _sum_fits(block):
            raise ImageError("archive-broken", "this is no tar archive, or a damaged one", remedy="Fetch or make it again.")
        flag = block[156:157]
        if flag in b"LKxg" and flag:
            body = _meta(stream, block)
            if flag == b"L":
                name = _text(body)
            elif flag == b"K":
                link = _text(body)
            elif flag == b"x":
                own = _records(body)
            else:
                shared |= _records(body)
            continue
        entry = _entry(block, {**shared, **own} if own or shared else {}, name, link)
        if flag == b"S":
            _old_sparse(stream, block, entry)
        body_of = Body(stream, entry.size)
        if entry.sparse is None and own:
            _pax_sparse(own, entry, body_of)
        own, name, link = {}, "", ""
        yield entry, body_of
        body_of.skip()


def is_header(block: bytes) -> bool:
    """Whether an archive can begin with this block."""
    return len(block) == BLOCK and block != bytes(BLOCK) and _sum_fits(block)


def _sum_fits(block: bytes) -> bool:
    wanted = _number(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 32
    if unsigned == wanted:
        return True
    return unsigned - 256 * sum(1 for byte in block[:148] + block[156:] if byte > 127) == wanted  # signed sums of old writers


def _number(raw: bytes) -> int:
    if raw[0] & 0x80:  # base 256
        value = int.from_bytes(raw, "big", signed=False) & ((1 << (8 * len(raw) - 1)) - 1)
        return value - (1 << (8 * len(raw) - 1)) if raw[0] & 0x40 else value
    digits = raw.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise ImageError("archive-broken", f"a header of the archive has {raw!r} where a number belongs") from None


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _meta(stream: IO[bytes], block: bytes) -> bytes:
    size = _number(block[124:136])
    if not 0 <= size <= _MAX_META:
        raise ImageError("archive-broken", "a header of the archive is too large")
    body = Body(stream, size)
    content = body.all()
    body.skip()
    return content


def _records(body: bytes) -> dict[str, bytes]:
    found, at = {}, 0
    try:
        while at < len(body):
            blank = body.index(b" ", at)
            length = int(body[at:blank])
            if length < 4:
                break
            key, _, value = body[blank + 1 : at + length - 1].partition(b"=")
            found[key.decode("utf-8", "surrogateescape")] = value
            at += length
    except ValueError:
        raise ImageError("archive-broken", "an extended header of the archive cannot be read") from None
    return found


def _entry(block: bytes, pax: Mapping[str, bytes], name: str, link: str) -> Entry:
    flag = block[156:157]
    entry = Entry(
        name or _text(block[0:100]),
        _KINDS.get(flag, FILE),
        _number(block[100:108]) & 0o7777,
        _number(block[108:116]),
        _number(block[116:124]),
        _number(block[124:136]),
        _number(block[136:148]) * 10**9,
        link or _text(block[157:257]),
    )
    if block[257:262] == b"ustar":
        if block[262:264] != b" \0" and not name and (prefix := _text(block[345:500])):  # GNU keeps other things there
            entry.name = f"{prefix}/{entry.name}"
        if entry.kind in (CHAR, BLOCKDEV):
            entry.major, entry.minor = _number(block[329:337]), _number(block[337:345])
    if pax:
        _apply(entry, pax)
    if entry.kind == FILE and entry.name.endswith("/") and flag in (b"0", b"\0"):
        entry.kind = DIRECTORY  # v7's way to say so
    if entry.kind != FILE:
        entry.size = 0
    if entry.size < 0:
        raise ImageError("archive-broken", f"{entry.name!r} has a negative size in the archive")
    entry.real_size = entry.size
    return entry


def _apply(entry: Entry, pax: Mapping[str, bytes]) -> None:
    for key, value in pax.items():
        if key == "path":
            entry.name = value.decode("utf-8", "surrogateescape")
        elif key == "linkpath":
            entry.link = value.decode("utf-8", "surrogateescape")
        elif key == "size":
            entry.size = int(value)
        elif key == "uid":
            entry.uid = int(value)
        elif key == "gid":
            entry.gid = int(value)
        elif key == "mtime":
            entry.mtime_ns = _nanoseconds(value.decode("ascii", "replace"))
        elif key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :]] = value


def _nanoseconds(text: str) -> int:
    whole, _, part = text.partition(".")
    try:
        ns = int(part[:9].ljust(9, "0")) if part else 0
        return int(whole or 0) * 10**9 + (-ns if whole.startswith("-") else ns)
    except ValueError:
        return 0


def _old_sparse(stream: IO[bytes], block: bytes, entry: Entry) -> None:
    found: list[tuple[int, int]] = []

    def take(raw: bytes, count: int) -> None:
        for i in range(count):
            piece = raw[i * 24 : i * 24 + 24]
            if piece[0]:
                found.append((_number(piece[:12]), _number(piece[12:])))

    take(block[386:482], 4)
    more, entry.real_size = block[482], _number(block[483:495])
    while more:
        extension = stream.read(BLOCK)
        if len(extension) < BLOCK:
            raise ImageError("archive-short", "the archive ends within a header")
        take(extension, 21)
        more = extension[504]
    entry.sparse = found


def _pax_sparse(pax: Mapping[str, bytes], entry: Entry, body: Body) -> None:
    if "GNU.sparse.name" in pax:
        entry.name = pax["GNU.sparse.name"].decode("utf-8", "surrogateescape")
    if pax.get("GNU.sparse.major") == b"1":
        entry.real_size = int(pax.get("GNU.sparse.realsize", b"0"))
        entry.sparse = _leading_map(body)
        entry.size = body.left
    elif "GNU.sparse.map" in pax:
        numbers = [int(n) for n in pax["GNU.sparse.map"].split(b",") if n]
        entry.sparse = list(zip(numbers[::2], numbers[1::2], strict=False))
        entry.real_size = int(pax.get("GNU.sparse.size", b"0"))


def _leading_map(body: Body) -> list[tuple[int, int]]:
    """Sparse 1.0: the map stands before the data, decimal lines, padded to a block."""
    raw = b""
    numbers: list[int] = []
    while True:
        raw += body.read(BLOCK)
        lines = raw.split(b"\n")
        numbers = [int(line) for line in lines[:-1] if line.isdigit()]
        if numbers and len(numbers) > 2 * numbers[0]:
            pairs = numbers[1 : 1 + 2 * numbers[0]]
            return list(zip(pairs[::2], pairs[1::2], strict=True))
        if len(raw) > _MAX_META:
            raise ImageError("archive-broken", "a sparse file's map in the archive is too large")


# Writing


def header(entry: Entry) -> bytes:
    """The header blocks of an entry whose content is `entry.size` bytes."""
    name = entry.name.encode("utf-8", "surrogateescape")
    link = entry.link.encode("utf-8", "surrogateescape")
    pax: dict[str, bytes] = {}
    if len(name) > 100 or not name.isascii():
        pax["path"] = name
    if len(link) > 100 or not link.isascii():
        pax["linkpath"] = link
    if entry.uid > 0o7777777:
        pax["uid"] = str(entry.uid).encode()
    if entry.gid > 0o7777777:
        pax["gid"] = str(entry.gid).encode()
    if entry.size > 0o77777777777:
        pax["size"] = str(entry.size).encode()
    seconds = entry.mtime_ns // 10**9
    if not 0 <= seconds <= 0o77777777777:
        pax["mtime"] = str(seconds).encode()
    for key, value in sorted(entry.xattrs.items()):
        pax[_XATTR + key] = value
    block = _ustar(name, entry, link, seconds)
    if not pax:
        return block
    body = b"".join(_record(key.encode("utf-8", "surrogateescape"), value) for key, value in pax.items())
    extended = _ustar(b"PaxHeaders.0/" + name[:80], Entry("", "", 0o644, size=len(body)), b"", 0, b"x")
    return extended + body + bytes(-len(body) % BLOCK) + block


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


END = bytes(2 * BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3  # blank, equals sign, newline
    length = rest + len(str(rest))
    if rest + len(str(length)) != length:
        length = rest + len(str(length))
    return str(length).encode() + b" " + key + b"=" + value + b"\n"


def _octal(value: int, width: int) -> bytes:
    digits = width - 1
    return f"{value if 0 <= value < 8**digits else 0:0{digits}o}".encode() + b"\0"


def _ustar(name: bytes, entry: Entry, link: bytes, seconds: int, flag: bytes = b"") -> bytes:
    block = bytearray(
        name[:100].ljust(100, b"\0")
        + _octal(entry.mode, 8)
        + _octal(entry.uid, 8)
        + _octal(entry.gid, 8)
        + _octal(entry.size, 12)
        + _octal(seconds, 12)
        + b"        "
        + (flag or _FLAGS[entry.kind])
        + link[:100].ljust(100, b"\0")
        + b"ustar\00000"
        + bytes(64)
        + _octal(entry.major, 8)
        + _octal(entry.minor, 8)
        + bytes(167)
    )
    block[148:156] = f"{sum(block):06o}".encode() + b"\0 "
    return bytes(block)


class Slice(io.RawIOBase):
    """A part of a file that can seek, as a stream of its own (a layer inside of an archive)."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._at, self._end = file, start, start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._end - self._at)
        if wanted <= 0:
            return 0
        self._file.seek(self._at)
        piece = self._file.read(wanted)
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
