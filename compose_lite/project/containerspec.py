"""A service and a replica's number -> what the engine is asked to create: Docker's create document. Pure.

Files read from the caller's disk (seccomp profiles) come in as `read`; what exists (names of networks and volumes, ids of
containers that namespaces are shared with) as arguments.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from compose_lite import __version__, ids
from compose_lite.errors import ProjectError
from compose_lite.project.confighash import configuration, service_hash
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import FileReference, Healthcheck, Hook, PortConfig, Service, VolumeMount

Document = dict[str, Any]
_UNMASKED = "systempaths=unconfined"  # clients say it to engines by empty lists
_CDI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")  # vendor.com/class=name


@dataclass(frozen=True, slots=True)
class Instance:
    """One container that is wanted. containers: service -> id of the container whose namespace or volumes are shared."""

    project: Project
    service: Service
    number: int
    name: str
    image_id: str = ""
    containers: Mapping[str, str] = field(default_factory=dict)
    inherited: Sequence[tuple[str, str]] = ()  # anonymous volumes kept over a recreation: (volume, target)
    oneoff: str = ""  # slug of a `run`
    read: Callable[[str], str] = lambda path: ""


def container_name(project: Project, service: Service, number: int) -> str:
    return service.container_name or project.joined(service.name, number)


def create_body(one: Instance) -> Document:
    """The document for POST /containers/create."""
    service = one.service
    if service.credential_spec is not None:
        says = f"service {service.name!r}: credential_spec is for accounts of Windows containers, which Linux has not"
        where = place(one.project, ("services", service.name, "credential_spec"))
        raise ProjectError("credential-spec", says, place=where, remedy="Take it out; `secrets` give credentials to a service.")
    body: Document = {
        "Image": one.project.image_of(service),
        "Hostname": service.hostname,
        "Domainname": service.domainname,
        "User": service.user,
        "WorkingDir": service.working_dir,
        "Env": [k if v is None else f"{k}={v}" for k, v in sorted(service.environment.items())],
        "Tty": service.tty,
        "OpenStdin": service.stdin_open,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": service.stop_signal,
        "Labels": labels(one),
        "ExposedPorts": {_port_key(e): {} for e in service.expose} | {f"{p.target}/{p.protocol or 'tcp'}": {} for p in service.ports},
        "HostConfig": host_config(one),
        "NetworkingConfig": {"EndpointsConfig": endpoints(one)},
        ids.CONFIGURATION: configuration(service, one.containers),
    }
    if service.command is not None:
        body["Cmd"] = list(service.command)
    if service.entrypoint is not None:
        body["Entrypoint"] = list(service.entrypoint)
    if service.healthcheck is not None:
        _check_start_interval(one)
        body["Healthcheck"] = healthcheck(service.healthcheck)
    if service.stop_grace_period is not None:
        body["StopTimeout"] = -(-service.stop_grace_period // 10**9)
    if not service.network_mode and (address := _hardware_address(one)):
        body["MacAddress"] = address
    return body


def labels(one: Instance) -> dict[str, str]:
    service, project = one.service, one.project
    made = {
        **service.labels,
        ids.PROJECT: project.name,
        ids.SERVICE: service.name,
        ids.VERSION: __version__,
        ids.CONFIG_HASH: service_hash(service, one.containers),
        ids.ONEOFF: "True" if one.oneoff else "False",
        ids.WORKING_DIR: project.working_dir,
        ids.CONFIG_FILES: ",".join(project.compose_files),
        ids.DEPENDS_ON: ",".join(f"{n}:{d.condition}:{str(d.restart).lower()}" for n, d in service.depends_on.items()),
        ids.IMAGE: one.image_id,
    }
    if project.env_files:
        made[ids.ENVIRONMENT_FILE] = ",".join(project.env_files)
    if one.oneoff:
        made[ids.SLUG] = one.oneoff
    else:
        made[ids.NUMBER] = str(one.number)
    return made


def _check_start_interval(one: Instance) -> None:
    check = one.service.healthcheck
    if check is not None and check.start_interval and not check.start_period:
        raise ProjectError(
            "healthcheck-start-interval",
            "healthcheck.start_interval requires healthcheck.start_period to be set",
            place=place(one.project, ("services", one.service.name, "healthcheck", "start_interval")),
            remedy="Say how long the service may take to start.",
        )


def healthcheck(check: Healthcheck) -> Document:
    if check.disable:
        return {"Test": ["NONE"]}
    times = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {k: v for k, v in times.items() if v is not None and v != []}


def host_config(one: Instance) -> Document:
    service = one.service
    config: Document = {
        "NetworkMode": network_mode(one),
        "Binds": [bind_text(one, v) for v in service.volumes if is_bind_text(one, v)] or None,
        "Mounts": [m for v in service.volumes if not is_bind_text(one, v) for m in [mount(one, v)] if m]
        + [_inherited(v, t) for v, t in one.inherited]
        + _file_mounts(one),
        "PortBindings": port_bindings(service.ports),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0} if one.oneoff else restart_policy(service),
        "AutoRemove": False,
        "VolumesFrom": [_volumes_from(one, v) for v in service.volumes_from] or None,
        "CapAdd": service.cap_add or None,
        "CapDrop": service.cap_drop or None,
        "CgroupnsMode": service.cgroup,
        "Dns": service.dns,
        "DnsOptions": service.dns_opt,
        "DnsSearch": service.dns_search,
        "ExtraHosts": sorted(f"{host}:{a}" for host, addresses in service.extra_hosts.items() for a in addresses),
        "GroupAdd": service.group_add or None,
        "IpcMode": _shared(one, service.ipc),
        "PidMode": _shared(one, service.pid),
        "UTSMode": service.uts,
        "UsernsMode": service.userns_mode,
        "Privileged": service.privileged,
        "ReadonlyRootfs": service.read_only,
        "SecurityOpt": [_security_option(one, o) for o in service.security_opt if o != _UNMASKED] or None,
        "StorageOpt": service.storage_opt or None,
        "Tmpfs": {path: options for path, _, options in (t.partition(":") for t in service.tmpfs)} or None,
        "ShmSize": service.shm_size,
        "Sysctls": service.sysctls or None,
        "Runtime": service.runtime,
        "Isolation": service.isolation,
        "Init": service.init,
        "Annotations": service.annotations or None,
        "OomScoreAdj": service.oom_score_adj,
        "OomKillDisable": service.oom_kill_disable,
        "Links": _links(one) or None,
        **resources(service),
    }
    if _UNMASKED in service.security_opt:
        config |= {"MaskedPaths": [], "ReadonlyPaths": []}
    if service.logging is not None:
        config["LogConfig"] = {"Type": service.logging.driver, "Config": service.logging.options}
    return config


def resources(service: Service) -> Document:
    """Limits: the service's own keys, and deploy.resources where those are unset."""
    limits = service.deploy.resources.limits if service.deploy else None
    reserved = service.deploy.resources.reservations if service.deploy else None
    cpus = (limits.cpus if limits else 0) or service.cpus
    devices = [*service.gpus, *(reserved.devices if reserved else ())]
    made: Document = {
        "NanoCpus": round(cpus * 10**9),
        "CpuShares": service.cpu_shares,
        "CpuCount": service.cpu_count,
        "CpuPeriod": service.cpu_period,
        "CpuQuota": service.cpu_quota,
        "CpuRealtimePeriod": service.cpu_rt_period,
        "CpuRealtimeRuntime": service.cpu_rt_runtime,
        "CpusetCpus": service.cpuset,
        "Memory": (limits.memory if limits else 0) or service.mem_limit,
        "MemoryReservation": (reserved.memory if reserved else 0) or service.mem_reservation,
        "MemorySwap": service.memswap_limit,
        "PidsLimit": (limits.pids if limits else 0) or service.pids_limit or None,
        "CgroupParent": service.cgroup_parent,
        "Devices": [
            {"PathOnHost": d.source, "PathInContainer": d.target or d.source, "CgroupPermissions": d.permissions or "rwm"}
            for d in service.devices
            if not _CDI.fullmatch(d.source)
        ],
        "DeviceCgroupRules": service.device_cgroup_rules or None,
        "DeviceRequests": [
            *({"Driver": "cdi", "DeviceIDs": [d.source]} for d in service.devices if _CDI.fullmatch(d.source)),
            *(
                {
                    "Driver": d.driver,
                    "Count": d.count,
                    "DeviceIDs": d.device_ids,
                    "Capabilities": [d.capabilities or ["gpu"]],
                    "Options": d.options,
                }
                for d in devices
            ),
        ]
        or None,
        "Ulimits": [
            {"Name": name, "Soft": limit.single or limit.soft, "Hard": limit.single or limit.hard}
            for name, limit in sorted(service.ulimits.items())
        ],
    }
    if "mem_swappiness" in service.model_fields_set:
        made["MemorySwappiness"] = service.mem_swappiness
    if service.blkio_config is not None:
        blkio = service.blkio_config
        made["BlkioWeight"] = blkio.weight
        made["BlkioWeightDevice"] = [{"Path": d.path, "Weight": d.weight} for d in blkio.weight_device]
        rates = {"read_bps": "ReadBps", "read_iops": "ReadIOps", "write_bps": "WriteBps", "write_iops": "WriteIOps"}
        for key, name in rates.items():
            made[f"BlkioDevice{name}"] = [{"Path": d.path, "Rate": d.rate} for d in getattr(blkio, f"device_{key}")]
    return made


def restart_policy(service: Service) -> Document:
    if service.restart:
        name, _, count = service.restart.partition(":")
        return {"Name": name, "MaximumRetryCount": int(count) if count.isdecimal() else 0}
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is not None:
        names = {"none": "no", "on-failure": "on-failure", "any": "always", "": "always"}
        return {
            "Name": names.get(policy.condition, "no"),
            "MaximumRetryCount": policy.max_attempts or 0 if policy.condition == "on-failure" else 0,
        }
    return {"Name": "no", "MaximumRetryCount": 0}


def port_bindings(ports: Sequence[PortConfig]) -> dict[str, list[dict[str, str]]]:
    made: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        made.setdefault(f"{port.target}/{port.protocol or 'tcp'}", []).append({"HostIp": port.host_ip, "HostPort": port.published})
    return made


def network_mode(one: Instance) -> str:
    service = one.service
    if service.network_mode:
        return _shared(one, service.network_mode)
    names = service.networks_by_priority()
    return one.project.networks[names[0]].name if names else "none"


def endpoints(one: Instance) -> Document:
    service = one.service
    if service.network_mode:
        return {}
    made: Document = {}
    for key in service.networks_by_priority():
        wish = service.networks[key]
        aliases = [one.name, *([service.name] if not one.oneoff else []), *(wish.aliases if wish else ())]
        entry: Document = {"Aliases": aliases, "Links": _links(one) or None}
        if wish is not None:
            addresses = {"IPv4Address": wish.ipv4_address, "IPv6Address": wish.ipv6_address, "LinkLocalIPs": wish.link_local_ips}
            if any(addresses.values()):
                entry["IPAMConfig"] = {k: v for k, v in addresses.items() if v}
            entry["MacAddress"] = wish.mac_address
            entry["GwPriority"] = wish.gw_priority
            options = dict(wish.driver_opts)
            if wish.interface_name:
                options["com.docker.network.endpoint.ifname"] = wish.interface_name
            entry["DriverOpts"] = options or None
        made[one.project.networks[key].name] = entry
    return made


def _hardware_address(one: Instance) -> str:
    """The service's own, or that of the network that comes first."""
    service = one.service
    wishes = {key: wish.mac_address for key in service.networks_by_priority() if (wish := service.networks[key]) and wish.mac_address}
    first = next(iter(service.networks_by_priority()), "")
    if service.mac_address and wishes.get(first, service.mac_address) != service.mac_address:
        raise ProjectError(
            "mac-address-twice",
            f"the service-level mac_address should have the same value as network {first}",
            place=place(one.project, ("services", service.name, "networks", first, "mac_address")),
            remedy="Leave one of the two out.",
        )
    return service.mac_address or next(iter(wishes.values()), "")


def _links(one: Instance) -> list[str]:
    made = []
    for link in one.service.links:
        name, _, alias = link.partition(":")
        other = one.project.services.get(name)
        target = container_name(one.project, other, 1) if other else name
        made.append(f"{target}:{alias or name}")
        if other:
            full = one.project.joined(name, 1)
            made += [f"{target}:{full.removeprefix(one.project.name)[1:]}", f"{target}:{full}"]
    made += [link if ":" in link else f"{link}:{link}" for link in one.service.external_links]
    return made


def is_bind_text(one: Instance, volume: VolumeMount) -> bool:
    """Whether it goes to the engine as text (HostConfig.Binds), as Docker Compose says what needs no option of HostConfig.Mounts."""
    bind, named = volume.bind, volume.volume
    if ":" in volume.source + volume.target:
        return False
    if volume.type == "bind":
        return bind is None or (bind.create_host_path and not (bind.propagation or bind.recursive or bind.idmap))
    needs_options = named is not None and bool(named.labels or named.subpath or named.nocopy)
    return volume.type == "volume" and volume.source in one.project.volumes and not needs_options


def bind_text(one: Instance, volume: VolumeMount) -> str:
    """`source:target:modes`."""
    source = one.project.volumes[volume.source].name if volume.type == "volume" else volume.source
    modes = ["ro" if volume.read_only else "rw"]
    if volume.bind:
        modes += [volume.bind.selinux, volume.bind.propagation]
    if volume.volume and volume.volume.nocopy:
        modes.append("nocopy")
    return f"{source}:{volume.target}:{','.join(filter(None, modes))}"


def mount(one: Instance, volume: VolumeMount) -> Document | None:
    """One of HostConfig.Mounts; None where an inherited anonymous volume takes its place."""
    made: Document = {"Type": volume.type, "Target": volume.target, "ReadOnly": volume.read_only}
    if volume.consistency:
        made["Consistency"] = volume.consistency
    if volume.type == "bind":
        made["Source"] = volume.source
        bind = volume.bind
        options: Document = {"CreateMountpoint": bool(bind and bind.create_host_path)}
        if bind and bind.propagation:
            options["Propagation"] = bind.propagation
        if bind and bind.recursive:
            options |= {
                "disabled": {"NonRecursive": True},
                "writable": {"ReadOnlyNonRecursive": True},
                "readonly": {"ReadOnlyForceRecursive": True},
            }.get(bind.recursive, {})
        if bind and bind.idmap:
            options["x-compose-lite.idmap"] = bind.idmap  # Docker has no word for it; another engine mounts without
        made["BindOptions"] = options
    elif volume.type == "volume":
        if not volume.source and any(t == volume.target for _, t in one.inherited):
            return None
        declared = one.project.volumes.get(volume.source)
        made["Source"] = declared.name if declared else volume.source
        if volume.volume:
            made["VolumeOptions"] = {
                "NoCopy": volume.volume.nocopy,
                "Labels": volume.volume.labels or None,
                "Subpath": volume.volume.subpath or None,
            }
            made["VolumeOptions"] = {k: v for k, v in made["VolumeOptions"].items() if v}
    elif volume.type == "tmpfs":
        made["Source"] = volume.source
        if volume.tmpfs:
            made["TmpfsOptions"] = {"SizeBytes": volume.tmpfs.size, "Mode": volume.tmpfs.mode}
    elif volume.type == "image":
        made["Source"] = volume.source
        if volume.image and volume.image.subpath:
            made["ImageOptions"] = {"Subpath": volume.image.subpath}
    else:
        raise ProjectError(
            "mount-type",
            f"service {one.service.name!r}: a mount of type {volume.type!r} exists only on other platforms",
            place=place(one.project, ("services", one.service.name, "volumes")),
            remedy="Use a bind mount or a volume.",
        )
    return made


def _inherited(volume: str, target: str) -> Document:
    return {"Type": "volume", "Source": volume, "Target": target, "ReadOnly": False}


@dataclass(frozen=True, slots=True)
class InjectedFile:
    """A config or secret that is no mount of a file of this machine: put into the container before it starts."""

    path: str
    content: str
    source: str  # a file that has the content
    uid: str  # number or name; empty: nobody was asked for
    gid: str
    mode: int


def _granted(one: Instance) -> list[tuple[str, FileReference, Any]]:
    found = []
    for section, references in (("configs", one.service.configs), ("secrets", one.service.secrets)):
        for reference in references:
            declared = getattr(one.project, section)[reference.source]
            if declared.external:
                raise ProjectError(
                    "external-file", f"unsupported external {section[:-1]} {reference.source}",
                    place=place(one.project, (section, reference.source)), remedy="Give it a `file`, `environment` or `content`.",
                )  # fmt: skip
            default = f"/run/secrets/{reference.source}" if section == "secrets" else f"/{reference.source}"
            target = reference.target or default
            if declared.environment and "content" not in declared.model_fields_set:
                raise ProjectError(
                    "variable-unset",
                    f'environment variable "{declared.environment}" required by {section[:-1]} "{declared.name}" is not set',
                    place=place(one.project, (section, reference.source, "environment")),
                    remedy="Set it, on the command line or in .env.",
                )
            if not target.startswith("/"):
                target = f"/run/secrets/{target}" if section == "secrets" else f"/{target}"
            found.append((str(PurePosixPath(target)), reference, declared))
    return found


def _is_mounted(reference: FileReference, declared: Any) -> bool:
    """A file is shown as it is, unless it is to look different inside."""
    return bool(declared.file) and not (reference.uid or reference.gid or reference.mode is not None)


def _file_mounts(one: Instance) -> list[Document]:
    return [
        {"Type": "bind", "Source": declared.file, "Target": target, "ReadOnly": True, "BindOptions": {"CreateMountpoint": False}}
        for target, reference, declared in _granted(one)
        if _is_mounted(reference, declared)
    ]


def injected_files(one: Instance) -> list[InjectedFile]:
    return [
        InjectedFile(
            target,
            declared.content,
            declared.file,
            reference.uid,
            reference.gid,
            0o444 if reference.mode is None else int(reference.mode),
        )
        for target, reference, declared in _granted(one)
        if not _is_mounted(reference, declared)
    ]


def _volumes_from(one: Instance, text: str) -> str:
    if text.startswith("container:"):
        return text.removeprefix("container:")
    name, _, mode = text.partition(":")
    return f"{_sharing(one, name)}:{mode}" if mode else _sharing(one, name)


def _shared(one: Instance, value: str) -> str:
    return f"container:{_sharing(one, value.removeprefix('service:'))}" if value.startswith("service:") else value


def _sharing(one: Instance, service: str) -> str:
    try:
        return one.containers[service]
    except KeyError:
        raise ProjectError("shared-service", f"cannot share namespace with service {service}: container missing") from None


def _security_option(one: Instance, text: str) -> str:
    """A seccomp profile is a file of the caller's: it goes along as text."""
    key, _, value = text.partition("=") if "=" in text else text.partition(":")
    if key == "seccomp" and value not in ("unconfined", "builtin", ""):
        try:
            return "seccomp=" + json.dumps(json.loads(one.read(value)), separators=(",", ":"))
        except (OSError, ValueError) as error:
            where = place(one.project, ("services", one.service.name, "security_opt"))
            raise ProjectError("seccomp-profile", f"opening seccomp profile ({value}) failed: {error}", place=where) from None
    return text


def _port_key(text: str) -> str:
    return text if "/" in text else f"{text}/tcp"


def hook_body(hook: Hook, service: Service) -> Document:
    """POST /containers/{id}/exec for a lifecycle hook."""
    return {
        "Cmd": list(hook.command or ()),
        "User": hook.user,
        "Privileged": hook.privileged,
        "WorkingDir": hook.working_dir,
        "Env": [k if v is None else f"{k}={v}" for k, v in hook.environment.items()],
        "AttachStdout": True,
        "AttachStderr": True,
    }


def slug(seed: str) -> str:
    """12 hexadecimal digits for a one-off container's name."""
    return hashlib.sha256(seed.encode()).hexdigest()[:12]
