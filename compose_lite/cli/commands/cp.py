"""`cp`: files between a service's containers and this machine; `-` is a tar on standard input or output."""

from __future__ import annotations

import anyio

from compose_lite.cli.context import Context
from compose_lite.cli.copying import copy_in, copy_out, split_path
from compose_lite.cli.lifecycle import one_of
from compose_lite.cli.pflag import Command, argument, flag, option
from compose_lite.cli.progress import progress
from compose_lite.errors import ProjectError, UsageError
from compose_lite.project.observe import Seen, containers_of

COMMAND = Command(
    "cp",
    "Copy files/folders between a service container and the local filesystem",
    (
        argument("source", metavar="SERVICE:SRC_PATH|SRC_PATH|-"),
        argument("target", metavar="SERVICE:DEST_PATH|DEST_PATH|-"),
        flag("--all", help="Include containers created by the run command"),
        flag("-a", "--archive", help="Archive mode (copy all uid/gid information)"),
        flag("-L", "--follow-link", help="Always follow symbol link in SRC_PATH"),
        option("--index", type=int, default=0, help="Index of the container if service has multiple replicas"),
    ),
)


async def run(context: Context, source: str, target: str, all: bool, archive: bool, follow_link: bool, index: int) -> None:
    (from_service, from_path), (to_service, to_path) = split_path(source), split_path(target)
    if from_service and to_service:
        raise UsageError("copy-direction", "copying between services is not supported", remedy="Copy to this machine first.", status=1)
    if not from_service and not to_service:
        raise UsageError("copy-direction", "unknown copy direction", remedy="One of the paths is SERVICE:PATH.", status=1)
    if not (from_path and to_path):
        says = f"{source if from_service else target}: no such directory: the path is missing"
        raise UsageError("copy-target", says, remedy=f"Say for example {from_service or to_service}:/tmp.", status=1)
    engine, report = await context.engine(), progress(context, title="Copying")
    found = await _containers(context, from_service or to_service, all, index)

    async def into(container: Seen) -> None:
        what = f"copy {source} to {container.name}:{to_path}"
        report.deed(container.name, what, "Copying")
        await copy_in(engine, container.id, source, to_path, cwd=context.cwd, follow=follow_link, archive=archive)
        report.deed(container.name, what, "Copied", done=True)

    try:
        if from_service:
            what = f"copy {found[0].name}:{from_path} to {target}"
            report.deed(found[0].name, what, "Copying")
            out = context.out.buffer
            await copy_out(engine, found[0].id, from_path, target, cwd=context.cwd, follow=follow_link, archive=archive, stdout=out)
            report.deed(found[0].name, what, "Copied", done=True)
            return
        if source == "-":  # standard input can be read once
            found = found[:1]
        async with anyio.create_task_group() as group:
            for container in found:
                group.start_soon(into, container)
    finally:
        report.close()


async def _containers(context: Context, service: str, all: bool, index: int) -> list[Seen]:
    _, name = context.load_or_name()
    engine = await context.engine()
    found = await containers_of(engine, name, [service], oneoff=None if all else False)
    if not found:
        raise ProjectError("no-container", f'no container found for service "{service}"')
    return [await one_of(engine, name, service, index)] if index else found
