"""Log files: Docker's json-file read back: tail, since, until, follow, rotation. The monitor writes them (runtime/jsonlog.py).

Reading never blocks the writer, holds one block in memory, and loses and doubles nothing when files are rotated meanwhile: they
are opened from the newest to the oldest, and a follower goes on with the one that came after the one it has read to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO

import pydantic_core

from compose_lite.engine.followed import Followed
from compose_lite.units import parse_rfc3339

_BLOCK = 1 << 18
POLL = 0.02  # where nothing tells of changes
_TOGETHER = 0.01  # what is written within this time goes to a follower in one piece
_LOOK_ANYWAY = 1.0
_ATTEMPTS = 20
_HEAD, _STREAM, _TIME = b'{"log":"', b'","stream":"std', b'","time":"'


@dataclass(slots=True)
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

    @property
    def everything(self) -> bool:
        return self.since is None and self.until is None and self.stdout and self.stderr

    def wants(self, line: Line) -> bool:
        if not (self.stdout if line.stream == 1 else self.stderr):
            return False
        if self.since is None and self.until is None:
            return True
        at = parse_rfc3339(line.time)
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def is_past(self, line: Line) -> bool:
        return self.until is not None and parse_rfc3339(line.time) > self.until


class Rendering:
    """Lines as they are sent: with times where that is wished, at the beginning of a line but not of its further pieces."""

    def __init__(self, wish: Wish, framed: Callable[[int, bytes], bytes] | None) -> None:
        self._timestamps, self._framed = wish.timestamps, framed or (lambda stream, data: data)
        self._inside = {1: False, 2: False}

    def __call__(self, lines: list[Line]) -> bytes:
        framed = self._framed
        if not self._timestamps:
            return b"".join([framed(line.stream, line.data) for line in lines])
        made = []
        for line in lines:
            made.append(framed(line.stream, line.data if self._inside[line.stream] else line.time.encode() + b" " + line.data))
            self._inside[line.stream] = not line.data.endswith(b"\n")
        return b"".join(made)


def parse(raw: bytes) -> Line | None:
    """One record; None for a line that is cut off or is none. Most are cut out of their bytes, the rest is read as JSON."""
    at = raw.rfind(_STREAM)
    if at > 0 and raw.startswith(_HEAD) and raw.startswith(_TIME, at + 18) and raw.endswith(b'Z"}'):
        escape = raw.find(b"\\", 8, at)
        if escape < 0:
            return Line(2 if raw[at + 15] == 0x65 else 1, raw[8:at], raw[at + 28 : -2].decode())
        if escape == at - 2 and raw[at - 1] == 0x6E:
            return Line(2 if raw[at + 15] == 0x65 else 1, raw[8:escape] + b"\n", raw[at + 28 : -2].decode())
    try:
        try:
            found = pydantic_core.from_json(raw)
        except ValueError:
            found = json.loads(raw)  # takes the lone surrogates that bytes outside of UTF-8 are written as
        return Line(2 if found["stream"] == "stderr" else 1, found["log"].encode("utf-8", "surrogateescape"), found["time"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(slots=True)
class _Records:
    """Bytes of one file in order → the lines that are wished for. past: the last moment that is wished for is over."""

    wish: Wish
    past: bool = False
    _rest: bytes = b""

    def feed(self, block: bytes) -> list[Line]:
        *complete, self._rest = (self._rest + block if self._rest else block).split(b"\n")
        lines = [line for raw in complete if (line := parse(raw))]
        if self.wish.everything:
            return lines
        if lines and self.wish.is_past(lines[-1]):
            self.past = True
        return [line for line in lines if self.wish.wants(line)]


@dataclass(slots=True)
class _Files:
    """The files of one log at one moment, oldest first."""

    path: str
    files: list[IO[bytes]] = field(default_factory=list)

    def open(self) -> None:
        """Again when the newest has changed its name meanwhile, as the others' order is not sure then."""
        for _ in range(_ATTEMPTS):
            self._open_once()
            if not self.files or not _is_renamed(self.path, self.files[-1]):
                return
            self.close()
        self._open_once()

    def _open_once(self) -> None:
        """The newest first: one that is rotated meanwhile is met again under its new name, and left out there."""
        seen: set[int] = set()
        number = missing = 0
        while missing < 2:  # one may just be between two names
            file = _open(f"{self.path}.{number}" if number else self.path)
            number += 1
            if file is None:
                missing += 1
                continue
            missing, inode = 0, os.fstat(file.fileno()).st_ino
            if inode in seen:
                file.close()
            else:
                seen.add(inode)
                self.files.insert(0, file)

    def close(self) -> None:
        for file in self.files:
            file.close()
        self.files = []


def _is_renamed(path: str, file: IO[bytes]) -> bool:
    try:
        return os.stat(path).st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True


def _after(path: str, file: IO[bytes]) -> IO[bytes] | None:
    """The file that was begun after this one; None if this is the newest."""
    mine = os.fstat(file.fileno()).st_ino
    now = _Files(path)
    now.open()
    numbers = [os.fstat(one.fileno()).st_ino for one in now.files]
    at = numbers.index(mine) + 1 if mine in numbers else 0
    found = now.files.pop(at) if at < len(now.files) else None
    now.close()
    return found


async def read(
    path: str, wish: Wish, running: Callable[[], bool] = lambda: False, ended: asyncio.Event | None = None, followed: Followed | None = None
) -> AsyncIterator[list[Line]]:
    """What is there, then (follow) what comes until the container has ended and the file is read to its end."""
    there = _Files(path)
    there.open()
    try:
        ends = [os.fstat(file.fileno()).st_size for file in there.files]
        first, offset = _tail_start(there.files, ends, wish) if wish.tail is not None else (0, 0)
        for number in range(first, len(there.files)):
            file = there.files[number]
            file.seek(offset)
            offset = 0
            last = number == len(there.files) - 1
            records = _Records(wish)
            if last and wish.follow:
                break
            for block in _blocks(file, ends[number] if last else None):
                if lines := records.feed(block):
                    yield lines
                if records.past:
                    return
                await asyncio.sleep(0)
        if wish.follow:
            newest = there.files.pop() if there.files else None
            there.close()
            async for lines in _follow(path, newest, wish, running, ended or asyncio.Event(), followed or Followed()):
                yield lines
    finally:
        there.close()


async def _follow(
    path: str, file: IO[bytes] | None, wish: Wish, running: Callable[[], bool], ended: asyncio.Event, followed: Followed
) -> AsyncIterator[list[Line]]:
    changed = asyncio.Event()
    telling = asyncio.ensure_future(_pass_on(ended, changed))
    loop = asyncio.get_running_loop()
    until = None if wish.until is None else loop.time() + _seconds_until(wish.until)
    try:
        while file is None:
            file = _open(path)
            if file is None:
                if not running():
                    return
                await asyncio.sleep(POLL)
        while file is not None:
            with file, ExitStack() as stack:
                told = stack.enter_context(followed.watch(file.fileno(), changed))
                records = _Records(wish)
                while True:
                    changed.clear()
                    renamed = _is_renamed(path, file)
                    newer = _after(path, file) if renamed else None
                    last = not running()
                    for block in _blocks(file, None):
                        if lines := records.feed(block):
                            yield lines
                        if records.past:
                            return
                        await asyncio.sleep(0)
                    if newer:  # begun before we read this one to its end: nothing is written to it any more
                        break
                    if last or (until is not None and loop.time() >= until):
                        return
                    wait = _LOOK_ANYWAY if told and not renamed else POLL
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait if until is None else min(wait, max(0.0, until - loop.time()))):
                            await changed.wait()
                    await asyncio.sleep(_TOGETHER)
            file = newer
    finally:
        telling.cancel()
        if file:
            file.close()


async def _pass_on(ended: asyncio.Event, changed: asyncio.Event) -> None:
    await ended.wait()
    changed.set()


def _seconds_until(moment: int) -> float:
    return max(0.0, (moment - time.time_ns()) / 1e9)


def _blocks(file: IO[bytes], end: int | None) -> Iterator[bytes]:
    """From where the file is to its end, or to an end that was seen before."""
    while True:
        size = _BLOCK if end is None else min(_BLOCK, end - file.tell())
        block = file.read(size) if size > 0 else b""
        if not block:
            return
        yield block


def _tail_start(files: list[IO[bytes]], ends: list[int], wish: Wish) -> tuple[int, int]:
    """File and offset at which the last wish.tail lines begin (a line may be several records)."""
    wanted = wish.tail or 0
    lines, begins = 0, (len(files), 0)
    for number in range(len(files) - 1, -1, -1):
        for offset, raw in _backwards(files[number], ends[number]):
            line = parse(raw)
            if line is None or not wish.wants(line):
                continue
            if line.data.endswith(b"\n") or not lines:
                lines += 1
                if lines > wanted:
                    return begins if begins[0] < len(files) else (len(files) - 1, ends[-1])
            begins = number, offset
    return begins if begins[0] < len(files) else (max(len(files) - 1, 0), ends[-1] if ends else 0)


def _backwards(file: IO[bytes], end: int) -> Iterator[tuple[int, bytes]]:
    """(offset, record) from the last complete record to the first."""
    at, rest = end, b""
    complete = False  # what comes after the last newline is being written
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        data = file.read(size) + rest
        pieces = data.split(b"\n")
        offset = at + len(data)
        for raw in reversed(pieces[1:]):
            offset -= len(raw)
            if complete and raw:
                yield offset, raw
            complete = True
            offset -= 1
        rest = pieces[0]
    if rest and complete:
        yield 0, rest


def _open(path: str) -> IO[bytes] | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None
