"""`restart`: the services, and those whose depends_on says `restart: true`."""

from __future__ import annotations

from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import chosen, guard, levels, on_each
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import progress
from compose_lite.graph.services import needs
from compose_lite.project.observe import Seen, containers_of
from compose_lite.project.stopping import Stopping, run_hooks

COMMAND = Command(
    "restart",
    "Restart service containers",
    (
        arguments("services"),
        option("-t", "--timeout", type=int, help="Specify a shutdown timeout in seconds"),
        flag("--no-deps", help="Don't restart dependent services"),
    ),
)


async def run(context: Context, services: Sequence[str], timeout: int | None, no_deps: bool) -> None:
    project, name, found = await chosen(context, services, all=True)
    engine, report = await context.engine(), progress(context, title="Restarting")
    known = project.all_services() if project else {}
    if services and not no_deps:
        also = {s.name for s in known.values() for o, d in needs(s).items() if d.restart and o in services and s.name not in services}
        found += [c for c in await containers_of(engine, name, sorted(also), all=False) if also]

    guard(context, project, found)
    stopping = Stopping(engine, report, project, timeout)

    async def act(container: Seen) -> None:
        service = known.get(container.service)
        if service and service.pre_stop and container.running:
            await run_hooks(engine, report, container.id, container.name, service.pre_stop, service)
        report.event("Container", container.name, "Restarting")
        await stopping.restart(container.id, container.service)
        report.event("Container", container.name, "Started", done=True)
        if service and service.post_start:
            await run_hooks(engine, report, container.id, container.name, service.post_start, service)

    await on_each(levels(project, found, stopping=False), act)
    report.close()
