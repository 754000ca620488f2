"""A hijacked stream and this terminal: stdin there, output here, window size, raw mode."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio

from compose_lite.api.client import Answer, Hijacked
from compose_lite.cli.context import Context
from compose_lite.errors import Error

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


async def talk(stream: Hijacked, *, stdin: bool, terminal: bool, resize: Resize | None = None) -> None:
    """Until the stream's output ends. terminal: the other side has one; ours is raw then, and its size follows."""
    async with anyio.create_task_group() as group:
        if stdin:
            group.start_soon(_send_input, stream)
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


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


async def _send_input(stream: Hijacked) -> None:
    with contextlib.suppress(OSError):
        while True:
            await _readable(0)
            data = os.read(0, 65536)
            if not data:
                await stream.send_eof()
                return
            await stream.send(data)


async def _readable(fd: int) -> None:
    """A regular file is always readable, and epoll refuses it."""
    try:
        await anyio.wait_readable(fd)
    except (PermissionError, OSError):
        await anyio.sleep(0)


async def _follow_size(resize: Resize) -> None:
    with contextlib.suppress(Exception):
        size = os.get_terminal_size(0)
        await resize(size.lines, size.columns)
    with anyio.open_signal_receiver(signal.SIGWINCH) as signals:
        async for _ in signals:
            with contextlib.suppress(Exception):
                size = os.get_terminal_size(0)
                await resize(size.lines, size.columns)


async def write_answer(context: Context, answer: Answer, output: str, code: str) -> None:
    """An archive that the engine sends, to stdout or whole to a file. code: of the error when the file cannot be written."""
    if not output:
        context.out.flush()
        async for part in answer:
            context.out.buffer.write(part)
        context.out.buffer.flush()
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
