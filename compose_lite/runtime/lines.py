"""The engine's lines to its helpers: the standing one to a zygote, and one question at a time to a monitor.

Never blocks the event loop. What is said on them is in messages.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compose_lite.errors import ContainerError
from compose_lite.handoff import zygote_command
from compose_lite.linux import unix
from compose_lite.runtime import messages
from compose_lite.runtime.answers import StartFailed
from compose_lite.runtime.waiting import ready

Document = dict[str, Any]
Answer = tuple[Document, list[int]]  # and the descriptors that came with it, the receiver's to close
ZYGOTE_SOCKET = "zygote.sock"
_ATTEMPTS, _RECONNECT_SECONDS = 5, 10.0


class ZygoteLine:
    """Numbered questions to one zygote, and to the next one when it was killed.

    tell: what the zygote says unasked. lost: it is dead. renews: whether `reconnect` is called then.
    """

    def __init__(self, sock: socket.socket, tell: Callable[[Document], None], lost: Callable[[], None], renews: Callable[[], bool]) -> None:
        self._tell, self._lost, self._renews = tell, lost, renews
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._lost_on: socket.socket | None = None
        self._number = 0
        self.reconnect(sock)

    def reconnect(self, sock: socket.socket) -> None:
        """Goes on with another zygote (`open_zygote`)."""
        sock.setblocking(False)
        self._sock = sock
        for _, fds in self._outbox:
            close_all(fds)
        self._outbox.clear()
        self._loop.add_reader(sock.fileno(), self._hear)

    def close(self) -> None:
        """Leaves the zygote alone."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()

    async def ask(self, header: Mapping[str, Any], body: bytes, fds: Sequence[int]) -> Answer:
        """Raises StartFailed with what it answers, ContainerError `zygote-lost`."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answers[number] = answer
        try:
            self._send(messages.join({**header, "v": messages.VERSION, "n": number}, body), fds)
            found, got = await answer
        finally:
            self._answers.pop(number, None)
        raise_error(found, got)
        return found, got

    async def ask_again(self, header: Mapping[str, Any], body: bytes, fds: Sequence[int]) -> Answer:
        """The next zygote is asked when one is killed over it. A fork of a dead one still answers for itself before we see its end,
        so what is asked again was not done."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self.ask(header, body, fds)
            except ContainerError as error:
                if error.code != "zygote-lost" or not await self.reconnected():
                    raise
        return await self.ask(header, body, fds)

    async def reconnected(self) -> bool:
        """After a loss: whether there is another zygote; waits for it."""
        if not self._renews():
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECONNECT_SECONDS):
                while self._sock is self._lost_on or self._sock.fileno() < 0:
                    await asyncio.sleep(0.01)
                return True
        return False

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        """Sends now, or when the zygote can take it; descriptors that have to wait are duplicated, the caller may close its own."""
        if len(data) > messages.LONGEST:
            memfd = os.memfd_create("message", os.MFD_CLOEXEC)
            with open(memfd, "wb", closefd=False) as file:
                file.write(data)
            self._send(messages.LONG, [memfd, *fds])
            os.close(memfd)
            return
        if not self._outbox:
            try:
                unix.send(self._sock, data, fds)
                return
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
            except OSError as error:
                self._lost_on = self._sock  # its end is heard in a moment
                raise ContainerError("zygote-lost", f"the process that starts containers is gone: {error.strerror}") from error
        self._outbox.append((data, [os.dup(fd) for fd in fds]))

    def _flush(self) -> None:
        while self._outbox:
            data, fds = self._outbox[0]
            try:
                unix.send(self._sock, data, fds)
            except BlockingIOError:
                return
            except OSError:
                break
            self._outbox.popleft()
            close_all(fds)
        self._loop.remove_writer(self._sock.fileno())

    def _hear(self) -> None:
        while True:
            try:
                data, fds = unix.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lose()
                return
            self._take(messages.decode(data), fds)

    def _take(self, found: Document, fds: list[int]) -> None:
        answer = self._answers.get(found.get("re", 0))
        if answer is not None and not answer.done():
            answer.set_result((found, fds))
            return
        close_all(fds)
        if "re" not in found:
            self._tell(found)

    def _lose(self) -> None:
        self.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ContainerError("zygote-lost", "the process that starts containers was killed; try again"))
        self._lost()


async def talk(sock: socket.socket, message: Mapping[str, Any]) -> Answer:
    """One question to a monitor. Raises StartFailed with what it answers, ContainerError `monitor-gone`."""
    sock.send(messages.encode({**message, "v": messages.VERSION}))
    try:
        found, fds = await hear(sock)
    except OSError as error:
        raise ContainerError("monitor-gone", f"the container's monitor is gone: {error.strerror}") from error
    if found is None:
        raise ContainerError("monitor-gone", "the container's monitor is gone")
    raise_error(found, fds)
    return found, fds


async def hear(sock: Any) -> tuple[Document | None, list[int]]:
    """The next message of a socket that does not block; None at its end."""
    while True:
        try:
            data, fds = unix.receive(sock)
            return messages.decode(data) if data else None, fds
        except BlockingIOError:
            await ready(sock, write=False)


def raise_error(found: Mapping[str, Any], fds: list[int]) -> None:
    """StartFailed, if that is what the answer says."""
    error = found.get("error")
    if error is not None:
        close_all(fds)
        raise StartFailed(error["status"], error["says"], killed=bool(error.get("killed")))


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def open_zygote(run: Path, network: int | None = None) -> socket.socket:
    """A connection to the zygote of this run folder: the one that lives and speaks our version, else a new one.

    network: the network namespace that a new one is to stand in, when it is not ours (rootless).
    The new one is a fresh, isolated interpreter, so that neither this process's memory nor its environment is in it.
    """
    with contextlib.suppress(OSError):
        sock = socket.socket(fileno=unix.connect(str(run / ZYGOTE_SOCKET)).detach())
        sock.settimeout(2)
        with contextlib.suppress(OSError, ValueError):
            sock.send(messages.join({"op": "hello", "v": messages.VERSION, "n": 0, "names": []}, b""))
            if messages.decode(sock.recv(4096)).get("v") == messages.VERSION:
                sock.settimeout(None)
                return sock
        sock.close()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        inherited = [os.dup(network)] if network is not None else []
        try:
            for fd in inherited:
                os.set_inheritable(fd, True)
            pid = os.posix_spawn(
                sys.executable,
                zygote_command("serve", theirs.fileno(), run, *inherited),
                {},
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)],
                setsid=True,
            )
        finally:
            for fd in inherited:
                os.close(fd)
        os.waitpid(pid, 0)  # it goes on as a fork, which is nobody's zombie
    return ours
