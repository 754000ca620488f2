"""A create request → what the container will be: checks, defaults, the image's configuration merged in. Pure.

Statuses and words are Docker's, since clients act on them. Paths of the machine and other containers are checked by callers.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compose_lite.engine import ociconfig, restart
from compose_lite.engine.defaults import MASKED, READONLY, SHM_SIZE
from compose_lite.errors import EngineError
from compose_lite.ids import CONTAINER_NAME
from compose_lite.linux import capabilities, signals

Document = dict[str, Any]
LOG_DRIVERS = ("json-file", "none", "local", "")
_CONFIG: Document = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
}
_OPTIONAL = ("ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "StopSignal", "StopTimeout", "Shell")
_HOST: Document = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge",
    "PortBindings": None,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "",
    "Dns": None,
    "DnsOptions": None,
    "DnsSearch": None,
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": SHM_SIZE,
    "Runtime": "",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
    "MaskedPaths": list(MASKED),
    "ReadonlyPaths": list(READONLY),
}
_LEFT_OUT = ("Mounts", "Tmpfs", "Sysctls", "StorageOpt", "Annotations")  # when they are empty
_LOG_OPTIONS = frozenset("max-size max-file compress labels labels-regex env env-regex tag mode max-buffer-size".split())
_PORT = re.compile(r"\d{1,5}(?:-\d{1,5})?(?:/(?:tcp|udp|sctp))?", re.IGNORECASE)


def check_name(name: str) -> str:
    """A wished name without its slash. Raises EngineError in Docker's words."""
    plain = name.removeprefix("/")
    if not CONTAINER_NAME.fullmatch(plain):
        says = f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        raise EngineError(says, http_status=400)
    return plain


def config_of(body: Mapping[str, Any], image: Mapping[str, Any], id: str, machine_name: str) -> Document:
    """Docker's Config: the request over the image's configuration."""
    config = {**_CONFIG, **{k: body[k] for k in (*_CONFIG, *_OPTIONAL) if body.get(k) is not None}}
    if not config.get("ExposedPorts"):
        config.pop("ExposedPorts", None)
    config["Entrypoint"], config["Cmd"] = (_words(config[key], key) for key in ("Entrypoint", "Cmd"))
    if not config["Entrypoint"] and not config["Cmd"]:
        config["Cmd"] = image.get("Cmd") or config["Cmd"]
    if config["Entrypoint"] is None:
        config["Entrypoint"] = image.get("Entrypoint") or None
    elif config["Entrypoint"] == [""]:
        config["Entrypoint"] = None  # cleared, and the image's CMD with it; [] clears the entrypoint alone
    config["Env"] = merge_environment(image.get("Env") or (), config["Env"] or ())
    for key in ("User", "WorkingDir", "StopSignal"):
        if not config.get(key) and image.get(key):
            config[key] = image[key]
    config["Labels"] = {**(image.get("Labels") or {}), **(config["Labels"] or {})}
    for key in ("ExposedPorts", "Volumes"):
        both = {**(image.get(key) or {}), **(config.get(key) or {})}
        if both:
            config[key] = both
    config["Volumes"] = config["Volumes"] or None
    if image.get("Shell") and not config.get("Shell"):
        config["Shell"] = image["Shell"]
    config["OnBuild"] = image.get("OnBuild") or None
    health = merge_healthcheck(image.get("Healthcheck"), body.get("Healthcheck"))
    config.pop("Healthcheck", None)
    if health:
        config["Healthcheck"] = health
    host = body.get("HostConfig") or {}
    if not config["Hostname"]:
        config["Hostname"] = machine_name if host.get("NetworkMode") == "host" else id[:12]
    _check_config(config)
    if config["WorkingDir"]:
        config["WorkingDir"] = "/" + os.path.normpath(config["WorkingDir"]).lstrip("/")
    return config


def _words(value: Any, key: str) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return list(value)
    raise EngineError(f"invalid JSON: {key} must be a list of strings", http_status=400)


def merge_environment(image: Any, wished: Any) -> list[str]:
    """What is wished for, each name once, and what the image says of others. A bare name stays: it takes the variable away."""
    found: dict[str, str] = {}
    for entry in wished:
        name = entry.partition("=")[0]
        if not name:
            raise EngineError(f"invalid environment variable: {entry}", http_status=400)
        found[name] = entry
    for entry in image:
        found.setdefault(entry.partition("=")[0], entry)
    return list(found.values())


def merge_healthcheck(image: Mapping[str, Any] | None, wished: Mapping[str, Any] | None) -> Document | None:
    if not wished and not image:
        return None
    found: Document = dict(wished or {})
    if not found.get("Test"):
        found = {**(image or {}), **{k: v for k, v in found.items() if v}}
    elif image:
        found = {**{k: v for k, v in image.items() if k != "Test"}, **{k: v for k, v in found.items() if v}}
    return {key: value for key, value in found.items() if value} or None


def _check_config(config: Document) -> None:
    where = config["WorkingDir"]
    if where and not where.startswith("/"):
        raise EngineError(f"the working directory '{where}' is invalid, it needs to be an absolute path", http_status=400)
    if config.get("StopSignal"):
        signal_number(str(config["StopSignal"]))
    for port in config.get("ExposedPorts") or {}:
        if not _PORT.fullmatch(port):
            raise EngineError(f"invalid port specification: {port!r}", http_status=400)
    health = config.get("Healthcheck") or {}
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        value = health.get(key) or 0
        if value and value < 1_000_000:
            raise EngineError(f"{key} in Healthcheck cannot be less than 1ms", http_status=400)
    if (health.get("Retries") or 0) < 0:
        raise EngineError("Retries in Healthcheck cannot be negative", http_status=400)
    test = health.get("Test") or ["NONE"]
    if test[0] not in ("NONE", "CMD", "CMD-SHELL", ""):
        raise EngineError(f"Unknown healthcheck type '{test[0]}' (expected 'CMD')", http_status=400)


def signal_number(name: str, doing: str = "") -> int:
    """`SIGTERM`, `term`, `RTMIN+3`, any number but 0. doing: the words before Docker's in the error, as `cannot stop container: web`."""
    if number := signals.number(name):
        return number
    raise EngineError(": ".join(filter(None, (doing, f"invalid signal: {name}"))), http_status=400)


def asked_signal(name: str, doing: str) -> int:
    """The signal of a request, which has to be one."""
    number = signal_number(name, doing)
    if not signals.can_be_asked_for(number):
        raise EngineError(f"{doing}: the linux daemon does not support signal {number}", http_status=400)
    return number


def host_config_of(body: Mapping[str, Any], cgroup_version: int, *, remapped: bool = False) -> tuple[Document, list[str]]:
    """Docker's HostConfig with its defaults, and warnings. remapped: the engine maps the ids of containers (userns-remap)."""
    wished = {k: v for k, v in (body.get("HostConfig") or {}).items() if v is not None and (v or k not in _LEFT_OUT)}
    host = {**_HOST, **wished}
    for key in ("NetworkMode", "IpcMode"):
        host[key] = host[key] or _HOST[key]
    host["NetworkMode"] = "bridge" if host["NetworkMode"] == "default" else host["NetworkMode"]
    host["CgroupnsMode"] = host["CgroupnsMode"] or ("private" if cgroup_version == 2 else "host")
    if host["Privileged"] and not wished.get("CgroupnsMode"):
        host["CgroupnsMode"] = "host"
    host["LogConfig"] = {
        "Type": (host["LogConfig"] or {}).get("Type") or "json-file",
        "Config": (host["LogConfig"] or {}).get("Config") or {},
    }
    host["RestartPolicy"] = {"MaximumRetryCount": 0, **(host["RestartPolicy"] or {})}
    host["RestartPolicy"]["Name"] = host["RestartPolicy"].get("Name") or "no"
    host["ShmSize"] = host["ShmSize"] or SHM_SIZE
    if host["Privileged"]:
        host |= {key: wished.get(key) for key in ("MaskedPaths", "ReadonlyPaths")}
    host["SecurityOpt"], host["Links"] = _with_label(host), host["Links"] or None
    if host["PortBindings"]:
        host["PortBindings"] = {port: [{"HostIp": "", **one} for one in found or ()] for port, found in host["PortBindings"].items()}
    if host.get("Mounts"):
        host["Mounts"] = [{k: v for k, v in one.items() if v or k not in ("Source", "ReadOnly")} for one in host["Mounts"]]
    if host["NetworkMode"].startswith("container:"):
        _check_shared_network(host, body)
    for key in ("CapAdd", "CapDrop"):  # as Docker shows them, whatever they were called
        host[key] = ociconfig.capability_names(host[key]) if host.get(key) else host.get(key)
    if host["MemorySwappiness"] == -1:  # the docker program's way to say nothing
        host["MemorySwappiness"] = None
    shares = host["CpuShares"]
    if cgroup_version == 1 and shares and not 2 <= shares <= 262144:
        says = "the minimum allowed cpu-shares is 2" if shares < 2 else "the maximum allowed cpu-shares is 262144"
        raise EngineError(says, http_status=400)
    if host["NetworkMode"] == "host" and host["Links"]:
        says = "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
        raise EngineError(says, http_status=400)
    if host["UTSMode"] == "host" and body.get("Hostname"):
        raise EngineError("conflicting options: hostname and the UTS mode", http_status=400)
    warnings = check_host_config(host)
    if host["Memory"] > 0 and not host["MemorySwap"]:
        host["MemorySwap"] = host["Memory"] * 2
    if remapped and ociconfig.is_remapped(host):
        _check_remapped(host)
    return host, warnings


def _with_label(host: Document) -> list[str] | None:
    """As Docker shows them: who sees the machine's processes or memory has no label of its own."""
    wished: list[str] | None = host["SecurityOpt"]
    is_open = host["Privileged"] or "host" in (host["IpcMode"], host["PidMode"])
    if is_open and not any(option.partition("=")[0] == "label" for option in wished or ()):
        return [*(wished or ()), "label=disable"]
    return wished


def _check_shared_network(host: Document, body: Mapping[str, Any]) -> None:
    """What belongs to the network that another container has. Docker's words."""
    for wished, words in (
        (body.get("Hostname"), "hostname and the network mode"),
        (host["Links"], "container type network can't be used with links. This would result in undefined behavior"),
        (host["Dns"], "dns and the network mode"),
        (host["ExtraHosts"], "custom host-to-IP mapping and the network mode"),
        (host["PortBindings"], "port publishing and the container type network mode"),
        (body.get("ExposedPorts"), "port exposing and the container type network mode"),
    ):
        if wished:
            raise EngineError(f"conflicting options: {words}", http_status=400)


def _check_remapped(host: Document) -> None:
    """What a container in a user namespace of its own cannot have. Docker's words."""
    if host["Privileged"]:
        says = "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running"
        raise EngineError(f"{says} privileged mode", http_status=400, remedy="Add `userns_mode: host` (--userns host).")
    for key, what in (("NetworkMode", "host's network"), ("PidMode", "host PID")):
        if host[key] == "host":
            says = f"cannot share the {what} namespace when user namespaces are enabled"
            raise EngineError(says, http_status=400, remedy="Add `userns_mode: host` (--userns host).")


def check_host_config(host: Document) -> list[str]:
    """Refuses what cannot be; returns Docker's warnings."""
    restart.check(host["RestartPolicy"])
    if host["AutoRemove"] and host["RestartPolicy"]["Name"] not in ("", "no"):
        raise EngineError("can't create 'AutoRemove' container with restart policy", http_status=400)
    ociconfig.check_capabilities(host, capabilities.NAMES)
    ociconfig.security_options(host)
    for name in host.get("Sysctls") or ():
        parts = name.split(".", 4)
        if len(parts) == 5 and parts[0] == "net" and parts[3].startswith("eth"):  # there is none before the start
            says = f'interface specific sysctl setting "{name}" must be supplied using driver option'
            raise EngineError(f"{says} 'com.docker.network.endpoint.sysctls'", http_status=400)
    for rule in host["DeviceCgroupRules"] or ():
        ociconfig.device_rule(rule)
    if host.get("StorageOpt"):
        says = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        raise EngineError(says, http_status=400, remedy="Leave `storage_opt` out: a container's layer has no quota here.")
    if host["Isolation"] not in ("", "default"):
        raise EngineError(f"invalid isolation ({host['Isolation']}): linux only supports 'default'", http_status=400)
    if host["LogConfig"]["Type"] not in LOG_DRIVERS:
        kind = host["LogConfig"]["Type"]
        raise EngineError(f'error looking up logging plugin {kind}: plugin "{kind}" not found', http_status=400)
    for name in host["LogConfig"]["Config"] if host["LogConfig"]["Type"] in ("json-file", "local") else ():
        if name not in _LOG_OPTIONS:
            raise EngineError(f"unknown log opt '{name}' for {host['LogConfig']['Type']} log driver", http_status=400)
    _check_log(host["LogConfig"])
    return [*_check_resources(host), *_check_modes(host)]


def _check_log(wish: Document) -> None:
    """Options of a log driver that contradict each other."""
    options = wish["Config"]
    if (mode := options.get("mode") or "blocking") not in ("blocking", "non-blocking"):
        raise EngineError(f"logger: logging mode not supported: {mode}", http_status=400)
    if options.get("max-buffer-size") and mode != "non-blocking":
        raise EngineError("logger: max-buffer-size option is only supported with 'mode=non-blocking'", http_status=400)
    kept = options.get("max-file") or "1"
    if wish["Type"] == "json-file" and options.get("compress") == "true" and (kept == "1" or not options.get("max-size")):
        raise EngineError("compress cannot be true when max-file is less than 2 or max-size is not set", http_status=400)


def _check_resources(host: Document) -> list[str]:
    warnings = []
    memory, swap = host["Memory"], host["MemorySwap"]
    if memory and memory < 6 * 2**20:
        raise EngineError("Minimum memory limit allowed is 6MB", http_status=400)
    if swap > 0 and not memory:
        raise EngineError("You should always set the Memory limit when using Memoryswap limit, see usage", http_status=400)
    if memory and 0 < swap < memory:
        raise EngineError("Minimum memoryswap limit should be larger than memory limit, see usage", http_status=400)
    if 0 < host["MemoryReservation"] < 6 * 2**20:
        raise EngineError("Minimum memory reservation allowed is 6MB", http_status=400)
    if host["MemoryReservation"] and memory and memory < host["MemoryReservation"]:
        raise EngineError("Minimum memory limit can not be less than memory reservation limit, see usage", http_status=400)
    swappiness = host["MemorySwappiness"]
    if swappiness is not None and swappiness != -1 and not 0 <= swappiness <= 100:
        raise EngineError(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100", http_status=400)
    if host["NanoCpus"]:
        cpus = os.cpu_count() or 1
        if host["CpuQuota"] or host["CpuPeriod"]:
            key = "CPU Period" if host["CpuPeriod"] else "CPU Quota"
            raise EngineError(f"Conflicting options: Nano CPUs and {key} cannot both be set", http_status=400)
        if host["NanoCpus"] < 10**7 or host["NanoCpus"] > cpus * 10**9:
            says = f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            raise EngineError(says, http_status=400)
    if host["CpuPeriod"] and not 1000 <= host["CpuPeriod"] <= 1_000_000:
        raise EngineError("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)", http_status=400)
    if 0 < host["CpuQuota"] < 1000:
        raise EngineError("CPU cfs quota can not be less than 1ms (i.e. 1000)", http_status=400)
    for key, what, kind in (("CpusetCpus", "CPUs", "cpu"), ("CpusetMems", "memory nodes", "node")):
        _check_cpuset(host[key], what, kind)
    if host["BlkioWeight"] and not 10 <= host["BlkioWeight"] <= 1000:
        raise EngineError("Range of blkio weight is from 10 to 1000", http_status=400)
    if not -1000 <= host["OomScoreAdj"] <= 1000:
        raise EngineError(f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]", http_status=400)
    if host["ShmSize"] < 0:
        raise EngineError("SHM size can not be less than 0", http_status=400)
    if host["OomKillDisable"] and not memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
        )
    if host["PidsLimit"] is not None and host["PidsLimit"] <= 0:
        host["PidsLimit"] = None
    return warnings


def _check_extra_host(wish: str) -> None:
    """`name:address`, an IPv6 one maybe in brackets, or `name:host-gateway`; `=` is as good."""
    name, address = ([*re.split("[:=]", wish, maxsplit=1), ""])[:2]
    if not name or not address:
        raise EngineError(f'bad format for add-host: "{wish}"', http_status=400)
    try:
        if address != "host-gateway":
            ipaddress.ip_address(address[1:-1] if address[0] + address[-1] == "[]" else address)
    except ValueError:
        raise EngineError(f'invalid IP address in add-host: "{address}"', http_status=400) from None


def _check_cpuset(text: str, what: str, kind: str) -> None:
    """That the machine has them."""
    if not text:
        return
    wanted = _numbers(text)
    if wanted is None:
        raise EngineError(f"Invalid value {text} for cpuset {'cpus' if kind == 'cpu' else 'mems'}: invalid format: {text}", http_status=400)
    try:
        available = Path(f"/sys/devices/system/{kind}/online").read_text().strip()
    except OSError:
        available = "0"  # one memory node, of which the kernel does not speak
    if not wanted <= (_numbers(available) or set()):
        raise EngineError(f"Requested {what} are not available - requested {text}, available: {available}", http_status=400)


def _numbers(text: str) -> set[int] | None:
    """`0-3,7`: cpuset(7)'s list format; None when it is none."""
    found: set[int] = set()
    for part in text.split(","):
        if not (match := re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip())):
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            return None
        found.update(range(first, last + 1))
    return found


def _check_modes(host: Document) -> list[str]:
    warnings = []
    mode = host["NetworkMode"]
    if host["PortBindings"] and mode == "host":
        warnings.append("Published ports are discarded when using host network mode")
    if host["IpcMode"].split(":")[0] not in ("private", "shareable", "host", "none", "container"):
        raise EngineError(f"invalid IPC mode: {host['IpcMode']}", http_status=400)
    if host["PidMode"].split(":")[0] not in ("", "host", "container"):
        raise EngineError(f"invalid PID mode: {host['PidMode']}", http_status=400)
    if host["UTSMode"] not in ("", "host"):
        raise EngineError(f"invalid UTS mode: {host['UTSMode']}", http_status=400)
    if host["CgroupnsMode"] not in ("private", "host"):
        raise EngineError(f"invalid cgroup namespace mode: {host['CgroupnsMode']}", http_status=400)
    for server in host["Dns"] or ():
        try:
            ipaddress.ip_address(server)
        except ValueError:
            raise EngineError(f'bad nameserver address {server}: ParseAddr("{server}"): unable to parse IP', http_status=400) from None
    for wish in host["ExtraHosts"] or ():
        _check_extra_host(wish)
    for port, bindings in (host["PortBindings"] or {}).items():
        if not _PORT.fullmatch(port):
            raise EngineError(f"invalid port specification: {port!r}", http_status=400)
        for binding in bindings or ():
            text = binding.get("HostPort") or ""
            if text and not re.fullmatch(r"\d{1,5}(-\d{1,5})?", text):
                raise EngineError(f"invalid port specification: {text!r}", http_status=400)
    return warnings
