"""`export`: a service container's file system as a tar archive."""

from __future__ import annotations

import os
from pathlib import Path

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, option
from compose_lite.errors import Error, ProjectError, UsageError
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
        if not output:
            context.out.flush()
            async for part in answer:
                context.out.buffer.write(part)
            context.out.buffer.flush()
            return
        target = Path(context.cwd, output)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                async for part in answer:
                    file.write(part)
            draft.replace(target)
        except OSError as error:
            raise Error("export-output", f"{output}: cannot be written: {error.strerror}") from error
        finally:
            draft.unlink(missing_ok=True)
