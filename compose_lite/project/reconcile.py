"""Wanted against seen -> Plan. Pure: equal arguments, equal plan.

A container is recreated when its configuration hash or its image differs, or when a wish says so; it is kept otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose_lite import __version__, ids
from compose_lite.errors import ProjectError, nearest
from compose_lite.graph.services import needs, start_order, with_dependencies
from compose_lite.project.confighash import network_hash, service_hash, volume_hash
from compose_lite.project.containerspec import container_name
from compose_lite.project.observe import Seen, Snapshot
from compose_lite.project.plan import (
    AwaitCondition,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Keep,
    Plan,
    PreStart,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    Rollout,
    StartContainer,
    StopContainer,
)
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a command line asks for beside the project. scale: service -> containers. images: service -> image id."""

    services: tuple[str, ...] = ()
    scale: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    force_recreate: bool = False
    no_recreate: bool = False
    always_recreate_deps: bool = False
    no_deps: bool = False
    start: bool = True
    ground_only: bool = False  # networks, volumes and orphans alone
    all_resources: bool = False  # networks and volumes that nobody uses, too
    recreate_volumes: bool = False
    remove_orphans: bool = False
    ignore_orphans: bool = False


def reconcile(project: Project, snapshot: Snapshot, wishes: Wishes) -> Plan:
    """The steps that bring the wished services, and what they need, to where they should be."""
    plan = Plan()
    chosen = _chosen(project, wishes)
    networks, moved = _networks(project, snapshot, chosen, wishes, plan)
    volumes, gone = _volumes(project, snapshot, chosen, wishes, plan)
    ground = [*networks, *volumes]
    left = Snapshot(tuple(c for c in snapshot.containers if c.id not in gone), snapshot.networks, snapshot.volumes)
    _orphans(project, left, wishes, plan)
    if wishes.ground_only:
        return plan
    created: dict[str, list[int]] = {}  # service -> its create steps
    instances: dict[str, list[tuple[str, str, bool]]] = {}  # service -> (name, id if kept, running)
    rolled: dict[str, list[CreateContainer]] = {}  # service -> what is replaced a few at a time
    shared = {other for name in chosen for other in _shares(project.services[name])}
    replaced: set[str] = set()
    for name in chosen:
        service = project.services[name]
        if service.provider is not None:
            continue
        outside = [f"shares with {other}, which is recreated" for other in _shares(service) if other in replaced or created.get(other)]
        outside += [f"network {project.networks[key].name} is recreated" for key in service.networks if key in moved]
        restarts = any(d.restart and o in replaced for o, d in needs(service).items())
        rolling = rolled.setdefault(name, []) if _rolls(service, wishes) and name not in shared and not outside else None
        created[name], instances[name] = _containers(
            project,
            service,
            left,
            wishes,
            plan,
            [*ground, *_flat(created, [*_shares(service), *_linked(service)])],
            outside,
            restarts,
            rolling,
        )
        steps = [plan.steps[n - 1].step for n in created[name]]
        if rolling or any(isinstance(step, CreateContainer) and step.replaces for step in steps):
            replaced.add(name)
    if wishes.start:
        _starts(project, chosen, created, instances, replaced, rolled, plan)
    else:
        _stops(project, chosen, created, instances, replaced, plan)
    return plan


def _chosen(project: Project, wishes: Wishes) -> list[str]:
    if not wishes.services:
        return start_order(project)
    for name in wishes.services:
        if name not in project.services:
            raise ProjectError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.services))
    if wishes.no_deps:
        return [n for n in start_order(project) if n in wishes.services]
    return with_dependencies(project, wishes.services)


def _flat(created: Mapping[str, list[int]], names: Sequence[str]) -> list[int]:
    return [n for name in names for n in created.get(name, ())]


def _shares(service: Service) -> list[str]:
    """Services whose containers must exist first: their namespaces or volumes are used."""
    found = [v.removeprefix("service:") for v in (service.network_mode, service.ipc, service.pid) if v.startswith("service:")]
    return found + [v.split(":")[0] for v in service.volumes_from if not v.startswith("container:")]


def _linked(service: Service) -> list[str]:
    """Services whose containers the engine wants to see when it makes this one's: on the default bridge links are its own matter."""
    return [link.split(":")[0] for link in service.links] if service.network_mode else []


def _networks(project: Project, snapshot: Snapshot, chosen: Sequence[str], wishes: Wishes, plan: Plan) -> tuple[list[int], set[str]]:
    """(the steps after which all networks are there, the keys of those that are made anew). What is on these is stopped first."""
    used = {key for name in chosen if not project.services[name].network_mode for key in project.services[name].networks}
    steps, moved = [], set()
    for key in sorted(project.networks if wishes.all_resources else used):
        network = project.networks[key]
        if network.external:
            continue
        after = []
        if network.name in snapshot.networks:
            label = _label_of_network(project, key, snapshot.networks[network.name], plan)
            if label in ("", network_hash(network)) or wishes.no_recreate:
                continue
            moved.add(key)
            because = f"network {network.name} is recreated"
            stops = [
                plan.add(StopContainer(c.id, c.name, c.service, because))
                for c in snapshot.containers
                if c.running and key in _networks_of(project, c.service)
            ]
            after = [plan.add(RemoveNetwork(network.name, "configuration changed"), stops)]
        steps.append(plan.add(CreateNetwork(network.name, network_body(project, key)), after))
    return steps, moved


def _networks_of(project: Project, service: str) -> Mapping[str, object]:
    found = project.all_services().get(service)
    return found.networks if found else {}


def _label_of_network(project: Project, key: str, seen: Document, plan: Plan) -> str:
    """Its configuration hash; ProjectError when it is not this project's network."""
    labels, name = seen.get("Labels") or {}, project.networks[key].name
    if labels.get(ids.NETWORK) != key:
        says = f"network {name} was found but has incorrect label {ids.NETWORK} set to {labels.get(ids.NETWORK, '')!r} (expected: {key!r})"
        remedy = "Remove it, give this one another `name`, or say `external: true` to use it."
        raise ProjectError("foreign-network", says, place=place(project, ("networks", key)), remedy=remedy)
    if labels.get(ids.PROJECT) != project.name:
        plan.warnings.append(
            f"a network with name {name} exists but was not created for project {project.name!r}.\n"
            "Set `external: true` to use an existing network"
        )
    return str(labels.get(ids.CONFIG_HASH, ""))


def network_body(project: Project, key: str) -> Document:
    """POST /networks/create."""
    network = project.networks[key]
    pools = [
        {"Subnet": p.subnet, "Gateway": p.gateway, "IPRange": p.ip_range, "AuxiliaryAddresses": p.aux_addresses or None}
        for p in network.ipam.config
    ]
    labels = {
        **network.labels,
        ids.PROJECT: project.name,
        ids.NETWORK: key,
        ids.CONFIG_HASH: network_hash(network),
        ids.VERSION: __version__,
    }
    body: Document = {
        "Name": network.name,
        "Driver": network.driver or "bridge",
        "Options": network.driver_opts or None,
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Labels": labels,
    }
    if pools or network.ipam.driver:
        kept = [{k: v for k, v in p.items() if v} for p in pools]
        body["IPAM"] = {"Driver": network.ipam.driver or "default", "Config": kept}
    for name, value in (("EnableIPv4", network.enable_ipv4), ("EnableIPv6", network.enable_ipv6)):
        if value is not None:
            body[name] = value
    return body


def _volumes(project: Project, snapshot: Snapshot, chosen: Sequence[str], wishes: Wishes, plan: Plan) -> tuple[list[int], set[str]]:
    """(the steps after which all volumes are there, the ids of the containers that go with volumes made anew)."""
    used = {v.source for name in chosen for v in project.services[name].volumes if v.type == "volume" and v.source in project.volumes}
    steps: list[int] = []
    gone: set[str] = set()
    for key in sorted(project.volumes if wishes.all_resources else used):
        volume, after = project.volumes[key], []
        if volume.external:
            continue
        if volume.name in snapshot.volumes:
            if not _diverged(project, key, snapshot.volumes[volume.name], plan) or not wishes.recreate_volumes:
                continue
            because, removals = f"volume {volume.name} is recreated", []
            for container in snapshot.containers:
                if container.id not in gone and any(m.get("Name") == volume.name for m in container.document.get("Mounts") or ()):
                    gone.add(container.id)
                    removals.append(_stopped_and_removed(plan, container, because))
            after = [plan.add(RemoveVolume(volume.name, "configuration changed"), removals)]
        steps.append(plan.add(CreateVolume(volume.name, volume_body(project, key)), after))
    return steps, gone


def volume_body(project: Project, key: str) -> Document:
    """POST /volumes/create."""
    volume = project.volumes[key]
    labels = {
        **volume.labels,
        ids.PROJECT: project.name,
        ids.VOLUME: key,
        ids.CONFIG_HASH: volume_hash(volume),
        ids.VERSION: __version__,
    }
    return {"Name": volume.name, "Driver": volume.driver or "local", "DriverOpts": volume.driver_opts or None, "Labels": labels}


def diverged_volumes(project: Project, snapshot: Snapshot) -> list[str]:
    """Names of the volumes whose configuration is another than the one they were made with."""
    found = {key: snapshot.volumes.get(volume.name) for key, volume in project.volumes.items() if not volume.external}
    return [project.volumes[key].name for key, seen in found.items() if seen is not None and _diverged(project, key, seen, Plan())]


def _diverged(project: Project, key: str, seen: Document, plan: Plan) -> bool:
    volume, labels = project.volumes[key], seen.get("Labels") or {}
    owner = labels.get(ids.PROJECT)
    if owner is None:
        plan.warnings.append(
            f"volume {volume.name!r} already exists but was not created by Docker Compose. Use `external: true` to use an existing volume"
        )
    elif owner != project.name:
        plan.warnings.append(
            f"volume {volume.name!r} already exists but was created for project {owner!r} (expected {project.name!r}). "
            "Use `external: true` to use an existing volume"
        )
    return bool(labels.get(ids.CONFIG_HASH)) and labels[ids.CONFIG_HASH] != volume_hash(volume)


def _stopped_and_removed(plan: Plan, container: Seen, because: str) -> int:
    """The number of the remove step. One that does not run is told to be stopped too, as by Docker Compose."""
    stop = plan.add(StopContainer(container.id, container.name, container.service, because))
    return plan.add(RemoveContainer(container.id, container.name, container.service, because), [stop])


def _orphans(project: Project, snapshot: Snapshot, wishes: Wishes, plan: Plan) -> None:
    known = project.all_services()
    orphans = [c for c in snapshot.containers if _is_orphan(c, known)]
    if not orphans or wishes.ignore_orphans:
        return
    if not wishes.remove_orphans:
        names = " ".join(c.name for c in orphans)
        plan.warnings.append(
            f"Found orphan containers ([{names}]) for this project. If you removed or renamed this service in your compose file, "
            "you can run this command with the --remove-orphans flag to clean it up."
        )
        return
    for container in orphans:
        _stopped_and_removed(plan, container, "orphan")


def _is_orphan(container: Seen, known: Mapping[str, Service]) -> bool:
    if container.oneoff:
        return container.state in ("exited", "dead") and not container.hook
    return container.service not in known


def _containers(
    project: Project,
    service: Service,
    snapshot: Snapshot,
    wishes: Wishes,
    plan: Plan,
    ground: list[int],
    outside: Sequence[str],
    restarts: bool,
    rolling: list[CreateContainer] | None,
) -> tuple[list[int], list[tuple[str, str, bool]]]:
    """Create, recreate, keep and remove steps of one service; (their numbers, the instances that will be there).

    outside: reasons to recreate all of them that lie outside of the service. rolling: takes the replacements of running
    containers, whose step comes later; None when they are made like all others.
    """
    seen, doubles = _one_a_number(snapshot.of(service.name), project, service)
    wanted = wishes.scale.get(service.name, service.replicas)
    if service.container_name and wanted > 1:
        raise ProjectError(
            "scale-container-name",
            f"WARNING: The {service.name!r} service is using the custom container name {service.container_name!r}. "
            "Docker requires each container to have a unique name. Remove the custom name to scale the service",
            place=place(project, ("services", service.name, "container_name")),
        )
    # obsolete ones go first when there are too many, then the highest numbers
    ranked = sorted(seen, key=lambda c: (bool(_difference(c, project, service, snapshot, wishes, outside)), c.number))
    kept, surplus = ranked[:wanted], ranked[wanted:]
    steps: list[int] = []
    there: list[tuple[str, str, bool]] = []
    for container in surplus:
        steps.append(_stopped_and_removed(plan, container, "scaled down"))
    for container in doubles:
        steps.append(_stopped_and_removed(plan, container, "a recreation was broken off"))
    for container in sorted(kept, key=lambda c: c.number):
        because = _difference(container, project, service, snapshot, wishes, outside)
        if because:
            name = container_name(project, service, container.number)
            new = CreateContainer(service.name, container.number, name, container.id, container.name, because)
            if rolling is not None and container.state == "running":
                rolling.append(new)
                there.append((name, "", True))
                continue
            steps.append(plan.add(new, ground))
            there.append((name, "", False))
        else:
            there.append((container.name, container.id, container.at_work))
            if (container.at_work and not restarts) or not wishes.start:
                plan.add(Keep(service.name, container.name, container.id))
    number = max((c.number for c in kept), default=0)
    for _ in range(wanted - len(kept)):
        number += 1
        name = container_name(project, service, number)
        steps.append(plan.add(CreateContainer(service.name, number, name), ground))
        there.append((name, "", False))
    return steps, there


def _one_a_number(seen: Sequence[Seen], project: Project, service: Service) -> tuple[list[Seen], list[Seen]]:
    """(the containers, doubles): two commands at once, or one that was killed, may leave two of one number; the well-named one stays."""
    found: dict[int, Seen] = {}
    for container in sorted(seen, key=lambda c: c.name != container_name(project, service, c.number)):
        found.setdefault(container.number, container)
    kept = list(found.values())
    return [c for c in seen if c in kept], [c for c in seen if c not in kept]


_TEMPORARY = re.compile("[0-9a-f]{12}_")


def sharing_of(snapshot: Snapshot) -> dict[str, str]:
    """service -> the container whose namespaces and volumes others use."""
    found: dict[str, str] = {}
    for container in sorted(
        (c for c in snapshot.containers if not c.oneoff), key=lambda c: (c.number, bool(_TEMPORARY.match(c.name)), c.name)
    ):
        found.setdefault(container.service, container.id)
    return found


def _difference(container: Seen, project: Project, service: Service, snapshot: Snapshot, wishes: Wishes, outside: Sequence[str]) -> str:
    """Why the container must be made anew; empty if it need not be."""
    if wishes.no_recreate:
        return ""
    if wishes.force_recreate and (not wishes.services or service.name in wishes.services or wishes.always_recreate_deps):
        return "forced"
    if wishes.always_recreate_deps and wishes.services and service.name not in wishes.services:
        return "forced"
    if container.config_hash != service_hash(service, sharing_of(snapshot)):
        return "configuration changed"
    wanted = wishes.images.get(service.name)
    if wanted and container.labels.get(ids.IMAGE, container.image_id) not in (wanted, ""):
        return "image changed"
    if outside:
        return outside[0]
    if container.state in ("removing", "dead"):
        return f"is {container.state}"
    if container.name.endswith("_" + container_name(project, service, container.number)):
        return "a recreation was broken off"
    return _lost_network(container, project, service, snapshot)


def _lost_network(container: Seen, project: Project, service: Service, snapshot: Snapshot) -> str:
    """It is on a network that was removed and made again by somebody else."""
    joined = (container.document.get("NetworkSettings") or {}).get("Networks") or {}
    for key in service.networks:
        name = project.networks[key].name
        on, there = (joined.get(name) or {}).get("NetworkID"), snapshot.networks.get(name, {}).get("Id")
        if on and there and on != there:
            return f"network {name} is another one now"
    return ""


def _starts(
    project: Project,
    chosen: Sequence[str],
    created: Mapping[str, list[int]],
    instances: Mapping[str, list[tuple[str, str, bool]]],
    replaced: set[str],
    rolled: Mapping[str, list[CreateContainer]],
    plan: Plan,
) -> None:
    """Start steps behind every create step (nothing starts while something cannot even be made) and their conditions."""
    barrier = [n for steps in created.values() for n in steps]
    started: dict[str, list[int]] = {}
    for name in chosen:
        if name not in instances:
            continue
        service, waits = project.services[name], []
        pending = [i for i in instances[name] if not i[2]]
        rolling = rolled.get(name) or []
        fresh = {one.name for one in rolling}
        restarted = [o for o, d in needs(service).items() if d.restart and o in replaced and name not in replaced]
        for container_name_, id_, running in instances[name]:
            if running and restarted and container_name_ not in fresh:
                replacing = [n for other in restarted if rolled.get(other) for n in started.get(other, ())]
                because = f"{restarted[0]} is recreated"
                stop = plan.add(StopContainer(id_, container_name_, name, because), [*_flat(created, restarted), *replacing])
                pending.append((container_name_, id_, False))
                waits.append(stop)
        for other, dependency in needs(service).items():
            if other not in instances:
                continue
            names = tuple(n for n, _, _ in instances[other])
            if dependency.condition == "service_started":
                waits += started.get(other, [])
            else:  # asked of services that run already too: a project is up when its conditions hold
                step = AwaitCondition(name, other, dependency.condition, dependency.required, names)
                waits.append(plan.add(step, [*barrier, *started.get(other, [])]))
        if pending and len(pending) == len(instances[name]) and any(not step.per_replica for step in service.pre_start):
            waits.append(plan.add(PreStart(name, pending[0][0], pending[0][1]), [*barrier, *waits]))
        started[name] = [plan.add(StartContainer(name, n, i), [*barrier, *waits]) for n, i, _ in pending]
        if rolling:
            started[name].append(plan.add(_rollout(project, service, rolling, plan), [*barrier, *waits, *started[name]]))


def _stops(
    project: Project,
    chosen: Sequence[str],
    created: Mapping[str, list[int]],
    instances: Mapping[str, list[tuple[str, str, bool]]],
    replaced: set[str],
    plan: Plan,
) -> None:
    """Without starts: what restarts with something that is recreated is stopped for it all the same, as with Docker Compose."""
    for name in chosen:
        others = [o for o, d in needs(project.services[name]).items() if d.restart and o in replaced and name not in replaced]
        for container_name_, id_, running in instances.get(name, ()) if others else ():
            if running:
                plan.add(StopContainer(id_, container_name_, name, f"{others[0]} is recreated"), _flat(created, others))


def _rolls(service: Service, wishes: Wishes) -> bool:
    """Whether running containers are replaced a few at a time: only where the file says how."""
    return wishes.start and service.deploy is not None and service.deploy.update_config is not None


def _rollout(project: Project, service: Service, replacements: Sequence[CreateContainer], plan: Plan) -> Rollout:
    assert service.deploy and service.deploy.update_config
    wish = service.deploy.update_config
    order = wish.order or "stop-first"
    fixed = any(port.published and "-" not in port.published for port in service.ports)
    if order == "start-first" and (fixed or any(n and n.ipv4_address for n in service.networks.values())):
        where = place(project, ("services", service.name, "deploy", "update_config"))
        plan.warnings.append(
            f"{where}: service {service.name!r} is replaced stop-first, as its fixed port or address cannot belong to two containers"
        )
        order = "stop-first"
    return Rollout(
        service.name,
        tuple(replacements),
        order,
        1 if wish.parallelism is None else wish.parallelism,
        wish.delay / 10**9,
        wish.monitor / 10**9,
        wish.failure_action or "pause",
        wish.max_failure_ratio,
    )
