"""The stream between the engine and one container's monitor."""

from __future__ import annotations

import socket
from typing import Literal

from compose_lite.linux import unix
from compose_lite.runtime import messages
from compose_lite.runtime.waiting import ready

Stream = Literal["stdout", "stderr"]


class Attachment:
    """The stream to one container's monitor. Closing it leaves the container alone (but `stdin: once` gets its end)."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def read(self) -> tuple[Stream, bytes] | None:
        """The next piece of output (a terminal's is stdout); None after the last one."""
        while True:
            try:
                data, _ = unix.receive(self._sock, 1 << 17)
            except BlockingIOError:
                await ready(self._sock, write=False)
                continue
            if not data:
                return None
            if data[0] in (messages.STDOUT, messages.STDERR):
                return ("stdout" if data[0] == messages.STDOUT else "stderr"), data[1:]

    async def write(self, data: bytes) -> None:
        """To the container's stdin; waits while it does not read. BrokenPipeError when it never will."""
        for at in range(0, len(data), 32_768):
            await self._send(messages.frame(messages.STDIN, data[at : at + 32_768]))

    async def close_stdin(self) -> None:
        """The end of the container's stdin (not of a terminal)."""
        await self._send(messages.frame(messages.STDIN_END))

    async def resize(self, rows: int, columns: int) -> None:
        await self._send(messages.frame(messages.RESIZE, messages.window(rows, columns)))

    async def _send(self, data: bytes) -> None:
        while True:
            try:
                self._sock.send(data)
                return
            except BlockingIOError:
                await ready(self._sock, write=True)

    def close(self) -> None:
        self._sock.close()
