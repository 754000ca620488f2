"""`wait`: until the first (of the services' containers) has ended; its status is ours."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag
from compose_lite.errors import ProjectError
from compose_lite.project.observe import Seen, containers_of

COMMAND = Command(
    "wait",
    "Block until containers of all (or specified) services stop.",
    (arguments("services", required=True), flag("--down-project", help="Drops project when the first container stops")),
)


async def run(context: Context, services: Sequence[str], down_project: bool) -> int:
    _, name = context.load_or_name(services)
    engine = await context.engine()
    found = await containers_of(engine, name, services, all=False)
    if not found:
        raise ProjectError("no-container", f'no containers for project "{name}"', remedy=f"None of {', '.join(services)} runs.")
    codes: list[int] = []

    async def one(container: Seen) -> None:
        code = int((await engine.wait(container.id))["StatusCode"])
        context.print(f'container "{container.id}" exited with status code {code}')
        context.out.flush()
        codes.append(code)
        if down_project:
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for container in found:
            group.start_soon(one, container)
    if down_project:
        from compose_lite.cli.commands import down

        await down.run(context, (), volumes=False, remove_orphans=False, rmi=None, timeout=None)
    return codes[-1]
