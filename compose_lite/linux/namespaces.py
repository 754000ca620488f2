"""namespaces(7), clone3(2), setns(2), unshare(2), user_namespaces(7) id maps."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import ctypes
import errno
import os

from compose_lite.linux.syscall import call, prctl, syscall, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
PIDFD, PARENT, INTO_CGROUP = 0x1000, 0x8000, 0x200000000
_SIGCHLD = 17
_GET_USERNS, _SET_DUMPABLE = 0xB701, 4

# The OCI's names: clone flag, file in /proc/<pid>/ns.
KINDS = {
    "user": (NEWUSER, "user"),
    "mount": (NEWNS, "mnt"),
    "pid": (NEWPID, "pid"),
    "network": (NEWNET, "net"),
    "ipc": (NEWIPC, "ipc"),
    "uts": (NEWUTS, "uts"),
    "cgroup": (NEWCGROUP, "cgroup"),
    "time": (NEWTIME, "time"),
}


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


def clone3(flags: int, cgroup: int = -1) -> int:
    """Like fork(2): 0 in the child. cgroup: a descriptor of a v2 group it is born in. Only for a single-threaded process."""
    args = _CloneArgs(flags=flags, exit_signal=0 if flags & PARENT else _SIGCHLD)
    if cgroup >= 0:
        args.flags |= INTO_CGROUP
        args.cgroup = cgroup
    return syscall("clone3", ctypes.byref(args), ctypes.sizeof(args))


def setns(fd: int, flags: int = 0) -> None:
    """fd: a namespace file, or a pidfd with the namespaces to join all at once (kernel 5.8)."""
    call("setns", fd, flags)


def unshare(flags: int) -> None:
    call("unshare", flags)


def sethostname(name: str) -> None:
    raw = name.encode()
    call("sethostname", raw, ctypes.c_size_t(len(raw)))


def setdomainname(name: str) -> None:
    raw = name.encode()
    call("setdomainname", raw, ctypes.c_size_t(len(raw)))


def write_id_maps(pid: int, uids: Iterable[Mapping[str, Any]], gids: Iterable[Mapping[str, Any]]) -> None:
    """uid_map and gid_map of OCI mappings, by a writer with CAP_SETUID and CAP_SETGID in the parent namespace."""
    for file, maps in (("uid_map", uids), ("gid_map", gids)):
        lines = "".join(f"{one['containerID']} {one['hostID']} {one['size']}\n" for one in maps)
        write_file(f"/proc/{pid}/{file}", lines)


def user_namespace(uids: Iterable[Mapping[str, Any]], gids: Iterable[Mapping[str, Any]]) -> int:
    """A descriptor of a new user namespace with these maps and nobody in it: for idmapped mounts. Only for a single-threaded process."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            unshare(NEWUSER)
            os.write(done, b"+")
            signal.pause()
        finally:
            os._exit(1)
    os.close(done)
    try:
        if not os.read(ready, 1):
            raise OSError(errno.EPERM, "no user namespace can be made")
        write_id_maps(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def owner(fd: int) -> int:
    """A descriptor of the user namespace that a namespace belongs to. ioctl_ns(2)"""
    return call("ioctl", fd, _GET_USERNS)


def become_root_inside() -> None:
    """After joining a user namespace: its root, and seen as such in /proc (a process that changes its ids is not dumpable)."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    prctl(_SET_DUMPABLE, 1)


def pid_namespace(pid: int) -> str:
    """Its name, as `pid:[...]`; empty when the process is gone or may not be looked at."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def members(pid: int) -> list[int]:
    """All processes of the pid namespace of that one, as we count them."""
    own = pid_namespace(pid)
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and own and pid_namespace(int(name)) == own)
