"""`pause`: pause services, by the cgroup freezer."""

from __future__ import annotations

from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import chosen, on_each
from compose_lite.cli.pflag import Command, arguments
from compose_lite.cli.progress import progress
from compose_lite.project.observe import Seen

COMMAND = Command("pause", "Pause services", (arguments("services"),))


async def run(context: Context, services: Sequence[str]) -> None:
    _, _, found = await chosen(context, services, all=False)
    engine, report = await context.engine(), progress(context)

    async def act(container: Seen) -> None:
        await engine.pause(container.id)
        report.event("Container", container.name, "Paused", done=True)

    await on_each([found], act)
    report.close()
