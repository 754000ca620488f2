"""`start`: what exists, what is needed first, with the conditions of depends_on. Makes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import progress
from compose_lite.errors import ProjectError
from compose_lite.graph.services import needs, start_levels, with_dependencies
from compose_lite.project.converge import Converging, start_container
from compose_lite.project.observe import Seen, Snapshot, containers_of
from compose_lite.project.plan import AwaitCondition, PreStart, StartContainer
from compose_lite.project.waiting import ready
from compose_lite.spec.models.project import Project

COMMAND = Command(
    "start",
    "Start services",
    (
        arguments("services"),
        flag("--wait", help="Wait for services to be running|healthy"),
        option("--wait-timeout", type=int, help="Maximum duration in seconds to wait"),
    ),
)


async def run(context: Context, services: Sequence[str], wait: bool, wait_timeout: int | None) -> None:
    project, name = context.load_or_name(services)
    if project is not None and any(service.pre_start for service in project.services.values()):
        project = context.load(services=services)  # its steps get the environment
    engine, report = await context.engine(), progress(context)
    everything = await containers_of(engine, name)
    found = [c for c in everything if not services or c.service in services]
    try:
        if project is None:
            if not everything:
                raise ProjectError("no-container", f'no container found for project "{name}": not found')
            async with anyio.create_task_group() as group:
                for container in found:
                    if not container.running:
                        group.start_soon(_start_stranger, engine, container, report)
        else:
            found = await _start(context, project, services, everything, report)
        if wait:
            with anyio.fail_after(wait_timeout):
                for container in found:
                    await ready(engine, report, container.id, container.name)
    except TimeoutError:
        raise ProjectError("wait-timeout", f"timeout waiting for services: not healthy after {wait_timeout}s") from None
    finally:
        report.close()


async def _start(context: Context, project: Project, services: Sequence[str], everything: list[Seen], report: Any) -> list[Seen]:
    """The containers of the services and of what they need, level by level; all services that have one without names."""
    wanted = with_dependencies(project, services) if services else list(project.services)
    by_service = {name: [c for c in everything if c.service == name] for name in wanted}
    work = Converging(await context.engine(), project, Snapshot(tuple(everything)), report, ids={c.name: c.id for c in everything})
    for level in start_levels(project):
        async with anyio.create_task_group() as group:
            for name in level:
                if name in by_service:
                    group.start_soon(_start_service, work, name, by_service, not everything)
    return [c for containers in by_service.values() for c in containers]


async def _start_service(work: Converging, name: str, by_service: dict[str, list[Seen]], nothing: bool) -> None:
    service = work.project.services[name]
    if service.provider is not None or not service.replicas:
        return
    if nothing:
        remedy = "Make one with `compose-lite up` or `compose-lite create`."
        raise ProjectError("no-container", f'service "{name}" has no container to start', remedy=remedy)
    asleep = [c for c in by_service[name] if not c.running]
    for other, dependency in needs(service).items() if asleep else ():
        names = tuple(c.name for c in by_service.get(other, ()))
        if names and dependency.condition != "service_started":
            await work.perform(AwaitCondition(name, other, dependency.condition, dependency.required, names))
    if asleep and len(asleep) == len(by_service[name]) and any(not step.per_replica for step in service.pre_start):
        await work.perform(PreStart(name, asleep[0].name, asleep[0].id))
    async with anyio.create_task_group() as group:
        for container in asleep:
            group.start_soon(work.perform, StartContainer(name, container.name, container.id))


async def _start_stranger(engine: Any, container: Seen, report: Any) -> None:
    report.event("Container", container.name, "Starting")
    await start_container(engine, container.id, container.name, report)
    report.event("Container", container.name, "Started", done=True)
