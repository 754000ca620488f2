"""The gate to the kernel: libc by ctypes, an OSError with the call and its operands in it, EINTR retried.

PyDLL keeps the interpreter's lock, as all callers are single-threaded between fork and exec and clone3's child must not
wait for a lock. Numbers from 424 on are the same on every architecture; older ones are in one table.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

libc = ctypes.PyDLL(None, use_errno=True)
_EINTR = 4
_MACHINE = os.uname().machine

_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capget": 125, "capset": 126, "keyctl": 250, "seccomp": 317, "rt_sigaction": 13, "bpf": 321},
    "aarch64": {"pivot_root": 41, "capget": 90, "capset": 91, "keyctl": 219, "seccomp": 277, "rt_sigaction": 134, "bpf": 280},
}.get(_MACHINE, {}) | {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}  # fmt: skip

libc.syscall.restype = ctypes.c_long


def failed(what: str, operands: tuple[Any, ...], number: int | None = None) -> OSError:
    """The OSError of a call: `[Errno 2] openat2(5, 'etc/passwd'): No such file or directory`."""
    errno = ctypes.get_errno() if number is None else number
    shown = ", ".join(repr(one) for one in operands)
    return OSError(errno, f"{what}({shown}): {os.strerror(errno)}")


def syscall(name: str, *args: Any) -> int:
    """syscall(2) by name. Arguments: int, bytes, None, ctypes pointers."""
    number = _NUMBERS.get(name)
    if number is None:
        raise OSError(38, f"{name}: no call number known for {_MACHINE}")
    passed = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    while True:
        result = int(libc.syscall(ctypes.c_long(number), *passed))
        if result >= 0:
            return result
        if ctypes.get_errno() != _EINTR:
            raise failed(name, tuple(arg for arg in args if isinstance(arg, int | bytes)))


def call(name: str, *args: Any) -> int:
    """A libc function that returns -1 and sets errno."""
    while True:
        result = int(getattr(libc, name)(*args))
        if result != -1:
            return result
        if ctypes.get_errno() != _EINTR:
            raise failed(name, args)


def write_file(path: str | bytes, *texts: str | bytes, flags: int = 0) -> None:
    """One write(2) a text to an existing kernel file. Buffered files would lose the error in their destructor."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags)
    try:
        for text in texts:
            os.write(fd, text.encode() if isinstance(text, str) else text)
    finally:
        os.close(fd)


def waiting_bytes(fd: int, request: int) -> int:
    """What ioctl(2) counts: FIONREAD, to be read from a pipe, socket or terminal; TIOCOUTQ, sent and not yet read by the other side."""
    return int.from_bytes(fcntl.ioctl(fd, request, bytes(4)), sys.byteorder)


def read_file(path: str | bytes, dir_fd: int | None = None) -> bytes:
    """A whole kernel file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def prctl(option: int, *args: int) -> int:
    """prctl(2)."""
    return call("prctl", option, *(ctypes.c_ulong(arg) for arg in (*args, 0, 0, 0, 0)[:4]))


def set_name(text: bytes) -> None:
    """The process's name, at most 15 bytes of it: PR_SET_NAME."""
    prctl(15, ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0)
