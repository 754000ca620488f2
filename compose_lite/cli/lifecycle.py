"""stop, start, restart, kill, pause, unpause, rm: the same act on the containers of chosen services, in the graph's order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio

from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.context import Context
from compose_lite.cli.progress import progress
from compose_lite.errors import ProjectError, nearest
from compose_lite.graph.services import start_levels, stop_levels
from compose_lite.project.observe import Seen, containers_of
from compose_lite.project.ownership import foreign, refusal


async def chosen(context: Context, services: Sequence[str], *, all: bool, oneoff: bool | None = False) -> tuple[Any, str, list[Seen]]:
    """(project, its name, containers of the services; without any of the active ones, without a project of all)."""
    project, name = context.load_or_name(services)
    found = await containers_of(await context.engine(), name, oneoff=oneoff, all=all)
    known = {*(project.all_services() if project else ()), *(c.service for c in found)}
    for service in services:
        if service not in known:
            raise ProjectError("no-such-service", f"no such service: {service}", remedy=nearest(service, known))
    wanted = services or (project.services if project else known)
    return project, name, [c for c in found if c.service in wanted]


async def one_of(engine: DockerEngine, project: str, service: str, index: int, *, all: bool = True) -> Seen:
    """The service's container of that number (0: its first one; those of `run` come last). all: it need not run."""
    found = await containers_of(engine, project, [service], oneoff=None, all=all)
    for container in found:
        if not index or (container.number == index and not container.oneoff):
            return container
    if index:
        raise ProjectError("not-running", f'service "{service}" is not running container #{index}')
    raise ProjectError("not-running", f'service "{service}" is not running', remedy=f"Start it: `compose-lite up -d {service}`.")


def guard(context: Context, project: Any, containers: Sequence[Seen], *, yes: bool = False) -> None:
    """Before containers are stopped or removed: they must not be those of a project of the same name in another folder.

    Asked on a terminal, refused elsewhere; whoever names the project on the command line means it.
    """
    o = context.options
    if yes or project is None or o.project_name or o.project_directory or context.environ.get("COMPOSE_PROJECT_NAME"):
        return
    others = foreign(project, containers, real)
    if not others:
        return
    error = refusal(project, others)
    if not sys.stdin.isatty() or o.dry_run:
        raise error
    context.err.write(f"{error.says}. Go on? [y/N] ")
    context.err.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise error


def real(path: str) -> str | None:
    return os.path.realpath(path) if os.path.exists(path) else None


def levels(project: Any, containers: Sequence[Seen], *, stopping: bool) -> list[list[Seen]]:
    """The containers level by level: dependents first when stopping, last when starting."""
    if project is None:
        return [list(containers)]
    whole = project.model_copy(update={"services": project.all_services()})
    order = stop_levels(whole) if stopping else start_levels(whole)
    ranked = [[c for c in containers if c.service in level] for level in order]
    strangers = [c for c in containers if c.service not in whole.services]
    return [level for level in [strangers, *ranked] if level]


async def freeze(context: Context, services: Sequence[str], on: bool) -> None:
    """pause and unpause: by the cgroup freezer."""
    _, _, found = await chosen(context, services, all=False)
    engine, report = await context.engine(), progress(context, title="Pausing" if on else "Running")

    async def act(container: Seen) -> None:
        await (engine.pause if on else engine.unpause)(container.id)
        report.event("Container", container.name, "Paused" if on else "Unpaused", done=True)

    await on_each([found], act)
    report.close()


async def on_each(groups: Sequence[Sequence[Seen]], act: Callable[[Seen], Coroutine[Any, Any, object]]) -> None:
    """One level after the other, each side by side."""
    for level in groups:
        async with anyio.create_task_group() as group:
            for container in level:
                group.start_soon(act, container)
