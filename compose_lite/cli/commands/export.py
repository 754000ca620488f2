"""`export`: a service container's file system as a tar archive."""

from __future__ import annotations

import os

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, option
from compose_lite.cli.streams import write_answer
from compose_lite.errors import ProjectError, UsageError
from compose_lite.project.observe import containers_of

COMMAND = Command(
    "export",
    "Export a service container's filesystem as a tar archive",
    (
        option("--index", type=int, default=0, help="Index of the container if service has multiple replicas"),
        option("-o", "--output", default="", help="Write to a file, instead of STDOUT"),
        argument("service"),
    ),
)


async def run(context: Context, service: str, index: int, output: str) -> None:
    _, name = context.load_or_name()
    engine = await context.engine()
    found = [c for c in await containers_of(engine, name, [service]) if not index or c.number == index]
    if not found:
        raise ProjectError("no-container", f'no container found for service "{service}" of project "{name}"')
    if not output and os.isatty(1):
        raise UsageError("export-terminal", "output option is required when exporting to terminal", remedy="Use -o or redirect.")
    async with engine.export(found[0].id) as answer:
        await write_answer(context, answer, output, "export-output")
