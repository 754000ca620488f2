"""Docker's json-file log: one JSON object a line, `log`, `stream`, `time`; long lines split at 16 KiB; rotated by size.

Writes whole batches, never a part of a record. A full disk loses log lines, never the container. Imports little: it lives in
every monitor.
"""

from __future__ import annotations

import os
import time
from json.encoder import encode_basestring, encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SPLIT = 16 * 1024


def record(line: bytes, stream: str, at: str) -> bytes:
    """One record. A byte that is no UTF-8 becomes the escape of a lone surrogate: we have it back, other readers see U+FFFD."""
    try:
        text = encode_basestring(line.decode())
    except UnicodeDecodeError:
        text = encode_basestring_ascii(line.decode("utf-8", "surrogateescape"))
    return f'{{"log":{text},"stream":"{stream}","time":"{at}"}}\n'.encode()


def rfc3339(ns: int) -> str:
    seconds, part = divmod(ns, 1_000_000_000)
    base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f"{part:09d}".rstrip("0")
    return f"{base}.{digits}Z" if digits else f"{base}Z"


class LogWriter:
    """The log of one container: takes raw output, keeps the unfinished line of each stream."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._path: str = settings.get("path") or ""
        self._max_size: int = settings.get("max_size") or 0
        self._max_file: int = max(settings.get("max_file") or 1, 1)
        self._rest = {"stdout": b"", "stderr": b""}
        self._fd = -1
        self._size = 0
        if self._path and settings.get("driver", "json-file") == "json-file":
            self._open(0)

    def _open(self, flags: int) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, 0o640)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: str, data: bytes) -> None:
        """Logs the finished lines of the stream's data so far, and full pieces of one that is too long."""
        if self._fd < 0:
            return
        data = self._rest[stream] + data if self._rest[stream] else data
        lines = data.split(b"\n")
        rest = lines.pop()
        at = rfc3339(time.time_ns())
        records: list[bytes] = []
        for line in lines:
            if len(line) < SPLIT:
                records.append(record(line + b"\n", stream, at))
            else:
                whole = line + b"\n"
                records.extend(record(whole[start : start + SPLIT], stream, at) for start in range(0, len(whole), SPLIT))
        while len(rest) >= SPLIT:
            records.append(record(rest[:SPLIT], stream, at))
            rest = rest[SPLIT:]
        self._rest[stream] = rest
        self._append(records)

    def note(self, stream: str, data: bytes) -> None:
        """Whole lines of somebody else (a hook); a line of the container that is not finished yet is not touched."""
        if self._fd >= 0 and data:
            at = rfc3339(time.time_ns())
            lines = [line[start : start + SPLIT - 1] for line in data.splitlines() for start in range(0, len(line) or 1, SPLIT - 1)]
            self._append([record(line + b"\n", stream, at) for line in lines])

    def close(self) -> None:
        """Logs the unfinished lines."""
        if self._fd < 0:
            return
        at = rfc3339(time.time_ns())
        self._append([record(rest, stream, at) for stream, rest in self._rest.items() if rest])
        os.close(self._fd)
        self._fd = -1

    def _append(self, records: list[bytes]) -> None:
        if not self._max_size:
            self._put(b"".join(records))
            return
        batch: list[bytes] = []
        for one in records:
            if self._size >= self._max_size:
                self._put(b"".join(batch))
                batch = []
                self._rotate()
            batch.append(one)
            self._size += len(one)
        self._put(b"".join(batch))

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            pass

    def _rotate(self) -> None:
        os.close(self._fd)
        try:
            if self._max_file == 1:
                os.unlink(self._path)  # and not truncated: who follows it reads the rest of it
            for number in range(self._max_file - 1, 0, -1):
                older = f"{self._path}.{number - 1}" if number > 1 else self._path
                if os.path.exists(older):
                    os.replace(older, f"{self._path}.{number}")
        finally:
            self._open(os.O_TRUNC)
