"""A hijacked stream and this terminal: stdin there, output here, window size, raw mode."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO

import anyio

from compose_lite.api.client import Answer, Hijacked
from compose_lite.cli.context import Context, OutputClosed
from compose_lite.errors import ApiError, Error, UsageError

Resize = Callable[[int, int], Awaitable[None]]


@contextlib.contextmanager
def raw_terminal(enabled: bool) -> Iterator[None]:
    """stdin's terminal in raw mode, as it was at the end."""
    if not enabled:
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


DETACH_KEYS = b"\x10\x11"  # ctrl-p, ctrl-q


def detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `x,y` as the bytes that a terminal sends. Raises UsageError."""
    made = b""
    for word in text.split(","):
        key = word.removeprefix("ctrl-")
        control = word.startswith("ctrl-") and len(key) == 1 and (key.isalpha() or key in "@[\\]^_")
        if not control and len(word) != 1:
            raise UsageError("detach-keys", f"invalid detach keys {text!r}", remedy="Say for example ctrl-p,ctrl-q or a,b.")
        made += bytes([ord(key.upper()) & 0x1F]) if control else word.encode()
    return made


async def talk(stream: Hijacked, *, stdin: bool, terminal: bool, resize: Resize | None = None, detach: bytes = DETACH_KEYS) -> bool:
    """Until the stream's output ends. terminal: the other side has one; ours is raw then, and its size follows.

    True when the user has left by the detach keys, which count only at a terminal.
    """
    left = anyio.Event()
    async with anyio.create_task_group() as group:

        async def send() -> None:
            if await _send_input(stream, detach if terminal and os.isatty(0) else b""):
                left.set()
                group.cancel_scope.cancel()

        if stdin:
            group.start_soon(send)
        if terminal and resize and os.isatty(0):
            group.start_soon(_follow_size, resize)
        with raw_terminal(terminal and os.isatty(0)):
            if terminal:
                while data := await stream.receive():
                    _write(1, data)
            else:
                async for number, data in stream.frames():
                    _write(2 if number == 2 else 1, data)
        group.cancel_scope.cancel()
    return left.is_set()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


async def _send_input(stream: Hijacked, detach: bytes) -> bool:
    """Standard input to its end; True when the detach keys were typed."""
    typed = b""
    with contextlib.suppress(OSError):
        while True:
            await _readable(0)
            data = os.read(0, 65536)
            if not data:
                await stream.send_eof()
                return False
            typed += data
            if detach and detach in typed:
                await stream.send(typed[: typed.index(detach)])
                return True
            held = next((n for n in range(len(detach) - 1, 0, -1) if typed.endswith(detach[:n])), 0)
            await stream.send(typed[: len(typed) - held])
            typed = typed[len(typed) - held :]
    return False


async def _readable(fd: int) -> None:
    """A regular file is always readable, and epoll refuses it."""
    try:
        await anyio.wait_readable(fd)
    except (PermissionError, OSError):
        await anyio.sleep(0)


async def _follow_size(resize: Resize) -> None:
    for attempt in range(10):  # what has only just been asked for may not run yet
        try:
            size = os.get_terminal_size(0)
            await resize(size.lines, size.columns)
            break
        except (OSError, ApiError):
            await anyio.sleep(0.01 * (attempt + 1))
    with anyio.open_signal_receiver(signal.SIGWINCH) as signals:
        async for _ in signals:
            with contextlib.suppress(OSError, ApiError):
                size = os.get_terminal_size(0)
                await resize(size.lines, size.columns)


def write_out(out: IO[bytes], part: bytes) -> None:
    """To stdout. BrokenPipeError would be taken for the engine's, whose connection is open around this."""
    try:
        out.write(part)
        out.flush()
    except BrokenPipeError:
        raise OutputClosed from None


async def write_answer(context: Context, answer: Answer, output: str, code: str) -> None:
    """An archive that the engine sends, to stdout or whole to a file. code: of the error when the file cannot be written."""
    if not output:
        context.out.flush()
        async for part in answer:
            write_out(context.out.buffer, part)
        return
    target = Path(context.cwd, output)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            async for part in answer:
                file.write(part)
        draft.replace(target)
    except OSError as error:
        raise Error(code, f"{output}: cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
