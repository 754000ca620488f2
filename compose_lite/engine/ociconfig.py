"""A container's record → the OCI runtime config it is started with. Pure: what has to be looked up comes in as `Surroundings`.

It must never relax a default: what is not asked for is what defaults.py says.
Spec: OCI runtime-spec 1.2, config.md and config-linux.md; Docker's HostConfig for the wishes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic_core

from compose_lite.engine import defaults
from compose_lite.engine.record import Container
from compose_lite.engine.users import User
from compose_lite.errors import EngineError
from compose_lite.linux.mount import escaped
from compose_lite.subordinate import Remapping

Document = dict[str, Any]
_LIMITS = "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK"
BASE_RLIMITS = frozenset(_LIMITS.split())
_NET_SYSCTLS = ("net.",)
_IPC_SYSCTLS = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni")
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)
_DEVICE_RULE = re.compile(r"([abc]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_IPC_PREFIXES = ("fs.mqueue.", "kernel.shm_rmid_forced")


@dataclass(frozen=True, slots=True)
class Device:
    """A node of the machine that the container gets."""

    path: str  # inside
    kind: str  # c or b
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    access: str = "rwm"
    source: str = ""  # where it is on the machine, if elsewhere: what is bound where nodes cannot be made


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the config depends on and the record does not hold."""

    user: User
    state: str  # the folder with hosts, hostname, resolv.conf
    held: Sequence[str]  # capabilities of the engine's own bounding set
    machine: str = "x86_64"
    cgroup_version: int = 1
    devices: Sequence[Device] = ()
    disks: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # path of a disk -> major, minor
    shared_pids: Mapping[str, int] = field(default_factory=dict)  # namespace -> pid of the container it is shared with
    shm: str = ""  # a folder to bind on /dev/shm; empty: a tmpfs of its own
    mqueue: bool = True  # the machine has its message queues mounted on /dev/mqueue
    mounts: Sequence[Document] = ()  # user mounts, sources resolved (but see preparation.launch)
    network: bool = True  # False: the machine's own network namespace
    rootless: bool = False
    remap: Remapping | None = None  # what ids inside are on the machine; None: the same
    proxies: Sequence[str] = ()
    linked: Sequence[str] = ()  # variables of its links


def oci_config(container: Container, around: Surroundings) -> tuple[Document, int]:
    """The config, and how many of its mounts can be made before its dependencies have finished."""
    host = container.host_config
    privileged = bool(host.get("Privileged"))
    bounding = capabilities(host, around.held)
    early, late = mounts(container, around)
    config: Document = {
        "ociVersion": "1.2.0",
        "hostname": container.hostname,
        "process": process(container, around, bounding),
        "root": {"readonly": bool(host.get("ReadonlyRootfs"))},
        "mounts": [*early, *late],
        "annotations": dict(host.get("Annotations") or {}),
        "linux": {
            "namespaces": _namespaces(host, around),
            "resources": resources(host, around.devices, privileged, around.disks),
            "sysctl": _sysctls(host),
            "maskedPaths": [] if privileged else _paths(host, "MaskedPaths", defaults.MASKED),
            "readonlyPaths": [] if privileged else _paths(host, "ReadonlyPaths", defaults.READONLY),
            "devices": [_node(device) for device in around.devices],
            "rootfsPropagation": "rslave" if any("slave" in o for m in around.mounts for o in m["options"]) else "rprivate",
        },
    }
    if around.remap is not None:
        config["linux"] |= mapped(around.remap)
    if container.domainname:
        config["domainname"] = container.domainname
    if host.get("UTSMode") == "host":
        del config["hostname"]
        if container.domainname:  # Docker sets it by the sysctl
            raise EngineError('sysctl "kernel.domainname" is not in a separate kernel namespace', http_status=400)
    if host.get("CgroupParent"):
        config["linux"]["cgroupsPath"] = f"{_clean(posixpath.normpath('/' + str(host['CgroupParent'])))}/{container.id}"
    profile = seccomp(host, bounding, around.machine)
    if profile is not None:
        config["linux"]["seccomp"] = profile
    return config, len(early)


def mounts(container: Container, around: Surroundings) -> tuple[list[Document], list[Document]]:
    """Those that can be made before its dependencies have finished, and those of its start."""
    wished = {_clean(mount["destination"]) for mount in around.mounts}
    base = [mount for mount in _base_mounts(container, around) if mount["destination"] not in wished]
    # they lie on what is mounted there
    covered = [mount for mount in base if "/etc" in wished and mount["destination"].startswith("/etc/")]
    late = sorted([*around.mounts, *covered], key=lambda mount: _clean(mount["destination"]).count("/"))
    return [mount for mount in base if mount not in covered], late


def process(container: Container, around: Surroundings, bounding: Sequence[str]) -> Document:
    """Its first process."""
    argv = container.argv
    if not argv:
        raise EngineError("no command specified", http_status=400)
    host = container.host_config
    made: Document = {
        "terminal": container.tty,
        "args": argv,
        "env": environment(container.config, container.hostname, linked=around.linked),
        "cwd": container.config.get("WorkingDir") or "/",
        "user": {"uid": around.user.uid, "gid": around.user.gid, "additionalGids": list(around.user.groups), "umask": 0o022},
        "capabilities": capability_sets(bounding, around.user.uid),
        "noNewPrivileges": security_options(host).no_new_privileges,
        "rlimits": rlimits(host),
    }
    if host.get("OomScoreAdj"):
        made["oomScoreAdj"] = host["OomScoreAdj"]
    return made


def environment(
    config: Mapping[str, Any], hostname: str, extra: Sequence[str] = (), tty: bool | None = None, linked: Sequence[str] = ()
) -> list[str]:
    """Docker's order: the defaults, replaced in place by what is given; `A` alone unsets A. An empty HOME is none: the runtime
    sets it, by the /etc/passwd that the program sees."""
    found: dict[str, str | None] = {"PATH": defaults.PATH.partition("=")[2], "HOSTNAME": hostname}
    if config.get("Tty") if tty is None else tty:
        found["TERM"] = "xterm"
    for entry in [*linked, *(config.get("Env") or ()), *extra]:
        name, equals, value = entry.partition("=")
        found[name] = value if equals else None
    return [f"{name}={value}" for name, value in found.items() if value or (value is not None and name != "HOME")]


def capabilities(host: Mapping[str, Any], held: Sequence[str]) -> list[str]:
    """The bounding set: cap_add and cap_drop over the defaults, within what the engine itself holds."""
    if host.get("Privileged"):
        return list(held)
    add, drop = (capability_names(host.get(key)) for key in ("CapAdd", "CapDrop"))
    wanted = list(held) if "ALL" in add else [] if "ALL" in drop else [c for c in defaults.CAPABILITIES if c not in drop]
    wanted = [c for c in wanted if c not in drop]
    wanted += [c for c in add if c != "ALL" and c not in wanted]
    return [c for c in wanted if c in held]


def capability_names(values: Iterable[str] | None) -> list[str]:
    """As Docker shows them: each once, in order."""
    return sorted({name if (name := v.upper()) == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for v in values or ()})


def check_capabilities(host: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in ("CapAdd", "CapDrop"):
        for name in capability_names(host.get(key)):
            if name != "ALL" and name not in known:
                raise EngineError(f'invalid {key}: unknown capability: "{name}"', http_status=400)


def capability_sets(bounding: Sequence[str], uid: int) -> Document:
    mine = list(bounding) if uid == 0 else []
    return {"bounding": list(bounding), "effective": mine, "permitted": mine, "inheritable": [], "ambient": []}


@dataclass(frozen=True, slots=True)
class Security:
    seccomp: str = ""  # empty: the default profile
    no_new_privileges: bool = False
    apparmor: str = ""
    writable_cgroups: bool | None = None  # None: as privileged containers have them, and others not


def security_options(host: Mapping[str, Any]) -> Security:
    """`security_opt`, each entry `key=value` or `key:value`. Raises EngineError in Docker's words."""
    profile, privileges, apparmor, cgroups = "", False, "", None
    for entry in host.get("SecurityOpt") or ():
        if entry in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
            privileges = True
            continue
        cut = "=" if "=" in entry else ":"
        key, found, value = entry.partition(cut)
        if not found and entry != "disable":
            raise EngineError(f'invalid --security-opt 1: "{entry}"', http_status=400)
        if key == "seccomp":
            profile = value
        elif key == "no-new-privileges" and value in _BOOLEANS:
            privileges = _BOOLEANS[value]
        elif key == "apparmor":
            apparmor = value
        elif key == "writable-cgroups" and value in _BOOLEANS:
            cgroups = _BOOLEANS[value]
        elif key != "label":
            raise EngineError(f'invalid --security-opt 2: "{entry}"', http_status=400)
    return Security(profile, privileges, apparmor, cgroups)


def seccomp(host: Mapping[str, Any], bounding: Sequence[str], machine: str) -> Document | None:
    """The filter's section; None: no filter (privileged or unconfined)."""
    wish = security_options(host).seccomp
    if wish == "unconfined" or (host.get("Privileged") and not wish):
        return None
    if wish in ("", "builtin"):
        return defaults.seccomp_profile(bounding, machine)
    try:
        profile = pydantic_core.from_json(wish)
    except ValueError as error:
        raise EngineError(f"decoding seccomp profile failed: {error}", http_status=400) from None
    if not isinstance(profile, dict):
        raise EngineError("decoding seccomp profile failed: an object is expected", http_status=400)
    return defaults.custom_profile(profile, bounding, machine)


def rlimits(host: Mapping[str, Any]) -> list[Document]:
    found = []
    for limit in host.get("Ulimits") or ():
        name = str(limit.get("Name", "")).upper()
        if name not in BASE_RLIMITS:
            raise EngineError(f"wrong rlimit value: RLIMIT_{name}", http_status=400)
        found.append({"type": f"RLIMIT_{name}", "soft": _unlimited(limit.get("Soft")), "hard": _unlimited(limit.get("Hard"))})
    return found


def _unlimited(value: Any) -> int:
    return 2**64 - 1 if value == -1 else int(value or 0)


def resources(host: Mapping[str, Any], devices: Sequence[Device], privileged: bool, disks: Mapping[str, tuple[int, int]]) -> Document:
    """Limits of the group, in OCI's words; only those that are set. disks: numbers of the paths that rates are for."""
    found: Document = {"devices": _device_rules(host, devices, privileged)}
    memory = _set(
        limit=host.get("Memory") or None,
        swap=host.get("MemorySwap") or (host["Memory"] * 2 if host.get("Memory") else None),  # 0: of an older record
        reservation=host.get("MemoryReservation") or None,
        swappiness=host["MemorySwappiness"]
        if (host.get("MemorySwappiness") or 0) > -1 and host.get("MemorySwappiness") is not None
        else None,
        disableOOMKiller=True if host.get("OomKillDisable") else None,
    )
    quota, period = host.get("CpuQuota") or None, host.get("CpuPeriod") or None
    if host.get("NanoCpus"):
        period = 100_000
        quota = int(host["NanoCpus"]) * period // 10**9
    cpu = _set(
        shares=host.get("CpuShares") or None,
        quota=quota,
        period=period,
        realtimeRuntime=host.get("CpuRealtimeRuntime") or None,
        realtimePeriod=host.get("CpuRealtimePeriod") or None,
        cpus=host.get("CpusetCpus") or None,
        mems=host.get("CpusetMems") or None,
    )
    block = _set(
        weight=host.get("BlkioWeight") or None,
        weightDevice=_block_devices(host, "BlkioWeightDevice", disks, "Weight", "weight"),
        throttleReadBpsDevice=_block_devices(host, "BlkioDeviceReadBps", disks, "Rate", "rate"),
        throttleWriteBpsDevice=_block_devices(host, "BlkioDeviceWriteBps", disks, "Rate", "rate"),
        throttleReadIOPSDevice=_block_devices(host, "BlkioDeviceReadIOps", disks, "Rate", "rate"),
        throttleWriteIOPSDevice=_block_devices(host, "BlkioDeviceWriteIOps", disks, "Rate", "rate"),
    )
    for name, part in (("memory", memory), ("cpu", cpu), ("blockIO", block)):
        if part:
            found[name] = part
    if host.get("PidsLimit"):
        found["pids"] = {"limit": host["PidsLimit"]}
    return found


def _set(**values: Any) -> Document:
    return {name: value for name, value in values.items() if value is not None}


def _block_devices(host: Mapping[str, Any], wish: str, disks: Mapping[str, tuple[int, int]], key: str, word: str) -> list[Document] | None:
    found = []
    for entry in host.get(wish) or ():
        major, minor = disks[entry["Path"]]
        found.append({"major": major, "minor": minor, word: int(entry[key])})
    return found or None


def _device_rules(host: Mapping[str, Any], devices: Sequence[Device], privileged: bool) -> list[Document]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules = [dict(rule) for rule in defaults.DEVICE_RULES]
    rules += [{"allow": True, "type": d.kind, "major": d.major, "minor": d.minor, "access": d.access} for d in devices]
    return rules + [device_rule(text) for text in host.get("DeviceCgroupRules") or ()]


def device_rule(text: str) -> Document:
    """`c 1:3 rwm`, `a *:* rwm`. Raises EngineError in Docker's words."""
    found = _DEVICE_RULE.fullmatch(text)
    if found is None:
        raise EngineError(f"invalid device cgroup rule format: '{text}'", http_status=400)
    kind, major, minor, access = found.groups()
    rule: Document = {"allow": True, "type": kind, "access": access}
    return rule | {key: int(n) for key, n in (("major", major), ("minor", minor)) if n != "*"}


def _node(device: Device) -> Document:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
        **({"hostPath": device.source} if device.source not in ("", device.path) else {}),
    }


def _namespaces(host: Mapping[str, Any], around: Surroundings) -> list[Document]:
    found: list[Document] = [{"type": "mount"}]
    if around.remap is not None:
        found.append({"type": "user", "path": "fd:users"})
    if around.network:
        found.append({"type": "network", "path": "fd:netns"})
    for kind, key in (("pid", "PidMode"), ("ipc", "IpcMode")):
        if kind in around.shared_pids:
            found.append({"type": kind, "path": f"/proc/{around.shared_pids[kind]}/ns/{kind}"})
        elif host.get(key) != "host":
            found.append({"type": kind})
    if host.get("UTSMode") != "host":
        found.append({"type": "uts"})
    if host.get("CgroupnsMode") == "private":
        found.append({"type": "cgroup"})
    return found


def _sysctls(host: Mapping[str, Any]) -> dict[str, str]:
    """Only those of namespaces that are not the machine's; for the rest, runc's words. `net/core/somaxconn` is as good as with dots."""
    found = {_dotted(str(name)): str(value) for name, value in (host.get("Sysctls") or {}).items()}
    for name in found:
        if why := _refused_sysctl(host, name):
            raise EngineError(f'sysctl "{name}" {why}', http_status=400)
    return found


def _dotted(name: str) -> str:
    """sysctl(8): the first separator tells which one it is, the other stands for itself."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def _refused_sysctl(host: Mapping[str, Any], name: str) -> str:
    """Why it cannot be set; empty when it can."""
    if name == "kernel.hostname":
        return 'is not allowed as it conflicts with the OCI "hostname" field'
    if name.startswith(_NET_SYSCTLS):
        is_own = host.get("NetworkMode") != "host"
        return "" if is_own else "not allowed in host network namespace"
    if name in _IPC_SYSCTLS or name.startswith(_IPC_PREFIXES):
        is_own = host.get("IpcMode") != "host"
        return "" if is_own else "is not allowed in the hosts ipc namespace"
    if name == "kernel.domainname" and host.get("UTSMode") != "host":
        return ""
    return "is not in a separate kernel namespace"


def _paths(host: Mapping[str, Any], key: str, standard: Sequence[str]) -> list[str]:
    value = host.get(key)
    return list(standard if value is None else value)


def _base_mounts(container: Container, around: Surroundings) -> list[Document]:
    host = container.host_config
    sys = "rw" if host.get("Privileged") else "ro"
    writable = security_options(host).writable_cgroups
    groups = sys if writable is None else "rw" if writable else "ro"
    shm = int(host.get("ShmSize") or defaults.SHM_SIZE)
    mounts = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", sys),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", groups, "nosuid", "noexec", "nodev"),
    ]
    ipc = str(host.get("IpcMode") or "private")
    if ipc == "host" and around.mqueue:
        mounts += [_mount("/dev/mqueue", "bind", "/dev/mqueue", "rbind", "rprivate", "nosuid", "noexec", "nodev")]
    elif ipc != "host" or around.remap is None:  # root inside may not mount the machine's
        mounts += [_mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")]
    if around.shm:
        limits = () if ipc == "host" else ("nosuid", "noexec", "nodev")  # the machine's is as it is there
        mounts.append(_mount("/dev/shm", "bind", around.shm, "rbind", "rprivate", *limits))
    elif ipc != "none":
        mounts.append(_mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={shm}"))
    readonly = ("ro",) if host.get("ReadonlyRootfs") else ()
    for name in ("hostname", "hosts", "resolv.conf"):
        mounts.append(_mount(f"/etc/{name}", "bind", f"{around.state}/{name}", "rbind", "rprivate", *readonly) | mapped(around.remap))
    if container.rootfs:
        mounts += [_mount(path, "tmpfs", "tmpfs", "nosuid", "nodev", mode) for path, mode in fresh_folders(around.mounts).items()]
    return mounts


def fresh_folders(wishes: Iterable[Document]) -> dict[str, str]:
    """Of `rootfs:`: path → mode of what is an empty folder of its own there; of hidden ones those in which something is mounted."""
    places = [_clean(mount["destination"]) for mount in wishes]
    opened = {path: "mode=755" for path in defaults.HIDDEN if any(place.startswith(f"{path}/") for place in places)}
    return defaults.FRESH_TMPFS | opened


def _mount(destination: str, kind: str, source: str, *options: str) -> Document:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _image_mount(destination: str, layers: Sequence[str], *, rootless: bool) -> Document:
    if len(layers) == 1:
        return _mount(destination, "bind", layers[0], "bind", "rprivate", "ro", "nosuid", "nodev")
    lower = ":".join(escaped(layer, colon=True) for layer in reversed(layers))
    return _mount(destination, "overlay", "overlay", "ro", "nosuid", "nodev", f"lowerdir={lower}", *(["userxattr"] if rootless else []))


def user_mount(point: Mapping[str, Any], source: str, *, rootless: bool = False, mode: int = 0o1777) -> Document:
    """A mount point of the record as an OCI mount. source: where it is on the machine (unused for tmpfs); mode: a tmpfs's, unless told."""
    destination = _clean(point["Destination"])
    if point["Type"] == "tmpfs":
        limits = ["noexec", "nosuid", "nodev", *([] if point["RW"] else ["ro"])]
        return _mount(destination, "tmpfs", "tmpfs", *limits, *tmpfs_options(point.get("x-options") or "", mode))
    if point["Type"] == "image":
        return _image_mount(destination, point["x-layers"], rootless=rootless)
    access = [] if point["RW"] else ["ro"] if point.get("x-ro-top") else ["ro", "rro"]
    recursion = "bind" if point.get("x-nonrecursive") else "rbind"
    return _mount(destination, "bind", source, recursion, point.get("Propagation") or "rprivate", *access)


def is_remapped(host: Mapping[str, Any]) -> bool:
    """Whether the engine's remapping of ids is for it; `userns_mode: host` is the way out."""
    return host.get("UsernsMode") != "host"


def mapped(remap: Remapping | None) -> Document:
    """The mappings of a config or of a mount whose files belong to the container (runtime-spec: uidMappings, gidMappings)."""
    if remap is None:
        return {}
    uids, gids = remap.mappings()
    return {"uidMappings": uids, "gidMappings": gids}


def swap_ids(disk: int, inside: int) -> list[Document]:
    """Mappings of an idmapped mount that exchange two ids and leave the others: files of `disk` are `inside`'s in the container,
    and what that one writes is `disk`'s on the machine."""
    if disk == inside:
        return []
    low, high = sorted((disk, inside))
    ranges = [(0, 0, low), (low, high, 1), (low + 1, low + 1, high - low - 1), (high, low, 1), (high + 1, high + 1, 2**32 - 2 - high)]
    return [{"containerID": source, "hostID": shown, "size": size} for source, shown, size in ranges if size > 0]


def tmpfs_options(text: str, mode: int) -> list[str]:
    words = [word for word in text.split(",") if word]
    return words if any(word.startswith("mode=") for word in words) else [*words, f"mode={mode:o}"]


def _clean(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
