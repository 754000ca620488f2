"""`build`: builds (or checks, or prints as a bake file) the images of services that have a build section."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from compose_lite.cli.buildview import check_report
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option, options
from compose_lite.cli.progress import progress
from compose_lite.errors import ProjectError, nearest
from compose_lite.graph.services import start_order
from compose_lite.project.builds import BuildFailed, BuildWishes, bake_file, build_images

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
        option("--provenance", default="", help="Add a provenance attestation (said, not made)"),
        option("--sbom", default="", help="Add a SBOM attestation (said, not made)"),
        flag("--pull", help="Always attempt to pull a newer version of the image"),
        flag("--push", help="Push service images"),
        flag("-q", "--quiet", help="Suppress the build output"),
        options("--ssh", help="Set SSH authentications used when building service images"),
        flag("--with-dependencies", help="Also build dependencies (transitively)"),
    ),
)


async def run(context: Context, services: Sequence[str], **o: Any) -> int:
    project = context.load(services=services, dependencies=bool(o["with_dependencies"]))
    for name in services:
        if name not in project.all_services():
            raise ProjectError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.all_services()))
    chosen = [n for n in start_order(project) if not services or n in services or o["with_dependencies"]]
    wanted = [project.services[n] for n in chosen if project.services[n].build is not None]
    wishes = BuildWishes(
        args=build_args(context, o["build_args"]), no_cache=o["no_cache"], pull=o["pull"], check=o["check"], ssh=tuple(o["ssh"]),
        provenance=o["provenance"], sbom=o["sbom"], push=o["push"], environ=context.environ,
    )  # fmt: skip
    if o["print_"]:
        context.print(json.dumps(bake_file(project, wanted, wishes), indent=2))
        return 0
    engine, report = await context.engine(), progress(context, quiet=o["quiet"], build_out=context.out, title="Building")
    if not wanted:
        report.warn("No services to build")
    try:
        found = await build_images(engine, project, wanted, report, wishes)
    except BuildFailed as error:
        context.out.write(check_report(error.checked)[0])
        raise
    finally:
        report.close()
    text, count = check_report(found)
    context.out.write(text)
    return 1 if count else 0


def build_args(context: Context, entries: Sequence[str]) -> dict[str, str]:
    """`NAME=value`; a name alone takes its value from the environment, if it is there."""
    found: dict[str, str] = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if equals or key in context.environ:
            found[key] = value if equals else context.environ[key]
    return found
