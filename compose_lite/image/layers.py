"""Layers: a tar stream becomes a folder that overlayfs can stack, and such a folder becomes a tar again.

Whiteouts of the OCI image specification (`.wh.x`, `.wh..wh..opq`) become those of overlayfs (a character
device 0:0, an `overlay.opaque` attribute) and back. Nothing in a stream can name, link to or write
anything outside of the target: every path is walked from the target's descriptor, symbolic links are resolved within it.
The target must be private to the caller while it is filled, which is what makes that walk free of races.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from compose_lite.errors import ImageError
from compose_lite.image import tarstream
from compose_lite.image.tarstream import BLOCKDEV, CHAR, DIRECTORY, FIFO, FILE, LINK, SYMLINK, Body, Entry

_WHITEOUT, _OPAQUE, _META = ".wh.", ".wh..wh..opq", ".wh..wh."
_CHUNK = 1 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HIDDEN_XATTRS = ("trusted.overlay.", "user.overlay.", "system.posix_acl_", "security.selinux")


@functools.cache
def in_user_namespace() -> bool:
    """Whether ids are mapped: then overlayfs keeps its marks in `user.overlay.*` (mount option userxattr)."""
    try:
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def opaque_attribute() -> str:
    return "user.overlay.opaque" if in_user_namespace() or os.geteuid() else "trusted.overlay.opaque"


@dataclass(slots=True)
class Unpacked:
    """What came out: bytes of file content, and what this user could not keep (each kind of it once, with a count)."""

    size: int = 0
    notices: dict[str, int] = field(default_factory=dict)

    def note(self, text: str) -> None:
        self.notices[text] = self.notices.get(text, 0) + 1


def unpack(
    stream: IO[bytes],
    target: Path,
    *,
    progress: Callable[[int], None] | None = None,
    owner: tuple[int, int] | None = None,
    whiteouts: bool = True,
) -> Unpacked:
    """Fills the folder (which exists, is empty or holds what is to be added to) from an uncompressed tar stream.

    owner: uid and gid that everything gets. whiteouts: False for an archive that is no layer, where `.wh.x` is a file like any other.
    """
    with _Extraction(target, whiteouts) as extraction:
        for entry, body in tarstream.entries(stream):
            if owner is not None:
                entry.uid, entry.gid = owner
            extraction.add(entry, body)
            if progress:
                progress(entry.size)
        extraction.finish()
        return extraction.result


class _Extraction:
    def __init__(self, target: Path, whiteouts: bool = True) -> None:
        self._whiteouts = whiteouts
        self._root = os.open(target, _FOLDER)
        self._parent = ("", os.dup(self._root))
        self._known: set[str] = {""}  # paths that are folders for certain, not links
        self._later: list[tuple[str, Entry]] = []
        self._owner = (os.geteuid(), os.getegid())
        self._may_chown = os.geteuid() == 0
        self._opaque = opaque_attribute()
        self.result = Unpacked()

    def __enter__(self) -> _Extraction:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)
        os.close(self._parent[1])

    def add(self, entry: Entry, body: Body) -> None:
        parts = _parts(entry.name)
        if not parts:
            if entry.kind == DIRECTORY:
                self._later.append(("", entry))
            return
        name = parts[-1]
        folder, fd = self._enter("/".join(parts[:-1]))
        if self._whiteouts and name.startswith(_WHITEOUT):
            self._whiteout(name, fd)
            return
        path = f"{folder}/{name}" if folder else name
        _MAKERS[entry.kind](self, entry, body, name, fd, path)

    # Folders on the way

    def _enter(self, folder: str) -> tuple[str, int]:
        if folder == self._parent[0]:
            return self._parent
        real = folder if folder in self._known else self._settle(folder)
        fd = os.open(real or ".", _FOLDER, dir_fd=self._root)
        os.close(self._parent[1])
        self._parent = (real, fd)
        return self._parent

    def _settle(self, folder: str) -> str:
        """The folder's path without links; makes what is missing. Links never lead out of the target."""
        pending, links = deque(folder.split("/")), 0
        real: list[str] = []
        while pending:
            part = pending.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                real = real[:-1]
                continue
            path = "/".join([*real, part])
            try:
                mode = os.lstat(path, dir_fd=self._root).st_mode
            except FileNotFoundError:
                os.mkdir(path, 0o755, dir_fd=self._root)
                mode = stat.S_IFDIR
            if stat.S_ISLNK(mode):
                links += 1
                if links > 40:
                    raise ImageError("archive-link", f"{folder!r} in the archive goes through too many symbolic links")
                link = os.readlink(path, dir_fd=self._root)
                if link.startswith("/"):
                    real = []
                pending.extendleft(reversed(link.split("/")))
                continue
            if not stat.S_ISDIR(mode):
                self._remove(part, path, self._root, path)
                os.mkdir(path, 0o755, dir_fd=self._root)
            real.append(part)
            self._known.add(path)
        return "/".join(real)

    def _remove(self, name: str, path: str, fd: int, relative: str | None = None) -> bool:
        """Takes away what stands in the way; True if it was a whiteout."""
        where = relative or name
        found = os.lstat(where, dir_fd=fd)
        if stat.S_ISDIR(found.st_mode):
            self._known = {""}
            self._later = [(p, e) for p, e in self._later if p != path and not p.startswith(path + "/")]
            shutil.rmtree(where, dir_fd=fd)
            return False
        os.unlink(where, dir_fd=fd)
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0

    # Marks

    def _whiteout(self, name: str, fd: int) -> None:
        if name == _OPAQUE:
            self._mark_opaque(fd)
        elif not name.startswith(_META):  # others are aufs' own
            hidden = name[len(_WHITEOUT) :]
            if hidden in ("", ".", ".."):
                raise ImageError("archive-path", f"the archive has an invalid whiteout {name!r}")
            try:
                os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=fd)
            except FileExistsError:  # the same layer also has it: it replaces what is below
                if stat.S_ISDIR(os.lstat(hidden, dir_fd=fd).st_mode):
                    inner = os.open(hidden, _FOLDER, dir_fd=fd)
                    try:
                        self._mark_opaque(inner)
                    finally:
                        os.close(inner)
            except PermissionError as error:
                raise ImageError(
                    "whiteout", f"cannot make a whiteout: {error}", remedy="Kernels from 5.8 on let ordinary users make them."
                ) from error

    def _mark_opaque(self, fd: int) -> None:
        os.setxattr(fd, self._opaque, b"y")

    # Members

    def _file(self, entry: Entry, body: Body, name: str, fd: int, path: str) -> None:
        try:
            file = os.open(name, _NEW_FILE, 0o600, dir_fd=fd)
        except FileExistsError:
            self._remove(name, path, fd)
            file = os.open(name, _NEW_FILE, 0o600, dir_fd=fd)
        try:
            if entry.sparse is not None:
                _write_sparse(entry, body, file)
            else:
                while body.left:
                    _write_all(file, body.read(_CHUNK))
            self._own(file, entry)
            os.fchmod(file, entry.mode)
            self._set_xattrs(file, entry)
            os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(file)
        self.result.size += entry.real_size

    def _folder(self, entry: Entry, body: Body, name: str, fd: int, path: str) -> None:
        replaced_whiteout = False
        try:
            os.mkdir(name, 0o755, dir_fd=fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                replaced_whiteout = self._remove(name, path, fd)
                os.mkdir(name, 0o755, dir_fd=fd)
        if replaced_whiteout or entry.xattrs:
            inner = os.open(name, _FOLDER, dir_fd=fd)
            try:
                if replaced_whiteout:
                    self._mark_opaque(inner)
                self._set_xattrs(inner, entry)
            finally:
                os.close(inner)
        self._known.add(path)
        self._later.append((path, entry))

    def _symlink(self, entry: Entry, body: Body, name: str, fd: int, path: str) -> None:
        self._again_if_there(lambda: os.symlink(entry.link, name, dir_fd=fd), name, path, fd)
        self._own_path(name, fd, entry)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _link(self, entry: Entry, body: Body, name: str, fd: int, path: str) -> None:
        source = _parts(entry.link)
        if not source:
            raise ImageError("archive-path", f"{entry.name!r} in the archive is a hard link to nothing")
        real = self._settle("/".join(source[:-1])) if len(source) > 1 else ""
        target = f"{real}/{source[-1]}" if real else source[-1]
        if target == path:
            return
        try:
            self._again_if_there(lambda: os.link(target, name, src_dir_fd=self._root, dst_dir_fd=fd, follow_symlinks=False), name, path, fd)
        except FileNotFoundError:
            raise ImageError(
                "archive-path", f"{entry.name!r} in the archive is a hard link to {entry.link!r}, which is not in it"
            ) from None

    def _device(self, entry: Entry, body: Body, name: str, fd: int, path: str) -> None:
        kind = stat.S_IFCHR if entry.kind == CHAR else stat.S_IFBLK
        if entry.kind == CHAR and not entry.major and not entry.minor:
            self.result.note("a device 0:0 was left out: overlayfs takes it for a whiteout")
            return
        device = os.makedev(entry.major, entry.minor)
        try:
            self._again_if_there(lambda: os.mknod(name, kind | 0o600, device, dir_fd=fd), name, path, fd)
        except PermissionError:
            self.result.note("device nodes were left out: only root outside of a user namespace can make them")
            return
        self._finish_node(entry, name, fd)

    def _fifo(self, entry: Entry, body: Body, name: str, fd: int, path: str) -> None:
        self._again_if_there(lambda: os.mkfifo(name, 0o600, dir_fd=fd), name, path, fd)
        self._finish_node(entry, name, fd)

    def _finish_node(self, entry: Entry, name: str, fd: int) -> None:
        self._own_path(name, fd, entry)
        os.chmod(name, entry.mode, dir_fd=fd)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd)

    def _again_if_there(self, make: Callable[[], object], name: str, path: str, fd: int) -> None:
        try:
            make()
        except FileExistsError:
            self._remove(name, path, fd)
            make()

    # What belongs to a member

    def _own(self, file: int, entry: Entry) -> None:
        if self._may_chown and (entry.uid, entry.gid) != self._owner:
            try:
                os.fchown(file, entry.uid, entry.gid)
            except OSError as error:
                self._unowned(error)

    def _own_path(self, name: str, fd: int, entry: Entry) -> None:
        if self._may_chown and (entry.uid, entry.gid) != self._owner:
            try:
                os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
            except OSError as error:
                self._unowned(error)

    def _unowned(self, error: OSError) -> None:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise error
        self.result.note("owners outside of this user's subordinate ids became root; `man subuid` says how to get more ids")

    def _set_xattrs(self, file: int, entry: Entry) -> None:
        for key, value in entry.xattrs.items():
            if key.startswith(_HIDDEN_XATTRS):
                continue
            try:
                os.setxattr(file, key, value)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                    raise
                self.result.note(f"the extended attribute {key} cannot be kept here")

    def finish(self) -> None:
        """Owners, modes and times of folders, deepest first: what was written into them has changed their times."""
        done: set[str] = set()
        for path, entry in reversed(self._later):
            if path in done:
                continue
            done.add(path)
            fd = os.open(path or ".", _FOLDER, dir_fd=self._root)
            try:
                self._own(fd, entry)
                os.fchmod(fd, entry.mode)
                os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
            finally:
                os.close(fd)


_MAKERS: dict[str, Callable[[_Extraction, Entry, Body, str, int, str], None]] = {
    FILE: _Extraction._file,
    DIRECTORY: _Extraction._folder,
    SYMLINK: _Extraction._symlink,
    LINK: _Extraction._link,
    CHAR: _Extraction._device,
    BLOCKDEV: _Extraction._device,
    FIFO: _Extraction._fifo,
}


def _parts(name: str) -> list[str]:
    """The path's components; `..` is refused, not resolved: no honest archive has it."""
    if "\0" in name:
        raise ImageError("archive-path", f"{name!r} in the archive is no path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageError("archive-path", f"{name!r} in the archive leads out of it", remedy="Do not use this archive.")
    return parts


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _write_sparse(entry: Entry, body: Body, file: int) -> None:
    for offset, length in entry.sparse or ():
        os.lseek(file, offset, os.SEEK_SET)
        while length:
            piece = body.read(min(length, _CHUNK))
            _write_all(file, piece)
            length -= len(piece)
    os.ftruncate(file, entry.real_size)


# Folder to tar


@dataclass(frozen=True, slots=True)
class Packed:
    """digest is the layer's diff id; size that of the tar, content that of the files in it."""

    digest: str
    size: int
    content: int
    entries: int


def pack(folder: Path, write: Callable[[bytes], object] | None = None, *, leave_out: Callable[[str], bool] = lambda path: False) -> Packed:
    """Writes the folder as a layer's tar: sorted, times in whole seconds; the same folder always gives the same bytes."""
    summer, size, content, count = hashlib.sha256(), 0, 0, 0
    pending = bytearray()

    def emit(piece: bytes) -> None:
        nonlocal size
        size += len(piece)
        pending.extend(piece)
        if len(pending) >= _CHUNK:
            flush()

    def flush() -> None:
        summer.update(pending)
        if write:
            write(bytes(pending))
        pending.clear()

    for entry, path in walk(folder, leave_out):
        count += 1
        if entry.kind == FILE:
            content += entry.size
            emit(tarstream.header(entry))
            if not entry.size:
                continue  # whiteouts among them, which have nothing to open
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                left = entry.size
                while left:
                    piece = os.read(file, min(left, _CHUNK))
                    if not piece:
                        raise ImageError("layer-changed", f"{entry.name} became shorter while its layer was made")
                    emit(piece)
                    left -= len(piece)
            finally:
                os.close(file)
            emit(tarstream.padding(entry.size))
        else:
            emit(tarstream.header(entry))
    emit(tarstream.END)
    flush()
    return Packed("sha256:" + summer.hexdigest(), size, content, count)


def walk(folder: Path, leave_out: Callable[[str], bool] = lambda path: False) -> Iterator[tuple[Entry, str]]:
    """The folder's members as a layer names them (whiteouts by their OCI names), with the path of each; the folder itself is left out.

    leave_out: asked with each path, relative to the folder; what is below one left out is left out too.
    """
    seen: dict[tuple[int, int], str] = {}
    opaque = opaque_attribute()

    def members(path: str, prefix: str) -> Iterator[tuple[Entry, str]]:
        with os.scandir(path) as found:
            items = sorted(found, key=lambda item: item.name)
        for item in items:
            status = item.stat(follow_symlinks=False)
            name = prefix + item.name
            if leave_out(name):
                continue
            if stat.S_ISCHR(status.st_mode) and not status.st_rdev:
                yield Entry(f"{prefix}{_WHITEOUT}{item.name}", FILE, 0, mtime_ns=status.st_mtime_ns), "/dev/null"
                continue
            entry = _describe(item.path, name, status, seen)
            if entry is None:
                continue
            yield entry, item.path
            if entry.kind == DIRECTORY:
                if opaque in os.listxattr(item.path, follow_symlinks=False):
                    yield Entry(f"{name}/{_OPAQUE}", FILE, 0, mtime_ns=status.st_mtime_ns), "/dev/null"
                yield from members(item.path, f"{name}/")

    return members(os.fspath(folder), "")


def _describe(path: str, name: str, status: os.stat_result, seen: dict[tuple[int, int], str]) -> Entry | None:
    mode = status.st_mode
    entry = Entry(name, FILE, stat.S_IMODE(mode), status.st_uid, status.st_gid, mtime_ns=status.st_mtime_ns)
    if not stat.S_ISDIR(mode) and status.st_nlink > 1:
        first = seen.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            entry.kind, entry.link = LINK, first
            return entry
    if stat.S_ISREG(mode):
        entry.size = status.st_size
    elif stat.S_ISDIR(mode):
        entry.kind, entry.name = DIRECTORY, name + "/"
    elif stat.S_ISLNK(mode):
        entry.kind, entry.link, entry.mode = SYMLINK, os.readlink(path), 0o777
    elif stat.S_ISFIFO(mode):
        entry.kind = FIFO
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        entry.kind = CHAR if stat.S_ISCHR(mode) else BLOCKDEV
        entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:
        return None  # a socket is nobody's once its process is gone
    if entry.kind != SYMLINK:
        for key in os.listxattr(path, follow_symlinks=False):
            if not key.startswith(_HIDDEN_XATTRS):
                entry.xattrs[key] = os.getxattr(path, key, follow_symlinks=False)
    return entry
