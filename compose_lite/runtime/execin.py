"""One more process in a running container (exec): joins its cgroup and namespaces, then the same last steps as init.

Runs in a fork of the zygote. That fork joins, clones the program as the zygote's own child (CLONE_PARENT), tells what became of it
and ends: an exec costs no process that stays.
"""

from __future__ import annotations

import os

from compose_lite.linux import cgroups, namespaces, pidfd, unix
from compose_lite.linux.syscall import read_file
from compose_lite.runtime import child, init, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping
    from typing import Any

_ALL = namespaces.NEWNS | namespaces.NEWCGROUP | namespaces.NEWUTS | namespaces.NEWIPC | namespaces.NEWPID | namespaces.NEWNET


def enter(header: Mapping[str, Any], process: dict[str, Any], fds: Mapping[str, int]) -> tuple[int, int, int]:
    """Starts it: (pid, start time, terminal's master or -1) once execve has worked. StartError otherwise."""
    state = messages.decode(read_file(f"{header['bundle']}/state.json"))
    try:
        target = pidfd.open_same(state["pid"], state["start"])
    except ProcessLookupError:
        raise child.StartError(128, f"container {header['id']} is not running") from None
    if pidfd.is_zombie(state["pid"]):
        raise child.StartError(128, f"container {header['id']} is not running")
    if state.get("runtime"):
        from compose_lite.runtime import foreign

        return foreign.enter(header, process, fds, state)
    group = cgroups.Group.of(state["cgroup"])
    stdio = _stdio(header, fds)
    sync, theirs = unix.socketpair()
    outer_proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # the container's own counts pids differently
    inside = bool(state["user_namespace"])
    unified = group.open_unified() if group and not inside else -1  # CLONE_INTO_CGROUP is not for root inside
    try:
        if inside:
            from compose_lite.runtime import nested

            nested.raise_before(process)
            nested.give_pipes(stdio, nested.root_of(state["pid"]))
        if group:
            group.join(os.getpid(), born_in_unified=unified >= 0)
        kinds = _foreign(state["pid"])
        # With nsdelegate, as systemd mounts the tree, nobody comes into a group out of one that the cgroup namespace does not have (ENOENT)
        late = kinds & namespaces.NEWCGROUP if unified >= 0 else 0
        namespaces.setns(target, (kinds & ~late) | (namespaces.NEWUSER if inside else 0))
        if inside:
            namespaces.become_root_inside()
        pid = namespaces.clone3(namespaces.PARENT, unified)
    except OSError as error:
        raise child.StartError(128, f"cannot enter container {header['id']}: {error.strerror}") from error
    if pid == 0:
        sync.close()
        _become(header, process, state, theirs, stdio, (target, late))
    theirs.close()
    started = pidfd.start_time(pid, outer_proc)
    return pid, started, _await_execve(sync)


def _stdio(header: Mapping[str, Any], fds: Mapping[str, int]) -> list[int]:
    if header["tty"]:
        return []
    if "0" in fds:
        return [fds["0"], fds["1"], fds["2"]]
    return [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)] * 3


def _become(
    header: Mapping[str, Any],
    process: dict[str, Any],
    state: Mapping[str, Any],
    sync: _socket.socket,
    stdio: list[int],
    late: tuple[int, int],
) -> None:
    """late: pidfd of the container, and the namespaces that are still to be joined."""
    try:
        if late[1]:
            namespaces.setns(*late)
        os.setsid()
        os.umask(0o022)
        terminal = bool(header["tty"])
        if terminal:
            folder = os.open("/dev/pts", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            master, slave, _ = init.open_terminal(folder, header.get("console"))
            unix.send(sync, messages.encode({"ready": True}), [master])
            os.close(master)
            stdio = [slave, slave, slave]
        init.take_stdio(stdio, process, terminal=terminal)
        init.become_program(process, state["seccomp"], {}, sync)
    except child.StartError as error:
        child.report(sync, error.status, error.says)
    except OSError as error:
        child.report(sync, 128, error.strerror or str(error))
    except BaseException as error:
        child.report(sync, 128, f"{type(error).__name__}: {error}")
    os._exit(128)


def _await_execve(sync: _socket.socket) -> int:
    """What it sends: maybe a terminal (returned), then an error or, when execve has worked, the end."""
    master = -1
    while True:
        data, fds = unix.receive(sync)
        if not data:
            return master
        found = messages.decode(data)
        if "error" in found:
            raise child.StartError(found["error"]["status"], found["error"]["says"])
        master = fds[0] if fds else master


def _foreign(pid: int) -> int:
    """The flags of those namespaces of the process that are not ours already: rootless, the machine's own may not even be rejoined."""
    found = 0
    for flag, file in namespaces.KINDS.values():
        if flag & _ALL and os.readlink(f"/proc/{pid}/ns/{file}") != os.readlink(f"/proc/self/ns/{file}"):
            found |= flag
    return found
