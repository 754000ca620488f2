"""`pull`: the images of services from their registries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from compose_lite import reference
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import progress
from compose_lite.errors import ApiError, ProjectError
from compose_lite.graph.services import with_dependencies
from compose_lite.project.images import inspect_or_none, pull_image

COMMAND = Command(
    "pull",
    "Pull service images",
    (
        arguments("services"),
        flag("--ignore-buildable", help="Ignore images that can be built"),
        flag("--ignore-pull-failures", help="Pull what it can and ignores images with pull failures"),
        flag("--include-deps", help="Also pull services declared as dependencies"),
        option("--policy", default="", help='Apply pull policy ("missing"|"always")'),
        flag("-q", "--quiet", help="Pull without printing progress information"),
    ),
)


async def run(context: Context, services: Sequence[str], **o: Any) -> None:
    project = context.load(services=services)
    for name in services:
        if name not in project.services:
            raise ProjectError("no-such-service", f"no such service: {name}")
    names = with_dependencies(project, services) if services and o["include_deps"] else list(services) or list(project.services)
    engine, report = await context.engine(), progress(context, quiet=o["quiet"], title="Pulling")
    failures: list[ApiError] = []

    async def pull(name: str) -> None:
        service = project.services[name]
        image = project.image_of(service)
        if not service.image or (service.build is not None and o["ignore_buildable"]):
            report.event("Image", image, "Skipped", done=True, detail="No image to be pulled")
            return
        policy = o["policy"] or ("" if service.pull_policy in ("", "always") else service.pull_policy)
        if policy in ("never", "build"):
            report.event("Image", image, "Skipped", done=True, detail=f"pull_policy: {policy}")
            return
        if policy in ("missing", "if_not_present") and not moves(image) and await inspect_or_none(engine, image):
            report.event("Image", image, "Skipped", done=True, detail="Image is already present locally")
            return
        try:
            await pull_image(engine, project, service, report)
        except ApiError as error:
            if service.build is not None:
                report.warn(f"{name}: {error.says}; it can be built: `{context.program} build {name}`")
            elif not o["ignore_pull_failures"]:
                failures.append(error)

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(pull, name)
    report.close()
    if failures:
        raise failures[0]


def moves(image: str) -> bool:
    """`latest`, named or not, is never taken for the one that is there: `pull` is asked for something newer."""
    name = reference.parse(image)
    return not name.digest and name.tag in ("", "latest")
