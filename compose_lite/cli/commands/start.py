"""`start`: what is needed first, with the conditions of depends_on."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import chosen, levels
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import progress
from compose_lite.errors import ProjectError
from compose_lite.graph.services import needs
from compose_lite.project.converge import Converging, healthy
from compose_lite.project.observe import Seen, Snapshot
from compose_lite.project.plan import AwaitCondition, StartContainer

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
    project, name, found = await chosen(context, services, all=True)
    if not found:
        wanted = services[0] if services else name
        raise ProjectError(
            "no-container", f'service "{wanted}" has no container to start' if services else f"no container found for project {name!r}"
        )
    engine, report = await context.engine(), progress(context)
    by_service: dict[str, list[Seen]] = {}
    for container in found:
        by_service.setdefault(container.service, []).append(container)
    if project is not None:
        known = project.model_copy(update={"services": project.all_services()})
        work = Converging(engine, known, Snapshot(tuple(found)), report, ids={c.name: c.id for c in found})
    for level in levels(project, found, stopping=False):
        async with anyio.create_task_group() as group:
            for container in level:
                if container.running:
                    continue
                if project is None:
                    group.start_soon(engine.start, container.id)
                    continue
                service = known.services.get(container.service)
                for other, dependency in (needs(service) if service else {}).items():
                    names = tuple(c.name for c in by_service.get(other, ()))
                    if names and dependency.condition != "service_started":
                        await work.perform(AwaitCondition(container.service, other, dependency.condition, dependency.required, names))
                group.start_soon(work.perform, StartContainer(container.service, container.name, container.id))
    if wait:
        with anyio.fail_after(wait_timeout):
            for container in found:
                if ((await engine.container(container.id))["State"].get("Health") or {}).get("Status", "none") != "none":
                    await healthy(engine, container.id, container.name)
    report.close()
