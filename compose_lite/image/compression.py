"""Compressions of layers and archives: how each is recognised, read and written. One entry a compression.

gzip is done by isal where it is installed (twice zlib's speed), zstd by the standard library or its backport.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from compose_lite.errors import ImageError


@dataclass(frozen=True, slots=True)
class Compression:
    """magic: the first bytes. suffix: what OCI media types append."""

    name: str
    magic: bytes
    suffix: str
    reader: Callable[[BinaryIO], IO[bytes]]
    writer: Callable[[BinaryIO], IO[bytes]]


def _gzip(mode: str) -> Callable[[BinaryIO], IO[bytes]]:
    def open_it(raw: BinaryIO) -> IO[bytes]:
        try:
            module: Any = importlib.import_module("isal.igzip")
            return cast(
                "IO[bytes]", module.open(raw, mode) if mode == "rb" else module.IGzipFile(fileobj=raw, mode="wb", compresslevel=2, mtime=0)
            )
        except ImportError:
            return cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode=mode, mtime=0, compresslevel=6))

    return open_it


def _zstd(mode: str) -> Callable[[BinaryIO], IO[bytes]]:
    def open_it(raw: BinaryIO) -> IO[bytes]:
        for name in ("compression.zstd", "backports.zstd"):
            try:
                return cast("IO[bytes]", cast(Any, importlib.import_module(name)).open(raw, mode))
            except ImportError:
                continue
        raise ImageError(
            "zstd-missing", "this layer is compressed by zstd, which this Python cannot read", remedy="pip install backports.zstd"
        )

    return open_it


NONE = Compression("none", b"", "", lambda raw: raw, lambda raw: raw)
GZIP = Compression("gzip", b"\x1f\x8b", "+gzip", _gzip("rb"), _gzip("wb"))
ZSTD = Compression("zstd", b"\x28\xb5\x2f\xfd", "+zstd", _zstd("rb"), _zstd("wb"))
BZIP2 = Compression("bzip2", b"BZh", "", lambda raw: bz2.open(raw, "rb"), lambda raw: bz2.open(raw, "wb"))
XZ = Compression("xz", b"\xfd7zXZ\x00", "", lambda raw: lzma.open(raw, "rb"), lambda raw: lzma.open(raw, "wb"))

ALL = (GZIP, ZSTD, BZIP2, XZ)
PEEK = max(len(entry.magic) for entry in ALL)


def _errors_of_isal() -> tuple[type[Exception], ...]:
    """An error of its own, which is none of zlib's."""
    try:
        return (cast("type[Exception]", importlib.import_module("isal.igzip_lib").IsalError),)
    except ImportError:
        return ()


READ_ERRORS: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError, ValueError, zlib.error, *_errors_of_isal())


def detect(start: bytes) -> Compression:
    """The compression that a stream with these first bytes has."""
    return next((entry for entry in ALL if start.startswith(entry.magic)), NONE)


def of_stream(raw: io.BufferedReader) -> Compression:
    """The same for a stream, which is left at its start."""
    return detect(raw.peek(PEEK)[:PEEK])
