"""`build`: the images of services with a build section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option, options
from compose_lite.cli.progress import progress
from compose_lite.errors import ProjectError, UsageError, nearest
from compose_lite.graph.services import start_order
from compose_lite.project.images import build_image

COMMAND = Command(
    "build",
    "Build or rebuild services",
    (
        arguments("services"),
        options("--build-arg", "build_args", help="Set build-time variables for services"),
        option("--builder", default="", help="Set builder to use (accepted, there is one)"),
        flag("--check", help="Check build configuration"),
        option(
            "-m",
            "--memory",
            default="",
            help="Set memory limit for the build container (accepted, as by Docker's BuildKit, without effect)",
        ),
        flag("--no-cache", help="Do not use cache when building the image"),
        flag("--print", "print_", help="Print equivalent bake file"),
        option("--provenance", hidden=True),
        option("--sbom", hidden=True),
        flag("--pull", help="Always attempt to pull a newer version of the image"),
        flag("--push", help="Push service images"),
        flag("-q", "--quiet", help="Suppress the build output"),
        option("--ssh", default="", help="Set SSH authentications used when building service images"),
        flag("--with-dependencies", help="Also build dependencies (transitively)"),
    ),
)


async def run(context: Context, services: Sequence[str], **o: Any) -> None:
    if o["print_"]:
        raise UsageError(
            "build-print", "`build --print` writes a file for Docker's bake", remedy="`compose-lite config` shows the build sections."
        )
    project = context.load(services=services, dependencies=bool(o["with_dependencies"]))
    for name in services:
        if name not in project.all_services():
            raise ProjectError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.all_services()))
    args: dict[str, str] = {}
    for entry in o["build_args"]:
        key, equals, value = entry.partition("=")
        if equals or key in context.environ:
            args[key] = value if equals else context.environ[key]
    engine, report = await context.engine(), progress(context, quiet=o["quiet"])
    chosen = [n for n in start_order(project) if not services or n in services or o["with_dependencies"]]
    wanted = [project.services[n] for n in chosen if project.services[n].build is not None]
    if not wanted:
        report.warn("No services to build")
    try:
        for service in wanted:
            await build_image(
                engine, project, service, report, args=args, no_cache=o["no_cache"], pull=o["pull"], check=o["check"], ssh=o["ssh"]
            )
            if o["push"] and service.image:
                async for _ in engine.push(service.image):
                    pass
    finally:
        report.close()
