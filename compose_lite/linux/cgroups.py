"""cgroups(7): which versions are mounted, and one container's group in all of them: make, limit, join, freeze, count, remove.

A limit that cannot be kept is never silent: it comes back by name. What differs between the versions is in the tables of
cgroup_v1.py and cgroup_v2.py. Hybrid machines (v1 controllers and an empty v2 tree) count as version 1.
"""

from __future__ import annotations

import itertools
import os

from compose_lite.linux import cgroup_v1, cgroup_v2
from compose_lite.linux.syscall import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

ROOT = "/sys/fs/cgroup"
_NOT_CONTROLLERS = ("rw", "ro", "xattr", "release_agent", "clone_children", "cpuset_v2_mode", "noprefix", "favordynmods")
ENGINE, CONTAINERS = "/compose-lite-engine", "/compose-lite"
OURS = (ENGINE, CONTAINERS)  # what stays of ours when no container is left, until the family ends
_SCOPE = "compose-lite"  # `compose-lite.scope`, `compose-lite-<hash>.scope`
_OWN_LEAF = ENGINE[1:]  # the leaf that a delegated engine family sits in; its containers are siblings
_layout: Layout | None = None


class Layout:
    """The mounted hierarchies: controller (`memory`, `name=systemd`) → the folder below which we may make groups."""

    __slots__ = ("controllers", "unified", "version")

    def __init__(self, version: int, controllers: dict[str, str], unified: str) -> None:
        self.version, self.controllers, self.unified = version, controllers, unified


def layout() -> Layout:
    """Read once a process; forks inherit it."""
    global _layout
    if _layout is None:
        mounts = read_file("/proc/self/mountinfo").decode(errors="surrogateescape")
        _layout = parse_layout(mounts, read_file("/proc/self/cgroup").decode())
    return _layout


def is_unified() -> bool:
    """Whether version 2 is all there is: it is mounted at the top. Remembers nothing, so that this process can still move."""
    mounts = read_file("/proc/self/mountinfo").decode(errors="surrogateescape")
    return any(f" {ROOT} " in left and right.startswith("cgroup2 ") for left, _, right in (m.partition(" - ") for m in mounts.splitlines()))


def parse_layout(mountinfo: str, own: str) -> Layout:
    """From /proc/self/mountinfo and /proc/self/cgroup. Where the top is not writable, groups are made beside our own."""
    version, unified = 1, ""
    controllers: dict[str, str] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = left.split()[4]
        if kind not in ("cgroup", "cgroup2") or not (point == ROOT or point.startswith(ROOT + "/")):
            continue
        if kind == "cgroup2":
            version, unified = (2, point) if point == ROOT else (version, point)
            continue
        for word in options.split(","):
            if not word.startswith(_NOT_CONTROLLERS):
                controllers.setdefault(word, point)
    places = _own_places(own)
    found = {name: _base(point, places.get(name, "/")) for name, point in controllers.items()}
    return Layout(version, {} if version == 2 else found, _base(unified, places.get("", "/")) if unified else "")


def _own_places(own: str) -> dict[str, str]:
    places: dict[str, str] = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            places[name] = path
    return places


def _base(point: str, own: str) -> str:
    """The scope that systemd has given us (delegation.py); else the top where it is ours; else the highest group above our own that
    was delegated to us.

    Not our own group: who started us sits in it, and a version 2 group with processes hands no controllers down.
    """
    head, leaf = os.path.split(own.rstrip("/"))
    base = point + (head if leaf == _OWN_LEAF else own).rstrip("/")
    if _is_scope_of_ours(os.path.basename(base)):
        return base
    if _ours(point):
        return point
    while base != point and _ours(base) and not _begins_delegation(base) and _ours(os.path.dirname(base)):
        base = os.path.dirname(base)
    return base


def _is_scope_of_ours(name: str) -> bool:
    return name.startswith(_SCOPE) and name.endswith(".scope") and name[len(_SCOPE) : -len(".scope")][:1] in ("", "-")


def _begins_delegation(folder: str) -> bool:
    """systemd marks the groups that it leaves to others (`Delegate=yes`); above lies what it manages itself."""
    try:
        return os.getxattr(folder, "user.delegate") == b"1"
    except OSError:
        return False


def _may_make_groups(point: str) -> bool:
    """In a user namespace access(2) says yes to a folder of an unmapped root; only the owner's own folders count there."""
    return os.stat(point).st_uid == os.geteuid()


class Group:
    """One container's group: a folder in each hierarchy."""

    __slots__ = ("paths", "unified", "version")

    def __init__(self, version: int, paths: dict[str, str], unified: str) -> None:
        self.version, self.paths, self.unified = version, paths, unified

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Group:
        return cls(document["version"], dict(document["paths"]), document["unified"])

    def document(self) -> dict[str, Any]:
        return {"version": self.version, "paths": self.paths, "unified": self.unified}

    def folders(self) -> list[str]:
        return list(dict.fromkeys([*self.paths.values(), *([self.unified] if self.unified else [])]))

    def __bool__(self) -> bool:
        return bool(self.paths or self.unified)

    # Limits

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        """Writes the limits; returns those that cannot be kept, as `memory limit: reason`."""
        table = cgroup_v2 if self.version == 2 else cgroup_v1
        wanted = list(table.settings(resources))
        for _ in range(2):  # the second time those that had to wait for others: memory is never above memory and swap
            failed = [(one, problem) for one in wanted if (problem := self._set(one))]
            wanted = [one for one, _ in failed]
        return [f"{one[0]}: {problem}" for one, problem in failed]

    def _set(self, setting: tuple[str, str, str, str]) -> str | None:
        """None, or why not."""
        table = cgroup_v2 if self.version == 2 else cgroup_v1
        _, controller, file, value = setting
        folder = self.unified if self.version == 2 else self.paths.get(controller)
        return _write_limit(folder, file, value, table.OTHER_NAMES) if folder else f"no permission for the {controller} cgroup"

    def apply_devices(self, rules: list[Mapping[str, Any]]) -> list[str]:
        """The device rules; a machine where they cannot be set says so."""
        try:
            if self.version == 2:
                if self.unified and not _allows_all(rules):
                    cgroup_v2.attach_device_program(self.unified, cgroup_v2.device_program(rules))
            elif "devices" in self.paths:
                for file, lines in itertools.groupby(cgroup_v1.device_rules(rules), key=lambda rule: rule[0]):
                    write_file(f"{self.paths['devices']}/{file}", *(line for _, line in lines))
        except OSError as error:
            return [f"device rules: {os.strerror(error.errno or 0)}"]
        return [] if self else ["device rules: no permission for cgroups"]

    # Processes

    def join(self, pid: int, *, born_in_unified: bool = False) -> None:
        """Moves the process into every folder. OSError when the kernel refuses (a full pids limit does not refuse)."""
        for folder in self.folders():
            if not (born_in_unified and folder == self.unified):
                write_file(f"{folder}/cgroup.procs", str(pid))

    def open_unified(self) -> int:
        """A descriptor for CLONE_INTO_CGROUP, -1 without a v2 tree."""
        return os.open(self.unified, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if self.unified else -1

    def processes(self) -> list[int]:
        """All processes in it and in groups below."""
        folder = self.unified if self.version == 2 else self.paths.get("freezer") or next(iter(self.paths.values()), self.unified)
        found: set[int] = set()
        for one in _below(folder) if folder else ():
            found.update(int(pid) for pid in _read(one, "cgroup.procs").split())
        return sorted(found)

    def kill(self) -> None:
        """SIGKILL to all; frozen ones are thawed so that they can die."""
        if self.version == 2 and self.unified:
            try:
                write_file(f"{self.unified}/cgroup.kill", "1")
                return
            except OSError:
                pass
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.freeze(False)

    @property
    def has_freezer(self) -> bool:
        return bool(self.unified if self.version == 2 else self.paths.get("freezer"))

    def freeze(self, on: bool) -> None:
        """Asks for it; `frozen` tells when it is so."""
        if self.version == 2:
            file, value = f"{self.unified}/cgroup.freeze", "1" if on else "0"
        else:
            file, value = f"{self.paths.get('freezer', '')}/freezer.state", "FROZEN" if on else "THAWED"
        if not on and not os.path.exists(file):
            return
        write_file(file, value)

    def frozen(self) -> bool:
        if self.version == 2:
            return "frozen 1" in _read(self.unified, "cgroup.events")
        return _read(self.paths.get("freezer", ""), "freezer.state").strip() == "FROZEN"

    def oom_kills(self) -> int:
        return cgroup_v2.oom_kills(self._reader) if self.version == 2 else cgroup_v1.oom_kills(self._reader)

    def stats(self) -> dict[str, Any]:
        """cpu (total_ns, user_ns, system_ns, per_cpu_ns, periods, throttled_periods, throttled_ns), memory (usage, max_usage,
        limit (0: none), failures, inactive_file, stat), pids (current, limit), block_io (bytes, operations: lists of
        (major, minor, operation, value))."""
        return cgroup_v2.usage(self._reader) if self.version == 2 else cgroup_v1.usage(self._reader)

    def _reader(self, controller: str, file: str) -> str:
        folder = self.unified if self.version == 2 else self.paths.get(controller)
        return _read(folder, file) if folder else ""

    def remove_now(self) -> bool:
        """rmdir of all folders, deepest first; False while a process is still in one."""
        left = [folder for folder in self.folders() if not _remove(folder)]
        return not left


def unkept(resources: Mapping[str, Any]) -> dict[str, str]:
    """Asked before a group is made: limits (in the tables' words) that cannot be kept -> the controller that no group of ours has, or
    "" where it is there and the kernel has no such file."""
    where = layout()
    table = cgroup_v2 if where.version == 2 else cgroup_v1
    wanted = list(table.settings(resources))
    folders = _samples(where) if wanted else {}
    found: dict[str, str] = {}
    for words, controller, file, value in wanted:
        if controller not in folders:
            found.setdefault(words, controller)
            continue
        paths = [f"{folders[controller]}/{name}" for name in (file, table.OTHER_NAMES.get(file, file))]
        shared_out = file == cgroup_v1.SHARED_OUT
        if not any(map(os.path.exists, paths)) or (shared_out and not _has_as_much(paths[0], value)):
            found.setdefault(words, "")
    return found


def _has_as_much(path: str, value: str) -> bool:
    try:
        have = int(read_file(path))
    except (OSError, ValueError):
        return False
    return have < 0 or have >= int(value)


def _samples(where: Layout) -> dict[str, str]:
    """Controllers that we may use -> the folder above our containers', which has the files that theirs will have."""
    found: dict[str, str] = {}
    for controller in sorted(_usable(where)):
        base = where.unified if where.version == 2 else where.controllers[controller]
        try:
            if not os.path.isdir(base + CONTAINERS):
                _make_folders(base, CONTAINERS, cpuset=controller == "cpuset", enable=where.version == 2)
        except OSError:
            continue
        found[controller] = base + CONTAINERS
    return found


def are_ours() -> bool:
    """Whether groups can be made at all."""
    where = layout()
    return any(_ours(base) for base in _bases(where))


def in_scope() -> bool:
    """Whether what is made lies in the scope that systemd has given us."""
    return _is_scope_of_ours(os.path.basename(layout().unified))


def _usable(where: Layout) -> frozenset[str]:
    if where.version == 2:
        return frozenset(_read(where.unified, "cgroup.controllers").split()) if _ours(where.unified) else frozenset()
    return frozenset(name for name, base in where.controllers.items() if _ours(base))


def _ours(folder: str) -> bool:
    try:
        return os.access(folder, os.W_OK) and _may_make_groups(folder)
    except OSError:
        return False


def settle_in(name: str) -> None:
    """Moves this process out of its caller's group in every hierarchy, so that the end of a session or CI step does not end it.

    At the top of a hierarchy of version 1 it stays: there is nothing above to end it, and a group there would weigh as much as one
    process beside it, with all engines of the machine in it.
    """
    where = layout()
    at_top = tops(where, read_file("/proc/self/cgroup").decode())
    for base in _bases(where):
        if base in at_top:
            continue
        try:
            _make_folders(base, name, cpuset=base == where.controllers.get("cpuset"))
            write_file(f"{base}{name}/cgroup.procs", "0")
        except OSError:
            continue  # not ours to make: it stays where it is


def anticipate_joins(name: str) -> bool:
    """On version 1: lets the joins of the next 10 ms go at once. Called while somebody is on the way to start a process.

    A write to `cgroup.procs` takes a lock for all processes, for which the kernel waits a grace period (RCU, 10 ms and more) unless
    another write was just before. This process, which is in the group `name` (see `settle_in`), is moved to where it is: nothing happens
    but the wait.
    Version 2 has clone3(CLONE_INTO_CGROUP) instead. False: there is nothing to wait for, do not ask again.
    """
    where = layout()
    if where.version == 2 or not where.controllers:
        return False
    base = next(iter(where.controllers.values()))
    group = base if base in tops(where, read_file("/proc/self/cgroup").decode()) else base + name
    try:
        write_file(f"{group}/cgroup.procs", "0")
    except OSError:
        return False
    return True


def tops(where: Layout, own: str) -> frozenset[str]:
    """The hierarchies of version 1 (and the unified one beside them) at whose top a process with this /proc/pid/cgroup is."""
    if where.version == 2:
        return frozenset()
    places = _own_places(own)
    bases = {**where.controllers, **({"": where.unified} if where.unified else {})}
    return frozenset(base for name, base in bases.items() if os.path.dirname(base) == ROOT and places.get(name) == "/")


def leave(*names: str) -> None:
    """This process ends: out of its group; groups that nobody is in any more go, `names` among them."""
    for base in _bases(layout()):
        try:
            if any(os.path.isdir(base + name) for name in names):
                write_file(f"{base}/cgroup.procs", "0")
        except OSError:
            pass
        for name in names:
            try:
                os.rmdir(base + name)
            except OSError:
                pass  # gone, or in use


def _bases(where: Layout) -> list[str]:
    return list(dict.fromkeys([*where.controllers.values(), *([where.unified] if where.unified else [])]))


def make(name: str, resources: Mapping[str, Any]) -> tuple[Group, list[str]]:
    """The group `name` (`/compose-lite/<id>`) with its limits, and the limits that cannot be kept, by name."""
    where = layout()
    paths: dict[str, str] = {}
    made: dict[str, str] = {}
    for controller, base in where.controllers.items():
        if base in made:
            paths[controller] = made[base]
            continue
        try:
            _make_folders(base, name, cpuset=controller == "cpuset")
        except OSError:
            continue
        paths[controller] = made[base] = base + name
    unified = ""
    if where.unified:
        try:
            _make_folders(where.unified, name, cpuset=False, enable=where.version == 2)
            unified = where.unified + name
        except OSError:
            pass
    group = Group(where.version, paths, unified)
    return group, group.apply(resources)


def _make_folders(base: str, name: str, *, cpuset: bool, enable: bool = False) -> None:
    if not cpuset and not enable:
        try:  # most often the groups above are there
            os.mkdir(f"{base}/{name.strip('/')}", 0o755)
            return
        except OSError:
            pass
    folder = base
    for part in name.strip("/").split("/"):
        if enable:
            _enable_controllers(folder)
        above, folder = folder, f"{folder}/{part}"
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:
            pass
        except FileNotFoundError:  # another engine that ended has just removed the folder above
            os.mkdir(above, 0o755)
            os.mkdir(folder, 0o755)
        if cpuset:
            _inherit_cpuset(above, folder)


def _inherit_cpuset(above: str, folder: str) -> None:
    """A v1 cpuset takes no process before it has cpus and memory nodes."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not _read(folder, file).strip():
            write_file(f"{folder}/{file}", _read(above, file).strip() or "0")


def _enable_controllers(folder: str) -> None:
    """Hands the controllers down. What is refused shows later as a limit that cannot be written."""
    have = set(_read(folder, "cgroup.subtree_control").split())
    for controller in _read(folder, "cgroup.controllers").split():
        if controller not in have and controller in cgroup_v2.CONTROLLERS:
            try:
                write_file(f"{folder}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                pass


def _write_limit(folder: str, file: str, value: str, other_names: Mapping[str, str]) -> str | None:
    """None, or why not."""
    try:
        if not os.path.exists(f"{folder}/{file}"):
            file = other_names.get(file, file)
        write_file(f"{folder}/{file}", value)
    except FileNotFoundError:
        return f"this kernel or delegation has no {file}"
    except OSError as error:
        return f"{file}: {os.strerror(error.errno or 0)}"
    return None


def _allows_all(rules: list[Mapping[str, Any]]) -> bool:
    last: Mapping[str, Any] = rules[-1] if rules else {"allow": True}
    every = (last.get("type") or "a") == "a" and (last.get("access") or "rwm") == "rwm" and last.get("major") in (None, -1)
    return bool(last.get("allow")) and every


def _remove(folder: str) -> bool:
    """rmdir; with the groups below, deepest first, where there are any."""
    try:
        os.rmdir(folder)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        below = list(_below(folder))[1:]
        gone = [_remove(one) for one in reversed(below)]
        return bool(below) and all(gone) and _remove(folder)


def _below(folder: str) -> Iterator[str]:
    yield folder
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for name in names:
        yield from _below(f"{folder}/{name}")


def _read(folder: str, file: str) -> str:
    try:
        return read_file(f"{folder}/{file}").decode()
    except OSError:
        return ""
