"""A hijacked stream and this terminal: stdin there, output here, window size, raw mode."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import anyio

from compose_lite.api import detach
from compose_lite.api.client import Answer, Hijacked
from compose_lite.api.detach import Watch
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
        tty.setraw(0, termios.TCSANOW)  # what was typed ahead is for the other side
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def detach_keys(text: str, environ: Mapping[str, str]) -> bytes:
    """An option's `ctrl-p,ctrl-q`, else `detachKeys` of Docker's config.json, as the bytes that a terminal sends. Raises UsageError."""
    folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or "/root", ".docker")
    configured = ""
    if not text:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            configured = str(json.loads(Path(folder, "config.json").read_bytes()).get("detachKeys") or "")
    try:
        return detach.parse(text or configured)
    except ValueError as error:
        raise UsageError("detach-keys", str(error), remedy="Say for example ctrl-p,ctrl-q or a,b.") from None


async def talk(stream: Hijacked, *, stdin: bool, terminal: bool, resize: Resize | None = None, keys: bytes = b"") -> bool:
    """Until the stream's output ends. terminal: the other side has one; ours is raw then, and its size follows.

    True when the user has left by the detach keys, which count only at a terminal.
    """
    left = anyio.Event()
    async with anyio.create_task_group() as group:

        async def send() -> None:
            if await _send_input(stream, Watch(keys if terminal and os.isatty(0) else b"")):
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


async def _send_input(stream: Hijacked, watch: Watch) -> bool:
    """Standard input to its end; True when the detach keys were typed."""
    with contextlib.suppress(OSError):
        while True:
            await _readable(0)
            data = os.read(0, 65536)
            if not data:
                await stream.send_eof()
                return False
            typed, left = watch.take(data)
            await stream.send(typed)
            if left:
                return True
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
