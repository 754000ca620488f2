"""`export`: a service container's file system as a tar archive."""

from __future__ import annotations

import os

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import one_of
from compose_lite.cli.pflag import Command, argument, option
from compose_lite.cli.progress import progress
from compose_lite.cli.streams import write_answer
from compose_lite.errors import UsageError

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
    container = await one_of(engine, name, service, index)
    if not output and os.isatty(1):
        raise UsageError("export-terminal", "output option is required when exporting to terminal", remedy="Use -o or redirect.")
    report = progress(context, title="Exporting")
    report.deed(container.name, f"export {container.name} to {output or '-'}", "Exporting")
    async with engine.export(container.id) as answer:
        await write_answer(context, answer, output, "export-output")
