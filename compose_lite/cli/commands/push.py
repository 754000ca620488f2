"""`push`: the images that services build, to their registries."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag
from compose_lite.cli.progress import progress
from compose_lite.errors import ApiError, ProjectError, nearest
from compose_lite.graph.services import with_dependencies
from compose_lite.project import transfers

COMMAND = Command(
    "push",
    "Push service images",
    (
        arguments("services"),
        flag("--ignore-push-failures", help="Push what it can and ignores images with push failures"),
        flag("--include-deps", help="Also push images of services declared as dependencies"),
        flag("-q", "--quiet", help="Push without printing progress information"),
    ),
)


async def run(context: Context, services: Sequence[str], ignore_push_failures: bool, include_deps: bool, quiet: bool) -> None:
    project = context.load(services=services)
    for name in services:
        if name not in project.services:
            raise ProjectError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.services))
    names = with_dependencies(project, services) if services and include_deps else list(services) or list(project.services)
    engine, report = await context.engine(), progress(context, quiet=quiet, title="Pushing")
    failures: list[ApiError] = []

    async def push(image: str) -> None:
        try:
            await transfers.push(engine, image, report)
        except ApiError as error:
            failures.append(error)

    wanted: dict[str, None] = {}
    for name in names:
        service = project.services[name]
        if service.build is None or not service.image:
            report.event("Image", project.image_of(service), "Skipped", done=True)
            continue
        wanted.update(dict.fromkeys([service.image, *service.build.tags]))
    async with anyio.create_task_group() as group:
        for image in wanted:
            group.start_soon(push, image)
    report.close()
    if failures and not ignore_push_failures:
        raise failures[0]
