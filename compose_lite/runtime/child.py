"""What every child of the zygote needs on its way to execve: why it cannot start, and nothing inherited that is ours.

Imported by all who fork: init, execin, hooks and foreign.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import ctypes

from compose_lite.linux import unix
from compose_lite.linux.syscall import syscall
from compose_lite.runtime import messages


class StartError(Exception):
    """Why the program cannot be started, in Docker's words, with the exit status that says so."""

    def __init__(self, status: int, says: str) -> None:
        super().__init__(says)
        self.status, self.says = status, says


def report(sync: _socket.socket, status: int, says: str) -> None:
    try:
        unix.send(sync, messages.encode({"error": {"status": status, "says": says}}))
    except OSError:
        pass


def close_all_but(kept: int) -> None:
    if kept > 3:
        syscall("close_range", 3, kept - 1, 0)
    syscall("close_range", max(kept + 1, 3), 0xFFFFFFFF, 0)


def reset_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and ignored and blocked signals are inherited over execve."""
    for number in range(1, 65):
        if number not in (9, 19, 32, 33) and _signal.getsignal(number) not in (_signal.SIG_DFL, None):
            _signal.signal(number, _signal.SIG_DFL)
    default = ctypes.create_string_buffer(32)  # struct sigaction of the kernel: SIG_DFL, no flags
    for number in (32, 33):  # libc keeps these two to itself and lets nobody reset them
        syscall("rt_sigaction", number, default, None, 8)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
