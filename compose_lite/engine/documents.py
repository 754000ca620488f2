"""What the API says of containers: inspect, list, their filters; and of the engine: version, info. Reads, never changes."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compose_lite import __version__, rootless
from compose_lite.engine import cdi, limits, links, runtimes
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import has_label
from compose_lite.engine.images import summary as image_row
from compose_lite.engine.lifecycle import State
from compose_lite.engine.record import NEVER, Container
from compose_lite.engine.volumes import folder_size, visible
from compose_lite.errors import EngineError
from compose_lite.image.image import Image
from compose_lite.linux import cgroups
from compose_lite.units import human_duration, rfc3339

Document = dict[str, Any]
FILTERS = frozenset(
    "ancestor before exited expose health id is-task isolation label label! name network publish since status volume until".split(" ")
)
_INDEX = {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}}
_UNLISTED = dict.fromkeys(("Aliases", "DNSNames", "DriverOpts", "Links"))  # of an endpoint; only inspect shows them
_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")


def _time(ns: int) -> str:
    return rfc3339(ns) if ns else NEVER


def state(container: Container) -> Document:
    now = container.state
    found: Document = {
        "Status": now.value,
        "Running": container.running or now is State.RESTARTING,
        "Paused": now is State.PAUSED,
        "Restarting": now is State.RESTARTING,
        "OOMKilled": container.oom_killed,
        "Dead": now is State.DEAD,
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": _time(container.started),
        "FinishedAt": _time(container.finished),
    }
    return found | ({"Health": container.health} if container.health else {})


def inspect(containers: Containers, container: Container, *, size: bool = False) -> Document:
    folder = containers.preparation.path(container.id)
    argv = container.argv
    host = {**container.host_config, "Links": links.shown(container)}
    host["Runtime"] = host.get("Runtime") or "runc"  # Docker's name for what it has
    begun = container.started_once or bool(container.error)
    logged = begun and host["LogConfig"]["Type"] != "none"
    found: Document = {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": argv[0] if argv else "",
        "Args": argv[1:],
        "State": state(container),
        "Image": container.image_id,
        "ResolvConfPath": str(folder / "resolv.conf") if begun else "",
        "HostnamePath": str(folder / "hostname") if begun else "",
        "HostsPath": str(folder / "hosts") if begun else "",
        "LogPath": containers.preparation.log_path(container.id) if logged else "",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": sorted(containers.live(container.id).execs) or None,
        "HostConfig": host,
        "GraphDriver": {
            "Data": {
                "ID": container.id,
                "LowerDir": ":".join(reversed(container.layers)),
                "MergedDir": f"/proc/{container.pid}/root" if container.pid else str(folder / "merged"),
                "UpperDir": str(folder / "diff"),
                "WorkDir": str(folder / "work"),
            },
            "Name": "overlay2",
        },
        "Mounts": _mounts(container),
        "Config": container.config,
        "NetworkSettings": containers.seats.settings(container),
    }
    if container.unmet:
        found["x-compose-lite"] = {"unmet": container.unmet}
    if size:
        used = folder_size(folder / "diff")
        found |= {"SizeRw": used, "SizeRootFs": used + sum(folder_size(Path(layer)) for layer in container.layers if not container.rootfs)}
    return found


def facts(containers: Containers, container: Container) -> Document:
    """What inspect has no place for. Version: grows with every change; Took: seconds by phase of the last start."""
    live = containers.live(container.id)
    return {
        "Version": live.version,
        "State": state(container),
        "Signals": container.signals,
        "SignalsBefore": live.signals_before,
        "Probed": live.probed,
        "Took": live.took,
        "RestartIn": live.wait_before if container.state is State.RESTARTING else 0,
        "RestartCount": container.restart_count,
        "RestartsByHand": live.restarting_by_hand,
        "Unmet": container.unmet,
    }


def _mounts(container: Container) -> list[Document]:
    return [visible(point) for point in container.mounts if not point.get("x-hidden")]


def status_text(container: Container, now: int) -> str:
    """`Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`."""
    if container.state is State.CREATED:
        return "Created"
    if container.state is State.RESTARTING:
        return f"Restarting ({container.exit_code}) {human_duration((now - container.finished) / 1e9)} ago"
    if container.running:
        text = f"Up {human_duration((now - container.started) / 1e9)}"
        if container.state is State.PAUSED:
            return f"{text} (Paused)"
        if container.health:
            word = container.health["Status"]
            return f"{text} ({'health: starting' if word == 'starting' else word})"
        return text
    if container.state is State.REMOVING:
        return "Removal In Progress"
    if container.state is State.DEAD:
        return "Dead"
    return f"Exited ({container.exit_code}) {human_duration((now - container.finished) / 1e9)} ago" if container.finished else ""


def summary(containers: Containers, container: Container, now: int, *, size: bool = False) -> Document:
    settings = containers.seats.settings(container)
    found: Document = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": container.image_id,
        "Command": " ".join(_quoted(word) for word in container.argv),
        "Created": container.created // 10**9,
        "Ports": shown_ports(settings["Ports"]),
        "Labels": container.labels,
        "State": container.state.value,
        "Status": status_text(container, now),
        "HostConfig": {k: v for k in ("NetworkMode", "Annotations") if (v := container.host_config.get(k))},
        "NetworkSettings": {"Networks": {name: {**one, **_UNLISTED} for name, one in settings["Networks"].items()}},
        "Mounts": _mounts(container),
    }
    if size:
        found["SizeRw"] = folder_size(containers.preparation.path(container.id) / "diff")
        found["SizeRootFs"] = found["SizeRw"] + sum(folder_size(Path(layer)) for layer in container.layers if not container.rootfs)
    return found


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


def shown_ports(ports: Mapping[str, Sequence[Mapping[str, str]] | None]) -> list[Document]:
    """Ports of a container's row: by `80/tcp` or `80-82/tcp`, which is exposed only, where it is published."""
    found: list[Document] = []
    for key, bindings in ports.items():
        number, _, kind = key.partition("/")
        if not bindings:
            first, _, last = number.partition("-")
            found += [{"PrivatePort": port, "Type": kind or "tcp"} for port in range(int(first), int(last or first) + 1)]
        for binding in bindings or ():
            found.append({"IP": binding["HostIp"], "PrivatePort": int(number), "PublicPort": int(binding["HostPort"]), "Type": kind})
    return found


def disk_usage(containers: Containers, images: Sequence[Image]) -> Document:
    """GET /system/df. Walks folders: in a thread."""
    users = Counter(c.image_id for c in containers.all.values())
    shared = Counter(diff for image in images for diff in set(image.diff_ids))
    sizes = {diff: size for image in images for diff, size in zip(image.diff_ids, image.layer_sizes, strict=True)}
    volumes = []
    for found in containers.volumes.listing({})["Volumes"]:
        references = sum(any(m.get("Name") == found["Name"] for m in c.mounts) for c in containers.all.values())
        volumes.append({**found, "UsageData": {"RefCount": references, "Size": folder_size(Path(found["Mountpoint"]))}})
    return {
        "LayersSize": sum(sizes.values()),
        "Images": [
            {**image_row(image, users[image.id]), "SharedSize": sum(sizes[d] for d in image.diff_ids if shared[d] > 1)} for image in images
        ],
        "Containers": listing(containers, {}, all=True, limit=0, size=True),
        "Volumes": volumes,
        "BuildCache": [],
    }


def listing(containers: Containers, filters: Mapping[str, list[str]], *, all: bool, limit: int, size: bool) -> list[Document]:
    """GET /containers/json, the latest first."""
    for status in filters.get("status", ()):
        if status not in _STATUSES:
            raise EngineError(f"invalid filter 'status={status}'", http_status=400)
    everything = all or limit > 0 or bool({"status", "exited"} & set(filters))
    found = sorted(containers.all.values(), key=lambda c: c.created, reverse=True)
    bounds = {key: [containers.find(v).created for v in filters.get(key, ())] for key in ("before", "since")}
    kept = [c for c in found if (everything or c.running or c.state is State.RESTARTING) and _matches(containers, c, filters, bounds)]
    now = time.time_ns()
    return [summary(containers, c, now, size=size) for c in kept[: limit or None]]


def _matches(containers: Containers, c: Container, filters: Mapping[str, list[str]], bounds: Mapping[str, list[int]]) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda v: c.id.startswith(v),
        "name": lambda v: _name_matches(v, c.name),
        "status": lambda v: c.state.value == v,
        "exited": lambda v: not c.running and c.started_once and str(c.exit_code) == v,
        "ancestor": lambda v: _is_image(v, c),
        "health": lambda v: (c.health or {"Status": "none"})["Status"] == v,
        "network": lambda v: (
            any(v in (name, e["NetworkID"]) or e["NetworkID"].startswith(v) for name, e in c.endpoints.items())
            or c.host_config["NetworkMode"] == v
        ),
        "volume": lambda v: any(v in (m.get("Name"), m["Destination"]) for m in c.mounts),
        "publish": lambda v: _port(v) in {_port(k) for k in c.host_config["PortBindings"] or ()},
        "expose": lambda v: _port(v) in {_port(k) for k in c.config.get("ExposedPorts") or ()},
        "is-task": lambda v: v.lower() in ("0", "false"),
        "isolation": lambda v: v in ("", "default"),
    }
    for key, values in filters.items():
        if key == "label" and not all(has_label(c.labels, v) for v in values):
            return False
        if key == "label!" and any(has_label(c.labels, v) for v in values):
            return False
        if key in tests and values and not any(tests[key](v) for v in values):
            return False
    return all(c.created < b for b in bounds["before"]) and all(c.created > b for b in bounds["since"])


def _port(text: str) -> str:
    return text if "/" in text else f"{text}/tcp"


def _name_matches(pattern: str, name: str) -> bool:
    import re

    try:
        return bool(re.search(pattern, name) or re.search(pattern, f"/{name}"))
    except re.error:
        return pattern in name


def _is_image(value: str, container: Container) -> bool:
    digits = value.removeprefix("sha256:")
    return (
        container.image == value
        or container.image == f"{value}:latest"
        or f"{container.image}:latest" == value
        or (len(digits) >= 6 and container.image_id.removeprefix("sha256:").startswith(digits))
    )


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def version() -> Document:
    details = {"ApiVersion": "1.51", "Arch": _architecture(), "MinAPIVersion": "1.24", "Os": "linux", "KernelVersion": os.uname().release}
    details |= {"GitCommit": "", "GoVersion": "", "BuildTime": "", "Experimental": "false"}
    return {
        "Platform": {"Name": "compose-lite"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
        "Version": __version__,
        "ApiVersion": "1.51",
        "MinAPIVersion": "1.24",
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": _architecture(),
        "KernelVersion": os.uname().release,
        "BuildTime": "",
    }


def info(containers: Containers, images: int, engine_id: str, listeners: int) -> Document:
    states = [c.state for c in containers.all.values()]
    running, paused = states.count(State.RUNNING) + states.count(State.RESTARTING), states.count(State.PAUSED)
    options = ["name=seccomp,profile=builtin"] + (["name=rootless"] if containers.preparation.rootless else [])
    options += ["name=userns"] if containers.preparation.remap else []
    return {
        "ID": engine_id,
        "Containers": len(states),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - running - paused,
        "Images": images,
        "Driver": "overlay2",
        "DriverStatus": [["Supports d_type", "true"], ["userxattr", str(containers.preparation.rootless).lower()]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        **limits.facts(cgroups.unkept(limits.EVERYTHING)),
        "IPv4Forwarding": True,
        "Debug": False,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": 0,
        "SystemTime": rfc3339(time.time_ns()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(containers.preparation.cgroup_version),
        "NEventsListener": listeners,
        "KernelVersion": os.uname().release,
        "OperatingSystem": _system_name(),
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": platform.machine(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {"IndexConfigs": _INDEX, "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "Mirrors": None},
        "FirewallBackend": {"Driver": "nftables"},
        "CDISpecDirs": list(cdi.FOLDERS),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "DockerRootDir": str(containers.folders.data),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": socket.gethostname(),
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": __version__,
        "Runtimes": runtimes.installed(),
        "DefaultRuntime": runtimes.BUILT_IN,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "docker-init",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "SecurityOptions": options,
        "Warnings": [f"WARNING: {limit}" for limit in rootless.limits(containers.folders)] or None,
    }


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
