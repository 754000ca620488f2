"""`commit`: a new image from a service container's changes."""

from __future__ import annotations

from typing import Any

from compose_lite.api.protocol import split_reference
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, arguments, flag, option, options
from compose_lite.errors import ProjectError
from compose_lite.project.observe import containers_of

COMMAND = Command(
    "commit",
    "Create a new image from a service container's changes",
    (
        option("-a", "--author", default="", help='Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        options("-c", "--change", help="Apply Dockerfile instruction to the created image"),
        option("--index", type=int, default=0, help="Index of the container if service has multiple replicas"),
        option("-m", "--message", default="", help="Commit message"),
        flag("-p", "--pause", default=True, help="Pause container during commit"),
        argument("service"),
        arguments("reference", metavar="[REPOSITORY[:TAG]]"),
    ),
)


async def run(
    context: Context, service: str, reference: tuple[str, ...], author: str, change: tuple[str, ...], index: int, message: str, pause: bool
) -> None:
    _, name = context.load_or_name()
    engine = await context.engine()
    found = [c for c in await containers_of(engine, name, [service]) if not index or c.number == index]
    if not found:
        raise ProjectError("no-container", f'no container found for service "{service}" of project "{name}"')
    repo, tag = split_reference(reference[0]) if reference else ("", "")
    more: dict[str, Any] = {"author": author or None, "comment": message or None, "changes": list(change) or None, "pause": pause}
    made = await engine.commit(found[0].id, repo=repo, tag=tag or "", **more)
    context.print(f"Image for service {service} created as {made['Id']}")
