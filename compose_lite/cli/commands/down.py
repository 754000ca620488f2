"""`down`: stop and remove containers and networks; volumes and images on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from compose_lite import ids
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import guard
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import Plain, progress
from compose_lite.errors import ApiError, ProjectError, UsageError, nearest
from compose_lite.graph.services import between, stop_levels
from compose_lite.project.observe import Seen, containers_of, project_filter
from compose_lite.project.providers import withdrawn
from compose_lite.project.stopping import Stopping

COMMAND = Command(
    "down",
    "Stop and remove containers, networks",
    (
        arguments("services"),
        flag("-v", "--volumes", help="Remove named volumes declared in the file and anonymous volumes attached to containers"),
        flag("--remove-orphans", help="Remove containers for services not defined in the Compose file"),
        option("--rmi", help='Remove images used by services ("local"|"all")'),
        option("-t", "--timeout", type=int, help="Specify a shutdown timeout in seconds"),
    ),
)


async def run(context: Context, services: Sequence[str], volumes: bool, remove_orphans: bool, rmi: str | None, timeout: int | None) -> None:
    if rmi not in (None, "local", "all"):
        raise UsageError("rmi", f'invalid value for --rmi: "{rmi}"', remedy="Say local or all.")
    project, name = context.load_or_name(services)
    for service in services if project is not None else ():
        if service not in project.all_services():
            raise ProjectError("no-such-service", f"no such service: {service}", remedy=nearest(service, project.all_services()))
    engine, report = await context.engine(), progress(context)
    orphans = remove_orphans or context.environ.get("COMPOSE_REMOVE_ORPHANS", "").lower() in ("1", "true")
    mine = [c for c in await containers_of(engine, name, oneoff=None) if orphans or not c.oneoff or c.hook]
    if project is not None:
        gone = [c for c in mine if orphans and c.service not in project.all_services() and not (c.oneoff and c.running)]
        mine = [c for c in mine if c.service in project.services] + gone
        services = between(project, services)  # as Docker Compose, which walks the graph from one of them to the other
    if services:
        mine = [c for c in mine if c.service in services]
    if not mine and not services and not rmi and await _has_nothing(engine, project, name, volumes):
        report.warn(f'Warning: No resource found to remove for project "{name}".')
    guard(context, project, mine)
    try:
        await _remove_containers(engine, report, project, mine, timeout, volumes)
        if project is not None and not context.options.dry_run:
            wanted = [s for s in project.services.values() if not services or s.name in services]
            await withdrawn(project, wanted, report, context.environ)
        await _remove_networks(engine, report, project, name, services, everything=orphans)
        if volumes:
            await _remove_volumes(engine, report, project, name, services, everything=orphans)
        if rmi:
            await _remove_images(engine, report, project, name, mine, rmi, services, everything=orphans)
    finally:
        report.close()


async def _has_nothing(engine: DockerEngine, project: Any, name: str, volumes: bool) -> bool:
    """Neither the file, as far as `down` goes by it, nor the engine knows of anything beside containers."""
    if project is None:
        return not await engine.networks(filters=project_filter(name))
    declared = [*project.networks.values(), *(project.volumes.values() if volumes else ())]
    return all(one.external for one in declared)


async def _remove_containers(
    engine: DockerEngine, report: Plain, project: Any, containers: list[Seen], timeout: int | None, volumes: bool
) -> None:
    """Dependents first: level by level, each level side by side."""
    stopping = Stopping(engine, report, project, timeout)
    levels = stop_levels(project.model_copy(update={"services": project.all_services()})) if project else []
    ranked = {service: rank for rank, level in enumerate(levels) for service in level}
    for rank in range(-1, len(levels)):
        async with anyio.create_task_group() as group:
            for container in containers:
                if ranked.get(container.service, -1) == rank:
                    group.start_soon(_remove_container, stopping, container, volumes)


async def _remove_container(stopping: Stopping, container: Seen, volumes: bool) -> None:
    report = stopping.report
    await stopping.stop(container.id, container.name, container.service)
    report.event("Container", container.name, "Removing")
    try:
        await stopping.engine.remove(container.id, force=True, volumes=volumes)
    except ApiError as error:
        if error.http_status not in (404, 409):
            raise
    report.event("Container", container.name, "Removed", done=True)


async def _remove_networks(engine: DockerEngine, report: Plain, project: Any, name: str, services: Sequence[str], everything: bool) -> None:
    """Those that the file declares (or that the named services use), all without a file; what somebody is still on stays."""
    used = set(project.networks) if project and not everything else None
    if project and services:
        used = {key for s in services if s in project.all_services() for key in project.all_services()[s].networks}
    for network in await engine.networks(filters=project_filter(name)):
        if used is not None and (network.get("Labels") or {}).get(ids.NETWORK) not in used:
            continue
        report.event("Network", network["Name"], "Removing")
        try:
            await engine.remove_network(network["Id"])
        except ApiError as error:
            if error.http_status == 404:
                continue
            if error.http_status != 403:
                raise
            report.event("Network", network["Name"], "Resource is still in use", done=True)
            continue
        report.event("Network", network["Name"], "Removed", done=True)


async def _remove_volumes(engine: DockerEngine, report: Plain, project: Any, name: str, services: Sequence[str], everything: bool) -> None:
    external = {v.name for v in project.volumes.values() if v.external} if project else set()
    used = set(project.volumes) if project and not everything else None
    if project and services:
        used = {m.source for s in services if s in project.all_services() for m in project.all_services()[s].volumes}
    for volume in await engine.volumes(filters=project_filter(name)):
        key = (volume.get("Labels") or {}).get(ids.VOLUME, "")
        if volume["Name"] in external or (used is not None and key not in used):
            continue
        report.event("Volume", volume["Name"], "Removing")
        try:
            await engine.remove_volume(volume["Name"])
        except ApiError as error:
            if error.http_status == 409:
                report.event("Volume", volume["Name"], "Resource is still in use", done=True)
                continue
            if error.http_status != 404:
                raise
        report.event("Volume", volume["Name"], "Removed", done=True)


def images_to_remove(
    project: Any, name: str, services: Sequence[str], used: Sequence[str], built: Sequence[Mapping[str, Any]], all: bool, everything: bool
) -> list[str]:
    """Images that were built for the services, as their labels say, and the names that a build would have; all: every image of theirs.

    used: by the containers; built: rows of GET /images/json with the project's label. everything: also what was built for services
    that the file does not know any more.
    """
    found: set[str] = set()
    for service in project.all_services().values() if project else ():
        if (not services or service.name in services) and (all or (not service.image and service.build is not None)):
            found.add(project.image_of(service))
    if project is None:
        found |= {image for image in used if all or image.startswith((f"{name}-", f"{name}_"))}
    for image in built:
        service = (image.get("Labels") or {}).get(ids.SERVICE, "")
        known = service in services if services else everything or project is None or service in project.all_services()
        if known and image.get("RepoTags"):
            found.add(image["RepoTags"][0])
    return sorted({image if ":" in image.rsplit("/", 1)[-1] else f"{image}:latest" for image in found})


async def _remove_images(
    engine: DockerEngine,
    report: Plain,
    project: Any,
    name: str,
    containers: list[Seen],
    which: str,
    services: Sequence[str],
    everything: bool,
) -> None:
    built = await engine.images(filters=project_filter(name))
    wanted = images_to_remove(project, name, services, [c.image for c in containers], built, which == "all", everything)
    for shown in wanted:
        report.event("Image", shown, "Removing")
        try:
            await engine.remove_image(shown)
        except ApiError as error:
            if error.http_status == 409:
                report.event("Image", shown, "Resource is still in use", done=True)
                continue
            if error.http_status != 404:
                raise
            report.event("Image", shown, "Warning: No resource found to remove", done=True)
            continue
        report.event("Image", shown, "Removed", done=True)
