"""The mould: a child of the zygote that does nothing but have monitors, so that its memory stays as it was and they all share it.

What the zygote writes between two forks (reference counts, mostly) is a page of its own in each of its children for as long as they live.
A monitor is the zygote's child all the same (CLONE_PARENT). A mould that was killed is replaced by the next request.

    zygote ──b"+", [request in a memfd, descriptors...]──▶ mould ──clone──▶ monitor ──its pid──▶ zygote
"""

from __future__ import annotations

import os

from compose_lite.linux import namespaces, unix
from compose_lite.linux.syscall import set_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    Become = Callable[[int, list[int]], NoReturn]  # the body of a monitor: memfd of its request, descriptors


_WORD_SECONDS = 10.0


class Mould:
    """The zygote's end of it. become: what each child does; repair: what a fork of the zygote puts right, given what it keeps."""

    def __init__(self, become: Become, repair: Callable[[list[int]], None]) -> None:
        self._become, self._repair = become, repair
        self._sock: _socket.socket | None = None
        self._start()

    def _start(self) -> _socket.socket:
        ours, theirs = unix.socketpair()
        if os.fork() == 0:
            ours.close()
            self._repair([theirs.fileno()])
            set_name(b"cl-mould")
            _serve(theirs, self._become, self._repair)
        theirs.close()
        ours.settimeout(_WORD_SECONDS)  # its child may be killed before its word; one that is only late finds nobody to tell, and ends
        self._sock = ours
        return ours

    def close(self) -> None:
        """It ends."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def fork(self, request: bytes, fds: Sequence[int]) -> int:
        """The pid of a new monitor, which knows it first: without its word there is none, and it was not begun."""
        memfd = os.memfd_create("request", os.MFD_CLOEXEC)
        try:
            os.write(memfd, request)
            for _ in range(2):
                sock = self._sock or self._start()
                try:
                    unix.send(sock, b"+", [memfd, *fds])
                    said = sock.recv(32)
                except OSError:
                    said = b""
                if said:
                    return int(said)
                self.close()
        finally:
            os.close(memfd)
        raise OSError("the process that has monitors was killed")


def _serve(sock: _socket.socket, become: Become, repair: Callable[[list[int]], None]) -> NoReturn:
    while True:
        data, fds = unix.receive(sock)
        if not data:
            os._exit(0)
        if namespaces.clone3(namespaces.PARENT) == 0:
            sock.send(str(os.getpid()).encode())
            repair(fds)
            become(fds[0], fds[1:])
        for fd in fds:
            os.close(fd)
