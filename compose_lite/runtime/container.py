"""The parent's half of a start: pipes, cgroup, namespaces, clone3, id maps, and the hand-shake with init.

Runs in a fresh fork of the zygote that becomes the container's monitor. Whatever fails is told to the client in Docker's
words and leaves nothing behind but the bundle folder.
"""

from __future__ import annotations

import errno
import os
import select

from compose_lite.linux import cgroups, namespaces, pidfd, unix
from compose_lite.linux.syscall import read_file
from compose_lite.runtime import child, init, messages, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping, Sequence
    from typing import Any


class Born:
    """A container that waits at the gate, and all that its monitor holds of it."""

    __slots__ = ("group", "helpers", "inputs", "keep", "outputs", "pid", "state", "sync", "unmet")

    def __init__(self) -> None:
        self.pid = 0
        self.inputs = -1  # where the container's stdin is written; a terminal's master
        self.outputs: dict[int, str] = {}  # descriptor → stream
        self.keep: dict[str, int] = {}
        self.unmet: list[str] = []
        self.helpers: list[int] = []  # ended children of the monitor's that it has to reap
        self.state: dict[str, Any] = {}
        self.group: cgroups.Group
        self.sync: _socket.socket


def give_birth(launch: dict[str, Any], bundle: str, fds: Mapping[str, int], monitor: int = 0) -> Born:
    """Up to the gate. StartError or OSError; everything that was made is undone then.

    monitor: our parent's pid, whose child the container is to be; 0: ours.
    """
    born = Born()
    config = launch["config"]
    linux = config.get("linux") or {}
    born.keep = {name[5:]: fd for name, fd in fds.items() if name.startswith("keep:")}
    for entry in config.get("mounts") or ():
        if str(entry.get("source") or "").startswith("fd:"):
            entry["fd"] = fds[entry["source"][3:]]
    resources = linux.get("resources") or {}
    name = linux.get("cgroupsPath") or f"{launch['cgroup_parent'].rstrip('/')}/{launch['id']}"
    born.group, born.unmet = cgroups.make("/" + name.strip("/"), resources)
    try:
        if resources.get("devices") and os.geteuid() == 0 and not _in_user_namespace():
            born.unmet += born.group.apply_devices(resources["devices"])
        if launch.get("overlay") and not (config.get("root") or {}).get("path"):
            os.makedirs(f"{bundle}/rootfs", 0o755, exist_ok=True)  # here, as another user's root may not
        held = _map_mounts(config.get("mounts") or (), linux.get("uidMappings"))
        stdio = make_stdio(born, launch)
        born.sync, theirs = unix.socketpair()
        flags, joins, users = _namespaces(linux, fds)
        if users >= 0:
            from compose_lite.runtime import nested  # root's remapping only

            owner = nested.owner(launch)
            held += [*nested.prepare(launch, bundle, users), users]
            nested.give_pipes(stdio, owner)
            born.pid, helper = nested.clone(flags, joins, users, born.group, config["process"], bundle)
            born.helpers.append(helper)
        else:
            born.pid = _clone(flags | (namespaces.PARENT if monitor else 0), joins, born.group)
        if born.pid == 0:
            born.sync.close()
            init.become_container(launch, bundle, theirs, stdio, born.group, flags)
        theirs.close()
        for fd in {*stdio, *held}:
            os.close(fd)
        _complete(born, linux, flags)
        if config.get("hooks"):
            from compose_lite.runtime import hooks  # few containers have any

            hooks.prepare(config, bundle, launch["id"], born.pid)
        born.state = state(born, launch, linux, monitor)
    except BaseException:
        undo(born)
        raise
    return born


def _map_mounts(entries: Sequence[dict[str, Any]], containers: object) -> list[int]:
    """Here and not in init, which does not see itself in the outer /proc: user namespaces for mounts with mappings of their own,
    which are not the container's."""
    made = []
    for entry in entries:
        if entry.get("uidMappings") and entry["uidMappings"] != containers:
            entry[rootfs.MAPPED_BY] = namespaces.user_namespace(entry["uidMappings"], entry.get("gidMappings") or entry["uidMappings"])
            made.append(entry[rootfs.MAPPED_BY])
    return made


def make_stdio(born: Born, launch: Mapping[str, Any]) -> list[int]:
    """The container's descriptors 0, 1, 2, unless it gets a terminal."""
    if launch.get("tty"):
        return []
    if launch.get("stdin", "none") == "none":
        stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    else:
        stdin, born.inputs = os.pipe()
        os.set_blocking(born.inputs, False)
    stdio = [stdin]
    for stream in ("stdout", "stderr"):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        born.outputs[reading] = stream
        stdio.append(writing)
    return stdio


def _namespaces(linux: Mapping[str, Any], fds: Mapping[str, int]) -> tuple[int, list[tuple[int, int]], int]:
    """Flags of the new namespaces, (descriptor, flag) of those to join, and the user namespace to be born in (-1: none that is there
    already). The cgroup namespace is init's to make."""
    flags, joins, users = namespaces.NEWNS, [], -1
    for entry in linux.get("namespaces") or ():
        known = namespaces.KINDS.get(entry["type"])
        if known is None:
            raise child.StartError(128, f"unknown namespace {entry['type']!r}")
        flag, path = known[0], entry.get("path")
        if path and flag == namespaces.NEWUSER and path.startswith("fd:"):
            users = os.dup(fds[path[3:]])
            continue
        if path and flag in (namespaces.NEWUSER, namespaces.NEWNS, namespaces.NEWTIME):
            raise child.StartError(128, f"joining a {entry['type']} namespace is not supported")
        if path:
            fd = fds[path[3:]] if path.startswith("fd:") else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            joins.append((fd, flag))
        elif flag not in (namespaces.NEWCGROUP, namespaces.NEWTIME):
            flags |= flag
    return flags, joins, users


def _clone(flags: int, joins: list[tuple[int, int]], group: cgroups.Group) -> int:
    """Joins by the parent, for the child to be born in them: in a user namespace of its own it would not be allowed to any more."""
    own = [(os.open(f"/proc/self/ns/{file}", os.O_RDONLY | os.O_CLOEXEC), flag) for flag, file in _files(joins)]
    unified = group.open_unified()
    for fd, flag in joins:
        namespaces.setns(fd, flag)
    try:
        try:
            pid = namespaces.clone3(flags, unified)
        except OSError as error:
            if unified < 0 or error.errno not in (errno.EACCES, errno.EBUSY, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            pid = namespaces.clone3(flags)
    except OSError as error:
        raise child.StartError(128, f"cannot create the container's namespaces: {os.strerror(error.errno or 0).lower()}") from error
    if pid == 0:
        return 0
    for fd, flag in own:
        _come_back(fd, flag)
        os.close(fd)
    for fd, _ in joins:
        os.close(fd)
    if unified >= 0:
        os.close(unified)
    return pid


def _come_back(fd: int, flag: int) -> None:
    """An ordinary user's monitor may not rejoin the machine's own pid or ipc namespace. It has no other children and shares no
    memory, so it may as well stay in the container's."""
    try:
        namespaces.setns(fd, flag)
    except OSError as error:
        if error.errno != errno.EPERM or flag == namespaces.NEWNET:
            raise


def _files(joins: list[tuple[int, int]]) -> list[tuple[int, str]]:
    by_flag = dict(namespaces.KINDS.values())
    return [(flag, by_flag[flag]) for _, flag in joins]


def _complete(born: Born, linux: Mapping[str, Any], flags: int) -> None:
    """Maps, cgroup, then the word to go on; waits for the gate."""
    if flags & namespaces.NEWUSER:
        namespaces.write_id_maps(born.pid, linux.get("uidMappings") or (), linux.get("gidMappings") or ())
    try:
        born.group.join(born.pid)
    except OSError as error:
        raise child.StartError(128, f"cannot move the container into its cgroup: {error.strerror}") from error
    _say(born.sync, "go")
    fds = hear(born.sync)
    if fds:
        born.inputs = fds[0]
        os.set_blocking(fds[0], False)
        born.outputs[fds[0]] = "stdout"


def _say(sync: _socket.socket, word: str, **more: object) -> None:
    try:
        unix.send(sync, messages.encode({word: True, **more}))
    except OSError:
        pass  # it has already said why it ends


def hear(sync: _socket.socket) -> list[int]:
    """What init says next: descriptors when it is ready; its error as StartError."""
    data, fds = unix.receive(sync)
    if not data:
        raise child.StartError(128, "the container's process ended before it was ready (killed, or out of memory within its limit)")
    found = messages.decode(data)
    if "error" in found:
        raise child.StartError(found["error"]["status"], found["error"]["says"])
    return fds


def let_go(born: Born, mounts: Sequence[Mapping[str, Any]] | None = None) -> None:
    """Opens the gate. Init's answer comes on `sync`: an error, or its end when execve has worked. mounts: for the config's late ones."""
    _say(born.sync, "start", **({} if mounts is None else {"mounts": mounts}))


def state(born: Born, launch: Mapping[str, Any], linux: Mapping[str, Any], monitor: int = 0) -> dict[str, Any]:
    """state.json: all that an exec, a second monitor or a new engine has to know. monitor: its pid; 0: we are it."""
    return {
        "v": messages.VERSION,
        "id": launch["id"],
        "boot": pidfd.boot_id(),
        "pid": born.pid,
        "start": pidfd.start_time(born.pid),
        "monitor": monitor or os.getpid(),
        "monitor_start": pidfd.start_time(monitor or os.getpid()),
        "cgroup": born.group.document(),
        "log": launch["log"],
        "tty": launch["tty"],
        "stdin": launch["stdin"],
        "notify": launch["notify"],
        "seccomp": launch.get("seccomp") or "",
        "user_namespace": any(one["type"] == "user" for one in linux.get("namespaces") or ()),
        "keep": list(born.keep),
    }


def write_json(folder: str, name: str, document: Mapping[str, Any]) -> None:
    """Old or new after any crash; the folder is on tmpfs, so nothing is synced."""
    temporary = f"{folder}/.{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, messages.encode(dict(document)))
    finally:
        os.close(fd)
    os.rename(temporary, f"{folder}/{name}")


def read_state(folder: str) -> bytes:
    return read_file(f"{folder}/state.json")


def undo(born: Born) -> None:
    if born.pid:
        try:
            end = pidfd.open_pidfd(born.pid)
            pidfd.send_signal(end, 9)
            select.select([end], [], [])  # it may be our parent's child
            os.close(end)
            os.waitpid(born.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
    born.group.remove_now()


def _in_user_namespace() -> bool:
    """In one that is not the machine's first, device nodes cannot be made, so their rules neither need nor can be set."""
    return read_file("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]
