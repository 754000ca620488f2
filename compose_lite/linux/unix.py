"""unix(7): messages with descriptors over SOCK_SEQPACKET and SOCK_DGRAM sockets, and sockets with paths of any length.

Works on `_socket.socket` too, so that the zygote need not import `socket`. Received descriptors are close-on-exec.
"""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_DESCRIPTORS = 64
_INT = 4
_ROOM = 1 << 18


def socketpair(kind: int = _socket.SOCK_SEQPACKET) -> tuple[_socket.socket, _socket.socket]:
    """socketpair(2) of AF_UNIX, both ends close-on-exec and blocking."""
    one, other = _socket.socketpair(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
    return one, other


def send(sock: _socket.socket, data: bytes, fds: Sequence[int] = (), flags: int = 0) -> int:
    """sendmsg(2) of one message; the descriptors are duplicated by the kernel, the caller keeps its own."""
    if not fds:
        return sock.send(data, flags | _socket.MSG_NOSIGNAL)
    packed = b"".join(fd.to_bytes(_INT, "little", signed=True) for fd in fds)
    return sock.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)], flags | _socket.MSG_NOSIGNAL)


def receive(sock: _socket.socket, room: int = _ROOM) -> tuple[bytes, list[int]]:
    """recvmsg(2) of one message. `b""` is the end. The descriptors are the caller's to close.

    When the other side ended without having read all of ours, the kernel says ECONNRESET once and before what that side has sent.
    """
    space = _socket.CMSG_SPACE(MOST_DESCRIPTORS * _INT)
    try:
        data, extra, flags, _ = sock.recvmsg(room, space, _socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        data, extra, flags, _ = sock.recvmsg(room, space, _socket.MSG_CMSG_CLOEXEC)
    fds = list(_descriptors(extra))
    if flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
        for fd in fds:
            os.close(fd)
        raise OSError(90, "a message was cut off")  # EMSGSIZE
    return data, fds


def _descriptors(extra: list[tuple[int, int, bytes]]) -> Iterator[int]:
    for level, kind, packed in extra:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            for at in range(0, len(packed) - len(packed) % _INT, _INT):
                yield int.from_bytes(packed[at : at + _INT], "little", signed=True)


class ShortPath:
    """A path for bind(2) and connect(2) below 108 bytes, whatever the folder: /proc/self/fd/<folder>/<name>."""

    def __init__(self, path: str) -> None:
        folder, self.name = os.path.split(path)
        self.fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self.fd}/{self.name}"

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def listen(path: str, kind: int = _socket.SOCK_SEQPACKET, backlog: int = 16) -> _socket.socket:
    """A listening (or for SOCK_DGRAM bound) socket of mode 0600 at the path; an old one there is replaced."""
    sock = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    before = os.umask(0o177)
    try:
        with ShortPath(path) as short:
            sock.bind(short)
    finally:
        os.umask(before)
    if kind != _socket.SOCK_DGRAM:
        sock.listen(backlog)
    return sock


def accept(sock: _socket.socket) -> _socket.socket:
    """accept4(2); the new socket is close-on-exec and blocking."""
    fd, _ = sock._accept()  # type: ignore[attr-defined]
    return _socket.socket(fileno=fd)


def connect(path: str, kind: int = _socket.SOCK_SEQPACKET) -> _socket.socket:
    """connect(2) to the socket at the path."""
    sock = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
    try:
        with ShortPath(path) as short:
            sock.connect(short)
    except BaseException:
        sock.close()
        raise
    return sock
