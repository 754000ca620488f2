"""Pausing without a freezer: an ordinary user without delegated cgroups has none, so every process gets SIGSTOP.

Unlike the freezer it is seen by the processes' parents inside, and what had stopped itself before goes on afterwards.
It must never touch a process of another pid namespace.
"""

from __future__ import annotations

import contextlib
import os
import signal

from compose_lite.linux import namespaces, pidfd

_ROUNDS = 50  # a process may fork while we look


def halt(pid: int) -> bool:
    """Stops all processes of the pid namespace of that one; False when some would not."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        running = [one for one in namespaces.members(pid) if one not in stopped or not _is_stopped(one)]
        if not running:
            return True
        for one in running:
            _signal(pid, one, signal.SIGSTOP)
            stopped.add(one)
    return False


def go_on(pid: int) -> None:
    for one in namespaces.members(pid):
        _signal(pid, one, signal.SIGCONT)


def _signal(first: int, pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        fd = pidfd.open_pidfd(pid)
        try:
            if namespaces.pid_namespace(pid) == namespaces.pid_namespace(first):  # still the same process
                pidfd.send_signal(fd, number)
        finally:
            os.close(fd)


def _is_stopped(pid: int) -> bool:
    """T of proc(5); a dead one counts, it does not run either."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in b"TtZX"
    except OSError:
        return True
