"""`rm`: removes stopped containers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import chosen, guard, levels, on_each
from compose_lite.cli.pflag import Command, arguments, flag
from compose_lite.cli.progress import progress
from compose_lite.project.observe import Seen
from compose_lite.project.stopping import Stopping

COMMAND = Command(
    "rm",
    "Removes stopped service containers",
    (
        arguments("services"),
        flag("-f", "--force", help="Don't ask to confirm removal"),
        flag("-s", "--stop", help="Stop the containers, if required, before removing"),
        flag("-v", "--volumes", help="Remove any anonymous volumes attached to containers"),
        flag("-a", "--all", hidden=True),
    ),
)


async def run(context: Context, services: Sequence[str], force: bool, stop: bool, volumes: bool, all: bool) -> None:
    project, _, found = await chosen(context, services, all=True)
    guard(context, project, found)
    engine, report = await context.engine(), progress(context, title="Removing")
    if stop:
        stopping = Stopping(engine, report, project)
        await on_each(levels(project, found, stopping=True), lambda c: stopping.stop(c.id, c.name, c.service))
    else:
        found = [c for c in found if not c.running]
    if not found:
        context.err.write("No stopped containers\n")
        return
    names = ", ".join(c.name for c in found)
    if force:
        context.print(f"Going to remove {names}")
    else:
        terminal = sys.stdin.isatty()
        context.out.write(f"? Going to remove {names} (y/N) " if terminal else f"Going to remove {names}")
        context.out.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return

    async def act(container: Seen) -> None:
        report.event("Container", container.name, "Removing")
        await engine.remove(container.id, force=True, volumes=volumes)
        report.event("Container", container.name, "Removed", done=True)

    await on_each([found], act)
    report.close()
