"""Log files: Docker's json-file read back: tail, since, until, follow, rotation. The monitor writes them (runtime/jsonlog.py).

Reading never blocks the writer. Following looks at the file when the monitor has had time to write, every 20 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import IO

import pydantic_core

from compose_lite.units import parse_rfc3339

_BLOCK = 1 << 16
POLL = 0.02


@dataclass(frozen=True, slots=True)
class Line:
    stream: int  # 1 or 2
    data: bytes
    time: str


@dataclass(frozen=True, slots=True)
class Wish:
    tail: int | None = None  # None: all
    since: int | None = None
    until: int | None = None
    stdout: bool = True
    stderr: bool = True
    timestamps: bool = False
    follow: bool = False

    def wants(self, line: Line) -> bool:
        if not (self.stdout if line.stream == 1 else self.stderr):
            return False
        if self.since is None and self.until is None:
            return True
        at = parse_rfc3339(line.time)
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def render(self, line: Line) -> bytes:
        return line.time.encode() + b" " + line.data if self.timestamps else line.data


def parse(raw: bytes) -> Line | None:
    """One record; None for a line that is cut off or is none."""
    try:
        found = pydantic_core.from_json(raw)
        return Line(2 if found["stream"] == "stderr" else 1, found["log"].encode("utf-8", "surrogatepass"), found["time"])
    except (ValueError, KeyError, TypeError):
        return None


async def read(path: str, wish: Wish, running: Callable[[], bool], ended: asyncio.Event) -> AsyncIterator[Line]:
    """What is there, then (follow) what comes until the container has ended and the file is read to its end."""
    file = _open(path)
    try:
        for line in tail(path, wish) if wish.tail is not None else ():
            yield line
        if wish.tail is not None and file:
            file.seek(0, os.SEEK_END)
        elif wish.tail is None:
            for older in _older(path):
                for line in _lines(older, wish):
                    yield line
        rest = b""
        while True:
            last = not wish.follow or not running()
            file = file or _open(path)
            while file and (block := file.read(_BLOCK)):
                *complete, rest = (rest + block).split(b"\n")
                for raw in complete:
                    found = parse(raw)
                    if found and wish.wants(found):
                        yield found
                    elif found and wish.until is not None and parse_rfc3339(found.time) > wish.until:
                        return
            if last:
                return
            if file and _rotated(path, file):
                file.close()
                file, rest = _open(path), b""
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await ended.wait()
    finally:
        if file:
            file.close()


def tail(path: str, wish: Wish) -> list[Line]:
    """The last wish.tail lines (a line may be several records), read from the end."""
    wanted = wish.tail or 0
    found: list[Line] = []
    ends = 0
    for name in (path, *reversed(_older(path))):
        for raw in _backwards(name):
            line = parse(raw)
            if line is None or not wish.wants(line):
                continue
            if line.data.endswith(b"\n") or not found:
                ends += 1
                if ends > wanted:
                    return found[::-1]
            found.append(line)
    return found[::-1]


def _backwards(path: str) -> Iterator[bytes]:
    file = _open(path)
    if file is None:
        return
    with file:
        at = file.seek(0, os.SEEK_END)
        rest = b""
        while at > 0:
            size = min(_BLOCK, at)
            at -= size
            file.seek(at)
            first, *complete = (file.read(size) + rest).split(b"\n")
            for raw in reversed(complete):
                if raw:
                    yield raw
            rest = first
        if rest:
            yield rest


def _lines(path: str, wish: Wish) -> Iterator[Line]:
    file = _open(path)
    if file:
        with file:
            for raw in file:
                line = parse(raw)
                if line and wish.wants(line):
                    yield line


def _older(path: str) -> list[str]:
    """Rotated files, oldest first."""
    names = []
    number = 1
    while os.path.exists(f"{path}.{number}"):
        names.append(f"{path}.{number}")
        number += 1
    return names[::-1]


def _open(path: str) -> IO[bytes] | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None


def _rotated(path: str, file: IO[bytes]) -> bool:
    with contextlib.suppress(OSError):
        mine, there = os.fstat(file.fileno()), os.stat(path)
        return mine.st_ino != there.st_ino or there.st_size < file.tell()
    return False
