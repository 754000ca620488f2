"""What a container in a user namespace that was made for it gets from outside, while we are still the machine's root.

Mounts as descriptors: nobody inside may reach the machine's folders, nor map the ids of its file systems. On disk everything stays
owned as without a user namespace (idmapped mounts, mount_setattr(2)); that holds for the root's layers, its upper folder and volumes.
What may only be raised by the machine's root: resource limits, the OOM score, the owner of pipes. Imported by such starts only.
It must never leave a mount on the machine: what has to stand somewhere stands in the mount namespace of a short-lived fork.
"""

from __future__ import annotations

import errno
import os
import stat

from compose_lite.linux import capabilities, cgroups, namespaces, unix
from compose_lite.linux import mount as mounts
from compose_lite.linux.syscall import read_file, write_file
from compose_lite.runtime import child, init, messages, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_NO_IDMAP = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def prepare(launch: Mapping[str, Any], bundle: str, users: int) -> list[int]:
    """Gives the launch's overlay and binds their `fd`. users: the namespace. Returns all descriptors made, the caller's to close."""
    made: list[int] = []
    try:
        overlay = launch.get("overlay")
        if overlay is not None:
            os.makedirs(f"{bundle}/rootfs", 0o755, exist_ok=True)
            overlay["fd"] = _made_elsewhere(overlay, bundle, users, owner(launch))
            made.append(overlay["fd"])
        own = launch["config"]["linux"].get("uidMappings")
        for entry in launch["config"].get("mounts") or ():
            words = entry.get("options") or ()
            ours = entry.get("uidMappings") == own
            if entry.get("fd") is not None and ours:
                _map(entry["fd"], users, strict=False)
            elif entry.get("fd") is None and ("bind" in words or "rbind" in words):
                entry["fd"] = _tree(entry, users if ours else entry.get(rootfs.MAPPED_BY), "rbind" in words)
                made.append(entry["fd"])
            elif entry.get("type") == "overlay":
                lower = [word[9:] for word in words if word.startswith("lowerdir=")]
                entry["fd"] = _made_elsewhere({"lower": mounts.unescaped(lower[0])[::-1]}, bundle, users, owner(launch))
                made.append(entry["fd"])
    except BaseException:
        for fd in made:
            os.close(fd)
        raise
    return made


def owner(launch: Mapping[str, Any]) -> tuple[int, int]:
    """The machine's ids of root inside."""
    linux = launch["config"]["linux"]
    return linux["uidMappings"][0]["hostID"], linux["gidMappings"][0]["hostID"]


def _tree(entry: Mapping[str, Any], users: int | None, recursive: bool) -> int:
    """A detached copy of what is at the source, idmapped when `users` is given."""
    source = str(entry["source"])
    try:
        tree = mounts.open_tree(source, recursive=recursive and users is None)
    except OSError as error:
        raise OSError(
            error.errno, f'error mounting "{source}" to rootfs at "{entry["destination"]}": {os.strerror(error.errno or 0).lower()}'
        ) from None
    if users is not None:
        _map(tree, users, strict=bool(entry.get(rootfs.MAPPED_BY)))
    return tree


def _map(tree: int, users: int, *, strict: bool) -> None:
    """strict: a file system that has no idmapped mounts (NFS) is an error; else its ids stay as they are, as with Docker."""
    try:
        mounts.map_ids(tree, users)
    except OSError as error:
        if strict or error.errno not in _NO_IDMAP:
            raise


def _made_elsewhere(overlay: Mapping[str, Any], bundle: str, users: int, owner: tuple[int, int]) -> int:
    """A detached overlay, put together in a fork's own mount namespace."""
    ours, theirs = unix.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            namespaces.unshare(namespaces.NEWNS)
            mounts.mount(None, "/", None, mounts.PRIVATE | mounts.REC)
            unix.send(theirs, messages.encode({}), [_overlay(overlay, bundle, users, owner)])
        except OSError as error:
            child.report(theirs, 128, error.strerror or str(error))
        except BaseException as error:
            child.report(theirs, 128, repr(error))
        os._exit(0)
    theirs.close()
    try:
        data, fds = unix.receive(ours)
    finally:
        ours.close()
        os.waitpid(pid, 0)
    if not fds:
        raise child.StartError(128, messages.decode(data)["error"]["says"] if data else "the root file system's maker was killed")
    return fds[0]


def _overlay(overlay: Mapping[str, Any], bundle: str, users: int, owner: tuple[int, int]) -> int:
    """Its layers are reached by idmapped mounts on a tmpfs; what overlayfs itself makes (whiteouts) is made by root inside."""
    place = f"{bundle}/rootfs"
    mounts.mount("tmpfs", place, "tmpfs", 0, "mode=755")
    lower = list(overlay["lower"])
    shared = os.path.commonpath(lower) if len(lower) > 1 else ""
    if shared not in ("", "/"):
        mapped = {**overlay, "lower": [f"{_mapped(shared, place, 'lower', users)}/{os.path.relpath(one, shared)}" for one in lower]}
    else:
        mapped = {**overlay, "lower": [_mapped(one, place, f"lower{n}", users) for n, one in enumerate(lower)]}
    if overlay.get("upper"):
        above = os.path.commonpath([overlay["upper"], overlay["work"]])
        base = _mapped(above, place, "upper", users)
        mapped |= {key: f"{base}/{os.path.relpath(overlay[key], above)}" for key in ("upper", "work")}
    root = f"{place}/root"
    os.mkdir(root)
    with capabilities.files_as(*owner):
        rootfs.mount_overlay(root, mapped, ())
    return mounts.open_tree(root)


def _mapped(folder: str, place: str, name: str, users: int) -> str:
    target = f"{place}/{name}"
    if os.path.isdir(target):
        return target
    os.mkdir(target)
    try:
        mounts.bind_mapped(folder, target, users)
    except OSError as error:
        if error.errno not in _NO_IDMAP:
            raise
        says = f"{folder} cannot be mounted with its ids mapped (userns remapping): its file system or this kernel has no idmapped mounts"
        raise OSError(error.errno, says) from None
    return target


def clone(
    flags: int, joins: Sequence[tuple[int, int]], users: int, group: cgroups.Group, process: Mapping[str, Any], bundle: str
) -> tuple[int, int]:
    """Like namespaces.clone3 with PARENT, born in the user namespace: by another such child that joins all, has it and ends.

    The container's working folder is the root's mount point: by its path it could not reach it. Returns its pid, 0 in it, and the
    helper's, which our parent has to reap.
    """
    told, tells = os.pipe()
    helper = namespaces.clone3(namespaces.PARENT)
    if helper == 0:
        pid = -1
        try:
            raise_before(process)
            if group.unified:  # here, as CLONE_INTO_CGROUP is not for root inside
                write_file(f"{group.unified}/cgroup.procs", "0")
            for fd, flag in joins:  # the machine's root may join whatever is shared
                namespaces.setns(fd, flag)
            os.chdir(f"{bundle}/rootfs")
            namespaces.setns(users, namespaces.NEWUSER)
            namespaces.become_root_inside()
            pid = namespaces.clone3(flags | namespaces.PARENT)
            if pid:
                os.write(tells, str(pid).encode())
        except child.StartError as error:
            os.write(tells, error.says.encode())
        except OSError as error:
            os.write(tells, f"cannot create the container's namespaces: {os.strerror(error.errno or 0).lower()}".encode())
        if pid == 0:
            return 0, 0
        os._exit(0)
    os.close(tells)
    said = os.read(told, 4096).decode()
    os.close(told)
    for fd, _ in joins:
        os.close(fd)
    if not said.isdigit():
        raise child.StartError(128, said or "the container's process ended before it was ready")
    return int(said), helper


def raise_before(process: Mapping[str, Any]) -> None:
    """In the process that is about to join: what its children inherit."""
    for limit in process.get("rlimits") or ():
        init.set_rlimit(limit)
    if process.get("oomScoreAdj") is not None:
        init.set_oom_score(int(process["oomScoreAdj"]))


def give_pipes(stdio: Sequence[int], owner: tuple[int, int]) -> None:
    """Root inside is to own them, so that the program can open /dev/stdout. owner: the machine's ids."""
    for fd in stdio:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, *owner)


def root_of(pid: int) -> tuple[int, int]:
    """The machine's ids of root in that process's user namespace. user_namespaces(7)"""
    uid, gid = (read_file(f"/proc/{pid}/{name}_map").split()[1] for name in ("uid", "gid"))
    return int(uid), int(gid)
