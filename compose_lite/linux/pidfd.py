"""pidfd_open(2), pidfd_send_signal(2), and who a process is: (boot id, pid, start time), checked after the descriptor is open."""

from __future__ import annotations

import os

from compose_lite.linux.syscall import read_file, syscall


def boot_id() -> str:
    """Another one means that every process recorded is gone."""
    return read_file("/proc/sys/kernel/random/boot_id").decode().strip()


def start_time(pid: int, proc: int | None = None) -> int:
    """Clock ticks after boot at which the process began (proc(5), field 22 of stat); 0 when there is none.

    proc: a descriptor of the /proc that counts pids as the caller does, when that is no longer what lies on /proc.
    """
    try:
        stat = read_file(f"/proc/{pid}/stat") if proc is None else read_file(f"{pid}/stat", dir_fd=proc)
    except OSError:
        return 0
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def is_zombie(pid: int) -> bool:
    try:
        stat = read_file(f"/proc/{pid}/stat")
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] in (b"Z", b"X")


def is_alive(pid: int, started: int) -> bool:
    """That process (its start time as `start_time` gives it), not one which has its pid now, nor one that has ended."""
    return start_time(pid) == started and not is_zombie(pid)


def zombie_status(pid: int) -> int | None:
    """Exit status (128+n for signal n) of a process that has ended and was not reaped yet; None when it is not that.

    proc(5), field 52 of stat, which only those may read who may trace the process: as root of the machine always.
    """
    try:
        stat = read_file(f"/proc/{pid}/stat")
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] not in (b"Z", b"X") or os.geteuid() != 0:
        return None
    status = int(fields[49])
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def open_pidfd(pid: int) -> int:
    return os.pidfd_open(pid)


def open_same(pid: int, started: int) -> int:
    """A pidfd of the process that is meant, ProcessLookupError when that one is gone (and its number maybe somebody else's)."""
    fd = os.pidfd_open(pid)
    if start_time(pid) != started:
        os.close(fd)
        raise ProcessLookupError(3, f"process {pid} of start time {started} is gone")
    return fd


def send_signal(fd: int, signal: int) -> None:
    syscall("pidfd_send_signal", fd, signal, None, 0)
