"""A container's root file system, built inside its own mount namespace: overlay, mounts, devices, covered paths, pivot_root.

Runs in init, before execve; nothing here is seen by the host. Targets are resolved inside the root only (openat2, RESOLVE_IN_ROOT):
links in an image or a volume cannot lead a mount out. Follows the OCI runtime-spec's config-linux.md; order as in runc's rootfs_linux.go.
"""

from __future__ import annotations

import errno
import os
import stat

from compose_lite.linux import mount as mounts
from compose_lite.linux import openat2
from compose_lite.runtime import splitroot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from compose_lite.linux.cgroups import Group

_PAGE = 4096
_UNIFIED = "/sys/fs/cgroup"
# name in /dev, major, minor; name in /dev, target: there in every container (runtime-spec, "Default Devices")
_DEFAULT_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_LINKS = (
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)  # fmt: skip
# What may be mounted inside /proc (lxcfs and the like); all else there could undo the masks.
_INSIDE_PROC = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
    "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
)  # fmt: skip
MAPPED_BY = "x-users"  # of a mount's entry, from container.py: the descriptor of the user namespace that its ids are mapped by
_REFUSED = (errno.EPERM, errno.EACCES)


class Root:
    """The root that is being built: its path in this namespace and an O_PATH descriptor of it."""

    def __init__(self, path: str, group: Group, own_cgroup_namespace: bool) -> None:
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.here = f"/proc/self/fd/{self.fd}"  # works where the folders above are closed to us
        self.path = os.readlink(self.here)
        self.group = group
        self.own_cgroup_namespace = own_cgroup_namespace
        self._empty = -1  # the mount that covers the first masked folder

    # Mounts

    def mount(self, entry: Mapping[str, Any]) -> None:
        """One entry of the config's `mounts`; OSError or ValueError with Docker's words."""
        options = mounts.Options(entry.get("options") or ())
        kind, source, destination = entry.get("type") or "none", entry.get("source"), entry["destination"]
        if options.copy_up:
            raise ValueError(f"mount option tmpcopyup of {destination} is not supported")
        if entry.get("fd") is not None:
            self._attach(int(entry["fd"]), destination, options)
            return
        try:
            target = self._target(destination, source if options.flags & mounts.BIND else None)
        except NotADirectoryError as error:
            raise _mount_error(source, destination, error) from error
        try:
            place = f"/proc/self/fd/{target}"
            found = os.readlink(place)
            self._refuse_inside_proc(found, str(source) if options.flags & mounts.BIND or kind == "tmpfs" else "")
            if kind in ("proc", "sysfs") and found != self.path + os.path.normpath(destination):
                # a link of the image's would take it elsewhere, where a later mount could undo the masks
                raise ValueError(f"filesystem {kind!r} must be mounted on an ordinary folder: {destination} is a link")
            if options.flags & mounts.BIND:
                self._bind(str(source), destination, place, options, entry.get(MAPPED_BY))
            elif kind in ("cgroup", "cgroup2"):
                self._cgroup(destination, place, options)
            else:
                _new_file_system(kind, str(source or kind), place, options)
                if options.propagation:
                    self._propagate(destination, options.propagation)
        except OSError as error:
            raise _mount_error(source, destination, error) from error
        finally:
            os.close(target)

    def _target(self, destination: str, bound: str | None) -> int:
        """O_PATH of the mount point, made when missing: a file for a bound file, else a folder."""
        try:
            if bound is not None and not stat.S_ISDIR(os.stat(bound).st_mode):
                return openat2.make_file(self.fd, destination)
        except FileNotFoundError:
            raise OSError(errno.ENOENT, f'error mounting "{bound}" to rootfs at "{destination}": no such file or directory') from None
        return openat2.make_folders(self.fd, destination)

    def _refuse_inside_proc(self, found: str, source: str = "") -> None:
        inside = found.removeprefix(self.path)
        if inside == "/proc" and source and not os.path.exists(f"{source}/self/mountinfo"):
            raise ValueError(f"{inside!r} cannot be mounted because it is not of type proc")
        if inside.startswith("/proc/") and inside not in _INSIDE_PROC:
            raise ValueError(f"{inside!r} cannot be mounted because it is inside /proc")

    def _bind(self, source: str, destination: str, place: str, options: mounts.Options, users: int | None = None) -> None:
        if users is None:
            mounts.mount(source, place, None, mounts.BIND | (options.flags & mounts.REC))
        else:
            _bind_mapped(source, place, users)
        # the descriptor still names what is below the new mount
        above = openat2.open_path(self.fd, destination)
        try:
            here = f"/proc/self/fd/{above}"
            if options.propagation:
                mounts.mount(None, here, None, options.propagation)
            mounts.restrict(here, options.flags, recursive=options.recursive)
        finally:
            os.close(above)

    def _propagate(self, destination: str, flags: int) -> None:
        above = openat2.open_path(self.fd, destination)
        try:
            mounts.mount(None, f"/proc/self/fd/{above}", None, flags)
        finally:
            os.close(above)

    def _attach(self, fd: int, destination: str, options: mounts.Options) -> None:
        """A detached mount that somebody outside has prepared, moved to its place."""
        target = self._target(destination, f"/proc/self/fd/{fd}")
        try:
            self._refuse_inside_proc(os.readlink(f"/proc/self/fd/{target}"))
            mounts.move_mount(fd, f"/proc/self/fd/{target}")
        finally:
            os.close(target)
        above = openat2.open_path(self.fd, destination)
        try:
            here = f"/proc/self/fd/{above}"
            mounts.mount(None, here, None, options.propagation or mounts.PRIVATE | mounts.REC)
            mounts.restrict(here, options.flags, recursive=options.recursive)
        finally:
            os.close(above)

    def _cgroup(self, destination: str, place: str, options: mounts.Options) -> None:
        if self.group.version == 2:
            try:
                mounts.mount("cgroup", place, "cgroup2", options.flags)  # without a namespace of our own the whole tree, as with runc
                return
            except OSError as error:
                if error.errno not in (*_REFUSED, errno.EBUSY):
                    raise
            if shown := self.group.unified if self.own_cgroup_namespace else _UNIFIED:
                bind = mounts.Options(())
                bind.flags = options.flags | mounts.BIND
                self._bind(shown, destination, place, bind)
            return
        writable = options.flags & ~mounts.RDONLY
        mounts.mount("tmpfs", place, "tmpfs", writable, "mode=755")
        above = openat2.open_path(self.fd, destination)
        try:
            self._hierarchies(above, options.flags)
        finally:
            os.close(above)

    def _hierarchies(self, above: int, flags: int) -> None:
        """cgroup v1: a folder for each, in an empty tmpfs of ours, where names need no care."""
        for controller, folder in self.group.paths.items():
            hierarchy = _hierarchy(folder)
            name = controller.removeprefix("name=")
            if name != hierarchy:
                _link(above, name, hierarchy)
        for folder in self.group.folders():
            hierarchy = _hierarchy(folder)
            os.mkdir(hierarchy, 0o755, dir_fd=above)
            inner = f"/proc/self/fd/{above}/{hierarchy}"
            mounts.mount(folder, inner, None, mounts.BIND)
            mounts.restrict(inner, flags)

    # Devices

    def make_devices(self, devices: Sequence[Mapping[str, Any]]) -> None:
        """The nodes and links of /dev; one that is asked for takes a usual one's place. Where mknod(2) is refused (user namespaces)
        the host's node is bound."""
        here = openat2.make_folders(self.fd, "/dev")
        try:
            wished = {os.path.normpath(device["path"]) for device in devices}
            for name, major, minor in _DEFAULT_DEVICES:
                if f"/dev/{name}" in wished:
                    continue
                node = {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
                self._make_node(here, name, node)
            for device in devices:
                self._make_device(device)
            for name, target in _LINKS:
                _link(here, name, target)
            if os.path.exists("/proc/kcore"):
                _link(here, "core", "/proc/kcore")
        finally:
            os.close(here)

    def _make_device(self, device: Mapping[str, Any]) -> None:
        folder, name = os.path.split(device["path"])
        here = openat2.make_folders(self.fd, folder)
        try:
            self._make_node(here, name, device)
        finally:
            os.close(here)

    def _make_node(self, here: int, name: str, device: Mapping[str, Any]) -> None:
        kind = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}[device["type"]]
        mode = (device.get("fileMode") or 0o666) & 0o7777
        try:
            os.mknod(name, kind | mode, os.makedev(device.get("major") or 0, device.get("minor") or 0), dir_fd=here)
            owner = (device.get("uid") or 0, device.get("gid") or 0)
            if owner != (0, 0):
                os.chown(name, *owner, dir_fd=here, follow_symlinks=False)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            try:
                self._bind_device(device.get("hostPath") or device["path"], device["path"])
            except FileNotFoundError:
                says = f"device {device['path']} cannot be made in a user namespace, and this machine has no such node to show"
                raise ValueError(says) from None

    def _bind_device(self, source: str, path: str) -> None:
        target = openat2.make_file(self.fd, path)
        try:
            mounts.mount(source, f"/proc/self/fd/{target}", None, mounts.BIND)
        finally:
            os.close(target)

    def bind_console(self, terminal: str) -> None:
        """The terminal on /dev/console, which exists only then."""
        self._bind_device(terminal, "/dev/console")

    # Covered paths

    def mask(self, path: str) -> None:
        """Nothing to be seen there: /dev/null on a file, an empty read-only tmpfs on a folder; a missing path is fine."""
        try:
            target = openat2.open_path(self.fd, path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            place = f"/proc/self/fd/{target}"
            if not stat.S_ISDIR(os.fstat(target).st_mode):
                mounts.mount("/dev/null", place, None, mounts.BIND)
            elif self._empty >= 0:
                mounts.mount(f"/proc/self/fd/{self._empty}", place, None, mounts.BIND)
                self._restrict(path, mounts.RDONLY)
            else:
                flags = mounts.RDONLY | mounts.NOSUID | mounts.NODEV | mounts.NOEXEC
                mounts.mount("tmpfs", place, "tmpfs", flags, "nr_blocks=1,nr_inodes=1,mode=755")
                self._empty = openat2.open_path(self.fd, path)
        finally:
            os.close(target)

    def mask_globs(self, patterns: Iterable[str]) -> None:
        for path in _globbed(self.fd, patterns):
            self.mask(path)

    def make_readonly(self, path: str) -> None:
        """Bound on itself, read-only; a missing path is fine."""
        try:
            target = openat2.open_path(self.fd, path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            place = f"/proc/self/fd/{target}"
            mounts.mount(place, place, None, mounts.BIND | mounts.REC)
        finally:
            os.close(target)
        self._restrict(path, mounts.RDONLY)

    def _restrict(self, path: str, flags: int) -> None:
        fd = openat2.open_path(self.fd, path)
        try:
            mounts.restrict(f"/proc/self/fd/{fd}", flags)
        finally:
            os.close(fd)

    # The end

    def enter(self) -> None:
        """pivot_root(2) without a folder for the old root: both lie on `/` for a moment, then the old one goes."""
        os.fchdir(self.fd)
        mounts.pivot_root(".", ".")
        mounts.mount(None, ".", None, mounts.SLAVE | mounts.REC)  # so that the umount is not seen outside
        mounts.umount(".", mounts.DETACH)
        os.chdir("/")
        os.close(self.fd)


def _hierarchy(folder: str) -> str:
    """Of a cgroup's folder: the name below /sys/fs/cgroup."""
    return folder[len("/sys/fs/cgroup/") :].partition("/")[0]


def _link(folder: int, name: str, target: str) -> None:
    try:
        os.symlink(target, name, dir_fd=folder)
    except FileExistsError:
        pass


def _mount_error(source: object, destination: str, error: OSError) -> OSError:
    says = f'error mounting "{source}" to rootfs at "{destination}": {os.strerror(error.errno or 0).lower()}'
    if error.errno == errno.ENOTDIR:
        says += ": Are you trying to mount a directory onto a file (or vice-versa)?"
        says += " Check if the specified host path exists and is the expected type"
    return OSError(error.errno, says)


def _bind_mapped(source: str, place: str, users: int) -> None:
    try:
        mounts.bind_mapped(source, place, users)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise ValueError(
            f"{source} cannot be mounted with its ids mapped (idmap): its file system or this kernel has no idmapped mounts"
        ) from None
    finally:
        os.close(users)


def _new_file_system(kind: str, source: str, place: str, options: mounts.Options) -> None:
    data = options.data
    try:
        mounts.mount(source, place, kind, options.flags, data)
    except OSError as error:
        if kind == "devpts" and error.errno == errno.EINVAL:
            # a user namespace without gid 5
            data = ",".join(word for word in data.split(",") if not word.startswith("gid="))
            mounts.mount(source, place, kind, options.flags, data)
        elif kind == "sysfs" and error.errno in _REFUSED:
            # the network namespace belongs to an outer user namespace: the outer /sys, with the same limits
            mounts.mount("/sys", place, None, mounts.BIND | mounts.REC)
        else:
            raise


def found_by_globs(root: str, patterns: Iterable[str]) -> list[str]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return list(_globbed(fd, patterns))
    finally:
        os.close(fd)


def _globbed(root: int, patterns: Iterable[str]) -> Iterator[str]:
    """`/etc/ssh/ssh_host_*`: one star in the last part."""
    for pattern in patterns:
        folder, last = os.path.split(pattern)
        head, _, tail = last.partition("*")
        try:
            fd = openat2.openat2(root, folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            found = os.listdir(fd)
        finally:
            os.close(fd)
        for name in found:
            if name.startswith(head) and name.endswith(tail) and len(name) >= len(head) + len(tail):
                yield f"{folder}/{name}"


def is_bind_on(entry: Mapping[str, Any], destination: str) -> bool:
    words = (entry.get("type"), *(entry.get("options") or ()))
    return entry["destination"].rstrip("/") == destination and ("bind" in words or "rbind" in words)


def cut_propagation(config: Mapping[str, Any], bundle: str) -> None:
    """From here no mount made in this namespace is seen outside, unless the config asks for a shared root (rshared binds)."""
    wanted = (config.get("linux") or {}).get("rootfsPropagation") or "rslave"
    if "shared" not in wanted:
        mounts.mount(None, "/", None, mounts.SLAVE | mounts.REC)
        return
    # a shared parent would show the root's own mounts to the host; pivot_root refuses one as well
    path = bundle
    while True:
        try:
            mounts.mount(None, path, None, mounts.PRIVATE)
            return
        except OSError as error:
            if error.errno != errno.EINVAL or path == "/":
                raise
        path = os.path.dirname(path)


def mount_root(launch: Mapping[str, Any], bundle: str) -> str:
    """Mounts the overlay, or binds `root.path` on itself; returns a path of it."""
    config, overlay = launch["config"], launch.get("overlay")
    path = (config.get("root") or {}).get("path") or "rootfs"
    path = os.path.normpath(os.path.join(bundle, path))
    if overlay is None:
        mounts.mount(path, path, None, mounts.BIND | mounts.REC)
        return path
    if overlay.get("fd") is not None:  # made outside, see nested.py
        mounts.move_mount(overlay["fd"], ".")
        return f"/proc/self/fd/{overlay['fd']}"
    os.makedirs(path, exist_ok=True)
    covered = [*(launch.get("hide") or ()), *(entry["destination"] for entry in config.get("mounts") or ())]
    mount_overlay(path, overlay, covered)
    return path


def mount_overlay(path: str, overlay: Mapping[str, Any], covered: Sequence[str]) -> None:
    lower = list(reversed(overlay["lower"]))
    words: list[tuple[str, str | None]] = []
    if overlay.get("upper"):
        words += [("upperdir", overlay["upper"]), ("workdir", overlay["work"])]
    words += [(word, None) for word in ("userxattr", "volatile") if overlay.get(word) and (word != "volatile" or overlay.get("upper"))]
    if len(lower) == 1 and not overlay.get("upper"):
        mounts.mount(lower[0], path, None, mounts.BIND | mounts.REC)  # overlayfs wants two layers; a plain read-only bind is the same
        mounts.restrict(path, mounts.RDONLY)
        return
    if len(lower) == 1 and overlay.get("userxattr") and _has_mounts(lower[0]):
        splitroot.mount_split(path, overlay, covered)
        return
    shared = os.path.commonpath(lower) if len(lower) > 1 else ""
    names = [os.path.relpath(one, shared) for one in lower] if shared not in ("", "/") else lower
    data = "lowerdir=" + ":".join(mounts.escaped(one, colon=True) for one in names)
    for key, value in words:
        data += f",{key}" if value is None else f",{key}={mounts.escaped(value)}"
    if len(os.fsencode(data)) >= _PAGE - 1:
        mounts.overlay_by_fsconfig(path, lower, words)
        return
    before = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        if names is not lower:
            os.chdir(shared)
        mounts.mount("overlay", path, "overlay", 0, data)
    except OSError as error:
        raise OSError(error.errno, f"error mounting the root file system: {os.strerror(error.errno or 0).lower()} ({data})") from error
    finally:
        os.fchdir(before)
        os.close(before)


def _has_mounts(folder: str) -> bool:
    return any(point.startswith(folder.rstrip("/") + "/") for point in splitroot.mount_points())


def make_working_folder(path: str) -> None:
    """Inside the entered root: mkdir -p, every folder of it root:root 0755 (os.makedirs leaves those above to the umask)."""
    if os.path.isdir(path):
        return
    parts = path.strip("/").split("/")
    for count in range(1, len(parts) + 1):
        try:
            os.mkdir("/" + "/".join(parts[:count]), 0o755)
        except FileExistsError:
            pass


def covered(config: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
    linux = config.get("linux") or {}
    return linux.get("maskedPaths") or (), linux.get("readonlyPaths") or ()
