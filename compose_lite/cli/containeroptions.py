"""The options of `container create` and `container run`, and the document that they make. Reads env, label and seccomp files."""

from __future__ import annotations

import csv
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compose_lite import units
from compose_lite.cli import nouns
from compose_lite.cli.pflag import argument, arguments, flag, option, options
from compose_lite.errors import UsageError
from compose_lite.spec.shellwords import split_words
from compose_lite.spec.shortforms import parse_ports

Document = dict[str, Any]

OPTIONS = (
    options("--add-host", help="Add a custom host-to-IP mapping (host:ip)"),
    options("--annotation", help="Add an annotation to the container"),
    options("-a", "--attach", help="Attach to STDIN, STDOUT or STDERR"),
    option("--blkio-weight", type=int, default=0, help="Block IO (relative weight), between 10 and 1000"),
    options("--blkio-weight-device", help="Block IO weight (relative device weight)"),
    options("--cap-add", help="Add Linux capabilities"),
    options("--cap-drop", help="Drop Linux capabilities"),
    option("--cgroup-parent", default="", help="Optional parent cgroup for the container"),
    option("--cgroupns", default="", help="Cgroup namespace to use (host|private)"),
    option("--cidfile", default="", help="Write the container ID to the file"),
    option("--cpu-period", type=int, default=0, help="Limit CPU CFS period"),
    option("--cpu-quota", type=int, default=0, help="Limit CPU CFS quota"),
    option("--cpu-rt-period", type=int, default=0, help="Limit CPU real-time period in microseconds"),
    option("--cpu-rt-runtime", type=int, default=0, help="Limit CPU real-time runtime in microseconds"),
    option("-c", "--cpu-shares", type=int, default=0, help="CPU shares (relative weight)"),
    option("--cpus", type=float, default=0.0, help="Number of CPUs"),
    option("--cpuset-cpus", default="", help="CPUs in which to allow execution (0-3, 0,1)"),
    option("--cpuset-mems", default="", help="MEMs in which to allow execution (0-3, 0,1)"),
    options("--device", help="Add a host device to the container"),
    options("--device-cgroup-rule", help="Add a rule to the cgroup allowed devices list"),
    options("--device-read-bps", help="Limit read rate (bytes per second) from a device"),
    options("--device-read-iops", help="Limit read rate (IO per second) from a device"),
    options("--device-write-bps", help="Limit write rate (bytes per second) to a device"),
    options("--device-write-iops", help="Limit write rate (IO per second) to a device"),
    flag("--disable-content-trust", default=True, hidden=True, help="Skip image verification (there is none)"),
    options("--dns", help="Set custom DNS servers"),
    options("--dns-option", help="Set DNS options"),
    options("--dns-search", help="Set custom DNS search domains"),
    option("--domainname", default="", help="Container NIS domain name"),
    option("--entrypoint", help="Overwrite the default ENTRYPOINT of the image"),
    options("-e", "--env", help="Set environment variables"),
    options("--env-file", help="Read in a file of environment variables"),
    options("--expose", help="Expose a port or a range of ports"),
    option("--gpus", default="", help="GPU devices to add to the container ('all' to pass all GPUs)"),
    options("--group-add", help="Add additional groups to join"),
    option("--health-cmd", default="", help="Command to run to check health"),
    option("--health-interval", default="", help="Time between running the check"),
    option("--health-retries", type=int, default=0, help="Consecutive failures needed to report unhealthy"),
    option("--health-start-interval", default="", help="Time between running the check during the start period"),
    option("--health-start-period", default="", help="Start period before health-retries count"),
    option("--health-timeout", default="", help="Maximum time to allow one check to run"),
    option("-h", "--hostname", default="", help="Container host name"),
    flag("--init", default=None, help="Run an init inside the container"),
    flag("-i", "--interactive", help="Keep STDIN open even if not attached"),
    option("--ip", default="", help="IPv4 address (e.g., 172.30.100.104)"),
    option("--ip6", default="", help="IPv6 address (e.g., 2001:db8::33)"),
    option("--ipc", default="", help="IPC mode to use"),
    option("--isolation", default="", help="Container isolation technology"),
    option("--kernel-memory", default="", hidden=True, help="Without effect, as with Docker since version 23"),
    options("-l", "--label", help="Set meta data on a container"),
    options("--label-file", help="Read in a line delimited file of labels"),
    options("--link", help="Add link to another container"),
    options("--link-local-ip", help="Container IPv4/IPv6 link-local addresses"),
    option("--log-driver", default="", help="Logging driver for the container"),
    options("--log-opt", help="Log driver options"),
    option("--mac-address", default="", help="Container MAC address"),
    option("-m", "--memory", default="", help="Memory limit"),
    option("--memory-reservation", default="", help="Memory soft limit"),
    option("--memory-swap", default="", help="Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    option("--memory-swappiness", type=int, default=-1, help="Tune container memory swappiness (0 to 100)"),
    options("--mount", help="Attach a filesystem mount to the container"),
    option("--name", help="Assign a name to the container"),
    options("--network", help="Connect a container to a network"),
    options("--net", hidden=True),
    options("--network-alias", help="Add network-scoped alias for the container"),
    flag("--no-healthcheck", help="Disable any container-specified HEALTHCHECK"),
    flag("--oom-kill-disable", help="Disable OOM Killer"),
    option("--oom-score-adj", type=int, default=0, help="Tune host's OOM preferences (-1000 to 1000)"),
    option("--pid", default="", help="PID namespace to use"),
    option("--pids-limit", type=int, default=0, help="Tune container pids limit (set -1 for unlimited)"),
    option("--platform", help="Set platform if server is multi-platform capable"),
    flag("--privileged", help="Give extended privileges to this container"),
    options("-p", "--publish", help="Publish a container's port(s) to the host"),
    flag("-P", "--publish-all", help="Publish all exposed ports to random ports"),
    option("--pull", default="missing", help='Pull image before running ("always", "missing", "never")'),
    flag("-q", "--quiet", help="Suppress the pull output"),
    flag("--read-only", help="Mount the container's root filesystem as read only"),
    option("--restart", default="", help="Restart policy to apply when a container exits"),
    flag("--rm", help="Automatically remove the container when it exits"),
    option("--runtime", default="", help="Runtime to use for this container"),
    options("--security-opt", help="Security options"),
    option("--shm-size", default="", help="Size of /dev/shm"),
    option("--stop-signal", default="", help="Signal to stop the container"),
    option("--stop-timeout", type=int, default=None, help="Timeout (in seconds) to stop a container"),
    options("--storage-opt", help="Storage driver options for the container"),
    options("--sysctl", help="Sysctl options"),
    options("--tmpfs", help="Mount a tmpfs directory"),
    flag("-t", "--tty", help="Allocate a pseudo-TTY"),
    options("--ulimit", help="Ulimit options"),
    option("-u", "--user", default="", help="Username or UID (format: <name|uid>[:<group|gid>])"),
    flag("--use-api-socket", hidden=True, help="Refused: bind the engine's socket by name"),
    option("--userns", default="", help="User namespace to use"),
    option("--uts", default="", help="UTS namespace to use"),
    options("-v", "--volume", help="Bind mount a volume"),
    option("--volume-driver", default="", help="Optional volume driver for the container"),
    options("--volumes-from", help="Mount volumes from the specified container(s)"),
    option("-w", "--workdir", default="", help="Working directory inside the container"),
    argument("image"),
    arguments("command", metavar="[COMMAND] [ARG...]"),
)


_LIMITS = {
    "--blkio-weight", "--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--cpu-shares", "--cpus", "--cpuset-cpus",
    "--cpuset-mems", "--memory", "--memory-reservation", "--memory-swap", "--pids-limit",
}  # fmt: skip
UPDATE = tuple(one for one in OPTIONS if {*_LIMITS, "--restart"} & set(one.opts))


def update_body(o: Mapping[str, Any]) -> Document:
    """The body of POST /containers/{id}/update: what is given. Raises UsageError."""
    body = {key: value for key, value in _limits(o).items() if value}
    if o["restart"]:
        body["RestartPolicy"] = _restart(o["restart"])
    if not body:
        raise UsageError("argument-missing", "you must provide one or more flags when using this command")
    return body


def refuse(word: str, name: str, why: str) -> UsageError:
    return UsageError("container-option", f'invalid argument "{word}" for "{name}" flag: {why}', status=125)


def create_body(o: Mapping[str, Any], environ: Mapping[str, str], cwd: str) -> Document:
    """The body of POST /containers/create. o: the options' values by name. Raises UsageError."""
    if not o["disable_content_trust"]:
        raise UsageError("container-option", "--disable-content-trust=false: images' signatures are not verified here", status=125)
    if o["use_api_socket"]:
        remedy = "Bind it: -v /run/compose-lite/engine.sock:/var/run/docker.sock (compose-lite engine socket prints the path)."
        raise UsageError("container-option", "--use-api-socket is not supported", remedy=remedy, status=125)
    if o["kernel_memory"]:
        _size(o, "kernel_memory")
    exposed, bindings = _ports(o)
    binds, anonymous = _volumes(o["volume"], cwd)
    attach = {word.lower() for word in o["attach"]} or {"stdout", "stderr", *(("stdin",) if o["interactive"] else ())}
    body: Document = {
        "Image": o["image"],
        "Cmd": list(o["command"]) or None,
        "Entrypoint": None if o["entrypoint"] is None else split_words(o["entrypoint"]) or [""],
        "Env": environment(o["env_file"], o["env"], environ, cwd),
        "Labels": nouns.pairs([*(line for path in o["label_file"] for line in _lines(path, cwd)), *o["label"]]),
        "User": o["user"],
        "WorkingDir": o["workdir"],
        "Hostname": o["hostname"],
        "Domainname": o["domainname"],
        "Tty": o["tty"],
        "OpenStdin": o["interactive"],
        "StdinOnce": o["interactive"] and not o.get("detach"),
        **{f"Attach{name}": name.lower() in attach and not o.get("detach") for name in ("Stdin", "Stdout", "Stderr")},
        "ExposedPorts": exposed,
        "Volumes": anonymous,
        "StopSignal": o["stop_signal"] or None,
        "StopTimeout": o["stop_timeout"],
        "Healthcheck": _healthcheck(o),
        "HostConfig": {**_host(o, cwd), "Binds": binds or None, "PortBindings": bindings},
    }
    body["NetworkingConfig"] = {"EndpointsConfig": _networks(o, body["HostConfig"])}
    return {name: value for name, value in body.items() if value is not None}


def environment(files: Sequence[str], words: Sequence[str], environ: Mapping[str, str], cwd: str) -> list[str]:
    """`KEY=value` of the files, then of the words; a bare KEY takes the caller's value, and is left out without one."""
    made = []
    for word in [*(line for path in files for line in _lines(path, cwd)), *words]:
        key, equals, _ = word.partition("=")
        if not key:
            raise refuse(word, "-e, --env", "invalid environment variable")
        if equals:
            made.append(word)
        elif key in environ:
            made.append(f"{key}={environ[key]}")
    return made


def _lines(path: str, cwd: str) -> list[str]:
    try:
        text = Path(cwd, path).read_text("utf-8-sig")
    except OSError as error:
        raise UsageError("option-file", f"open {path}: {(error.strerror or '').lower()}", status=125) from error
    return [line.lstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _ports(o: Mapping[str, Any]) -> tuple[Document, Document]:
    exposed: Document = {}
    bindings: Document = {}
    for word in o["publish"]:
        try:
            for port in parse_ports(word):
                key = f"{port['target']}/{port['protocol']}"
                exposed[key] = {}
                bindings.setdefault(key, []).append({"HostIp": port.get("host_ip", ""), "HostPort": str(port.get("published", ""))})
        except ValueError as error:
            raise refuse(word, "-p, --publish", str(error)) from None
    for word in o["expose"]:
        try:
            exposed.update({f"{port['target']}/{port['protocol']}": {} for port in parse_ports(word)})
        except ValueError as error:
            raise refuse(word, "--expose", str(error)) from None
    return exposed, bindings


def _volumes(words: Sequence[str], cwd: str) -> tuple[list[str], Document]:
    """(binds, anonymous volumes); a source that is a path is made absolute."""
    binds: list[str] = []
    anonymous: Document = {}
    for word in words:
        source, colon, rest = word.partition(":")
        if not colon:
            anonymous[word] = {}
        else:
            path = source.startswith((".", "/", "~"))
            binds.append(f"{os.path.normpath(os.path.join(cwd, os.path.expanduser(source))) if path else source}:{rest}")
    return binds, anonymous


def _healthcheck(o: Mapping[str, Any]) -> Document | None:
    if o["no_healthcheck"]:
        return {"Test": ["NONE"]}
    made: Document = {"Test": ["CMD-SHELL", o["health_cmd"]]} if o["health_cmd"] else {}
    for name, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ):
        if o[f"health_{name}"]:
            made[key] = _parsed(units.parse_duration, o[f"health_{name}"], f"--health-{name}")
    if o["health_retries"]:
        made["Retries"] = o["health_retries"]
    return made or None


def _parsed(parse: Any, word: str, name: str) -> int:
    try:
        return int(parse(word))
    except ValueError as error:
        raise refuse(word, name, str(error)) from None


def _size(o: Mapping[str, Any], name: str) -> int | None:
    word = o[name]
    return -1 if word == "-1" else _parsed(units.parse_size, word, f"--{name.replace('_', '-')}") if word else None


def _restart(word: str) -> Document:
    """`on-failure:3`"""
    name, _, retries = word.partition(":")
    if retries and not retries.isdigit():
        raise refuse(word, "--restart", "maximum retry count must be an integer")
    return {"Name": name or "no", "MaximumRetryCount": int(retries or 0)}


def _limits(o: Mapping[str, Any]) -> Document:
    """What `update` can change as well."""
    return {
        "BlkioWeight": o["blkio_weight"] or None,
        "CpuRealtimePeriod": o["cpu_rt_period"] or None,
        "CpuRealtimeRuntime": o["cpu_rt_runtime"] or None,
        "CpuPeriod": o["cpu_period"] or None,
        "CpuQuota": o["cpu_quota"] or None,
        "CpuShares": o["cpu_shares"] or None,
        "NanoCpus": round(o["cpus"] * 10**9) or None,
        "CpusetCpus": o["cpuset_cpus"] or None,
        "CpusetMems": o["cpuset_mems"] or None,
        "Memory": _size(o, "memory"),
        "MemoryReservation": _size(o, "memory_reservation"),
        "MemorySwap": _size(o, "memory_swap"),
        "PidsLimit": o["pids_limit"] or None,
    }


def _host(o: Mapping[str, Any], cwd: str) -> Document:
    restart = _restart(o["restart"])
    if restart["Name"] != "no" and o["rm"]:
        raise UsageError("container-option", "conflicting options: cannot specify both --restart and --rm", status=125)
    log = {"Type": o["log_driver"], "Config": nouns.pairs(o["log_opt"])}
    host: Document = {
        **_limits(o),
        "AutoRemove": o["rm"],
        "Annotations": nouns.pairs(o["annotation"]) or None,
        "BlkioWeightDevice": [_rate(word, "Weight") for word in o["blkio_weight_device"]] or None,
        **{key: [_rate(word, "Rate") for word in o[name]] or None for key, name in _RATES.items()},
        "Isolation": o["isolation"] or None,
        "CapAdd": list(o["cap_add"]) or None,
        "CapDrop": list(o["cap_drop"]) or None,
        "CgroupParent": o["cgroup_parent"] or None,
        "CgroupnsMode": o["cgroupns"] or None,
        "ContainerIDFile": o["cidfile"] or None,
        "Devices": [_device(word) for word in o["device"] if not _CDI.fullmatch(word)] or None,
        "DeviceRequests": [*_gpus(o["gpus"]), *({"Driver": "cdi", "DeviceIDs": [w]} for w in o["device"] if _CDI.fullmatch(w))] or None,
        "DeviceCgroupRules": list(o["device_cgroup_rule"]) or None,
        "Dns": [_address(word) for word in o["dns"]] or None,
        "DnsOptions": list(o["dns_option"]) or None,
        "DnsSearch": list(o["dns_search"]) or None,
        "ExtraHosts": [word.replace("=", ":", 1) if "=" in word else word for word in o["add_host"]] or None,
        "GroupAdd": list(o["group_add"]) or None,
        "Init": o["init"],
        "IpcMode": o["ipc"] or None,
        "Links": list(o["link"]) or None,
        "LogConfig": log if log["Type"] or log["Config"] else None,
        "MemorySwappiness": None if o["memory_swappiness"] == -1 else o["memory_swappiness"],
        "Mounts": [mount(word, cwd) for word in o["mount"]] or None,
        "OomKillDisable": o["oom_kill_disable"] or None,
        "OomScoreAdj": o["oom_score_adj"] or None,
        "PidMode": o["pid"] or None,
        "Privileged": o["privileged"],
        "PublishAllPorts": o["publish_all"],
        "ReadonlyRootfs": o["read_only"],
        "RestartPolicy": restart,
        "Runtime": o["runtime"] or None,
        "SecurityOpt": [_security(word, cwd) for word in o["security_opt"]] or None,
        "ShmSize": _size(o, "shm_size"),
        "StorageOpt": nouns.pairs(o["storage_opt"]) or None,
        "Sysctls": nouns.pairs(o["sysctl"], "--sysctl") or None,
        "Tmpfs": {path: how for path, _, how in (word.partition(":") for word in o["tmpfs"])} or None,
        "Ulimits": [_ulimit(word) for word in o["ulimit"]] or None,
        "UsernsMode": o["userns"] or None,
        "UTSMode": o["uts"] or None,
        "VolumeDriver": o["volume_driver"] or None,
        "VolumesFrom": list(o["volumes_from"]) or None,
    }
    return {name: value for name, value in host.items() if value is not None}


def _address(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        raise refuse(word, "--dns", f"IP address is not correctly formatted: {word}") from None


_RATES = {
    "BlkioDeviceReadBps": "device_read_bps",
    "BlkioDeviceReadIOps": "device_read_iops",
    "BlkioDeviceWriteBps": "device_write_bps",
    "BlkioDeviceWriteIOps": "device_write_iops",
}
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_CDI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")


def _rate(word: str, key: str) -> Document:
    """`/dev/sda:1mb`"""
    path, _, value = word.rpartition(":")
    try:
        return {"Path": path, key: units.parse_size(value)}
    except ValueError:
        raise refuse(word, "--blkio or --device rate", "a device's path and a number are expected") from None


def _gpus(word: str) -> list[Document]:
    """`all`, `2`, `device=0,1`, `count=1,capabilities=...`: as Docker's command reads it."""
    if not word:
        return []
    request: Document = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    if word == "all" or word.isdigit():
        return [request | {"Count": -1 if word == "all" else int(word)}]
    for part in next(csv.reader([word])):
        key, equals, value = part.partition("=")
        if key == "count":
            request["Count"] = -1 if value == "all" else int(value) if value.isdigit() else 0
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "driver":
            request["Driver"] = value
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), *(["gpu"] if "gpu" not in value.split(",") else [])]]
        elif not equals and request["DeviceIDs"]:
            request["DeviceIDs"].append(part)
        else:
            raise refuse(word, "--gpus", f"unexpected key '{key}'")
    return [request]


def _device(word: str) -> Document:
    source, *rest = word.split(":")
    mode = rest.pop() if rest and set(rest[-1]) <= set("rwm") else "rwm"
    return {"PathOnHost": source, "PathInContainer": rest[0] if rest else source, "CgroupPermissions": mode}


_ULIMITS = frozenset("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split())


def _ulimit(word: str) -> Document:
    name, _, values = word.partition("=")
    soft, _, hard = values.partition(":")
    if name not in _ULIMITS:
        raise refuse(word, "--ulimit", f"invalid ulimit type: {name}")
    try:
        low, high = int(soft), int(hard or soft)
    except ValueError:
        raise refuse(word, "--ulimit", "an ulimit is name=soft[:hard]") from None
    if high != -1 and not -1 < low <= high:
        raise refuse(word, "--ulimit", f"ulimit soft limit must be less than or equal to hard limit: {low} > {high}")
    return {"Name": name, "Soft": low, "Hard": high}


def _security(word: str, cwd: str) -> str:
    """A seccomp profile is sent as text: the engine does not read our files."""
    name, _, path = word.replace(":", "=", 1).partition("=") if "=" not in word else word.partition("=")
    if name != "seccomp" or path in ("unconfined", "builtin"):
        return word
    try:
        return f"seccomp={Path(cwd, path).read_text()}"
    except OSError as error:
        raise UsageError("option-file", f"opening seccomp profile ({path}) failed: {error.strerror}", status=125) from error


_MOUNT_KEYS = {"type": "Type", "source": "Source", "src": "Source", "target": "Target", "destination": "Target", "dst": "Target"}


_RECURSION: dict[str, Document] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def mount(word: str, cwd: str) -> Document:
    """`type=bind,src=/a,dst=/b,readonly` as a mount's document. Raises UsageError."""
    made: Document = {"Type": "volume"}
    for part in next(csv.reader([word])):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        if key in _MOUNT_KEYS:
            made[_MOUNT_KEYS[key]] = value
        elif key in ("readonly", "ro"):
            made["ReadOnly"] = not equals or value.lower() in ("true", "1")
        elif key == "consistency":
            made["Consistency"] = value
        elif key == "bind-propagation":
            made.setdefault("BindOptions", {})["Propagation"] = value
        elif key == "bind-recursive" and value in _RECURSION:
            made.setdefault("BindOptions", {}).update(_RECURSION[value])
        elif key == "image-subpath":
            made.setdefault("ImageOptions", {})["Subpath"] = value
        elif key == "volume-nocopy":
            made.setdefault("VolumeOptions", {})["NoCopy"] = not equals or value.lower() in ("true", "1")
        elif key == "volume-subpath":
            made.setdefault("VolumeOptions", {})["Subpath"] = value
        elif key == "volume-label":
            made.setdefault("VolumeOptions", {}).setdefault("Labels", {}).update(nouns.pairs([value]))
        elif key == "tmpfs-size":
            made.setdefault("TmpfsOptions", {})["SizeBytes"] = _parsed(units.parse_size, value, "--mount")
        elif key == "tmpfs-mode":
            made.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
        else:
            raise refuse(word, "--mount", f"unexpected key '{key}' in '{part}'")
    if "Target" not in made:
        raise refuse(word, "--mount", "target is required")
    if made["Type"] == "bind" and made.get("Source", "").startswith("."):
        made["Source"] = os.path.normpath(os.path.join(cwd, made["Source"]))
    return made


def _networks(o: Mapping[str, Any], host: Document) -> Document:
    """Endpoints by network; sets NetworkMode to the first one."""
    made: Document = {}
    for n, word in enumerate([*o["network"], *o["net"]] or ["default"]):
        endpoint: Document = {}
        name = word
        if "name=" in word:
            fields = [part.partition("=") for part in word.split(",")]
            name = next((value for key, _, value in fields if key == "name"), "")
            endpoint = _endpoint(
                [value for key, _, value in fields if key == "alias"],
                next((value for key, _, value in fields if key == "ip"), ""),
                next((value for key, _, value in fields if key == "ip6"), ""),
                next((value for key, _, value in fields if key == "mac-address"), ""),
                [value for key, _, value in fields if key == "link-local-ip"],
            )
        if not n:
            host["NetworkMode"] = name
            endpoint |= _endpoint(list(o["network_alias"]), o["ip"], o["ip6"], o["mac_address"], list(o["link_local_ip"]))
        if endpoint or (name not in ("default", "bridge", "host", "none") and not name.startswith("container:")):
            made[name] = endpoint
    return made


def _endpoint(aliases: list[str], ip: str, ip6: str, mac: str, local: list[str]) -> Document:
    addresses = {key: value for key, value in (("IPv4Address", ip), ("IPv6Address", ip6), ("LinkLocalIPs", local)) if value}
    if mac and not _MAC.fullmatch(mac):
        raise UsageError("container-option", f"{mac} is not a valid mac address", status=125)
    made = {"Aliases": aliases, "IPAMConfig": addresses, "MacAddress": mac}
    return {key: value for key, value in made.items() if value}
