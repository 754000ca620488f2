"""`commit`: a new image from a service container's changes."""

from __future__ import annotations

from typing import Any

from compose_lite.api.protocol import split_reference
from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import one_of
from compose_lite.cli.pflag import Command, argument, flag, option, options
from compose_lite.cli.progress import progress

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
        argument("reference", required=False, metavar="[REPOSITORY[:TAG]]"),
    ),
)


async def run(
    context: Context, service: str, reference: str | None, author: str, change: tuple[str, ...], index: int, message: str, pause: bool
) -> None:
    _, name = context.load_or_name()
    engine = await context.engine()
    container = await one_of(engine, name, service, index)
    repo, tag = split_reference(reference) if reference else ("", "")
    more: dict[str, Any] = {"author": author or None, "comment": message or None, "changes": list(change) or None, "pause": pause}
    report, what = progress(context, title="Committing"), f"Commit {container.name}"
    report.deed(container.name, what, "Committing")
    made = await engine.commit(container.id, repo=repo, tag=tag or "", **more)
    report.deed(container.name, what, f"Committed as {made['Id']}", done=True)
    report.close()
