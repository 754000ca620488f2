"""`stop`: dependents first."""

from __future__ import annotations

from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import chosen, guard, levels, on_each
from compose_lite.cli.pflag import Command, arguments, option
from compose_lite.cli.progress import progress
from compose_lite.project.stopping import Stopping

COMMAND = Command(
    "stop", "Stop services", (arguments("services"), option("-t", "--timeout", type=int, help="Specify a shutdown timeout in seconds"))
)


async def run(context: Context, services: Sequence[str], timeout: int | None) -> None:
    project, _, found = await chosen(context, services, all=True)
    engine, report = await context.engine(), progress(context, title="Stopping")
    guard(context, project, found)
    stopping = Stopping(engine, report, project, timeout)
    await on_each(levels(project, found, stopping=True), lambda c: stopping.stop(c.id, c.name, c.service))
    report.close()
