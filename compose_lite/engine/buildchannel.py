"""What engine and build process say to each other: JSON objects over a SOCK_SEQPACKET pair, descriptors beside them.

engine ──request (a memfd)──▶ build process        at its start
engine ◀──{"tell": event}── build process          progress, as it goes out to the client
engine ◀──{"ask": what, "n": 1, ...}──             netns, pull, download, clone: answered by {"re": 1, ...} or {"re": 1, "error": {...}}
engine ◀──{"built": id} or {"failed": {...}}──     the last message
the end of the socket                              cancels the build, whichever side it comes from
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections import deque
from typing import Any

from compose_lite.linux import unix

Document = dict[str, Any]
MOST = 60_000
"""Bytes of a message: longer texts are cut by the sender."""


class Channel:
    """One end, inside a running event loop. Sending never blocks nor waits; what the other side does not take yet is kept."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._loop = sock, asyncio.get_running_loop()
        self._out: deque[tuple[bytes, list[int]]] = deque()
        self._answers: dict[int, asyncio.Future[tuple[Document, list[int]]]] = {}
        self._number = 0
        self._room = asyncio.Event()
        self._room.set()
        sock.setblocking(False)

    def send(self, document: Document, fds: list[int] | None = None) -> None:
        data = json.dumps(document).encode()
        if self._sock.fileno() < 0:
            return
        if not self._out:
            try:
                unix.send(self._sock, data, fds or ())
                return
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
            except OSError:
                return  # the other side is gone; its end is read by `receive`
        self._out.append((data, [os.dup(fd) for fd in fds or ()]))
        if len(self._out) > 256:
            self._room.clear()

    async def room(self) -> None:
        """Until the other side has taken most of what was sent."""
        await self._room.wait()

    def _flush(self) -> None:
        while self._out:
            data, fds = self._out[0]
            try:
                unix.send(self._sock, data, fds)
            except BlockingIOError:
                return
            except OSError:
                self._out.clear()
                break
            self._out.popleft()
            for fd in fds:
                os.close(fd)
        self._room.set()
        self._loop.remove_writer(self._sock.fileno())

    async def receive(self) -> tuple[Document, list[int]] | None:
        """The next message that is no answer to `ask`; None at the end."""
        while True:
            try:
                data, fds = unix.receive(self._sock)
            except BlockingIOError:
                await self._readable()
                continue
            except OSError:
                return None
            if not data:
                return None
            found = json.loads(data)
            answer = self._answers.pop(found.get("re", 0), None)
            if answer is None:
                return found, fds
            if not answer.done():
                answer.set_result((found, fds))

    async def _readable(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._sock.fileno(), _wake, waiter)
        try:
            await waiter
        finally:
            if self._sock.fileno() >= 0:
                self._loop.remove_reader(self._sock.fileno())

    async def ask(self, document: Document) -> tuple[Document, list[int]]:
        """The other side's answer; somebody has to `receive` meanwhile."""
        self._number += 1
        answer: asyncio.Future[tuple[Document, list[int]]] = self._loop.create_future()
        self._answers[self._number] = answer
        self.send({**document, "n": self._number})
        return await answer

    def half_close(self) -> None:
        """Says no more; the other side reads the end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
