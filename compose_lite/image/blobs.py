"""Streams that are hashed as they pass: a blob while it is written, a layer while it is unpacked."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from compose_lite.errors import ImageError


class BlobWriter:
    """Writes and hashes a blob whose digest is known at the end."""

    def __init__(self, path: Path, place: Callable[[str], Path]) -> None:
        """place: where the blob of a digest belongs."""
        self._place, self.path, self._sum, self.size = place, path, hashlib.sha256(), 0
        self._file = path.open("wb")

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._sum.update(piece)
        self.size += len(piece)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> str:
        """Of what was written so far, all of which is in the file then."""
        self._file.flush()
        return "sha256:" + self._sum.hexdigest()

    def keeping(self, raw: IO[bytes]) -> IO[bytes]:
        """A stream of the same bytes, each of which is written here as it is read."""
        return io.BufferedReader(_Keeping(raw, self), 1 << 18)

    def adopt(self, rest: IO[bytes] | None = None, wanted: str = "") -> str:
        """Makes it the blob that it is, after the rest of its stream; checks the wanted digest."""
        while rest is not None and rest.read(1 << 20):
            pass
        digest = "sha256:" + self._sum.hexdigest()
        if wanted and digest != wanted:
            raise ImageError("digest-mismatch", f"a blob has the digest {digest} instead of {wanted}", remedy="Get it again.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.path.replace(self._place(digest))
        return digest

    def close(self) -> None:
        self._file.close()


class _Keeping(io.RawIOBase):
    def __init__(self, raw: IO[bytes], writer: BlobWriter) -> None:
        self._raw, self._writer = raw, writer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._raw.read(len(view))
        self._writer.write(piece)
        view[: len(piece)] = piece
        return len(piece)


class Summed:
    """A stream that is hashed and counted while somebody reads it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._sum, self.size = stream, hashlib.sha256(), 0
        self._ahead = b""
        self._at = 0

    def buffered(self) -> IO[bytes]:
        return self  # type: ignore[return-value]

    def read(self, count: int = -1) -> bytes:
        """Exactly count bytes, fewer only at the end."""
        available = len(self._ahead) - self._at
        if available >= count >= 0:
            piece = self._ahead[self._at : self._at + count]
            self._at += count
            return piece
        pieces, left = [self._ahead[self._at :]], count - available
        self._ahead, self._at = b"", 0
        while left > 0 or count < 0:
            piece = self._stream.read(1 << 18)
            if not piece:
                break
            self._sum.update(piece)
            self.size += len(piece)
            if count < 0 or len(piece) <= left:
                pieces.append(piece)
                left -= len(piece)
            else:
                pieces.append(piece[:left])
                self._ahead, self._at = piece, left
                left = 0
        return b"".join(pieces)

    def finish(self) -> str:
        """Reads what is left (padding after a tar's end counts) and tells the digest."""
        while self.read(1 << 20):
            pass
        return "sha256:" + self._sum.hexdigest()
