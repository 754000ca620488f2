"""`kill`: a signal to the services' containers."""

from __future__ import annotations

from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import chosen, guard, on_each
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import progress
from compose_lite.errors import ApiError
from compose_lite.project.observe import Seen, containers_of

COMMAND = Command(
    "kill",
    "Force stop service containers",
    (
        arguments("services"),
        option("-s", "--signal", default="SIGKILL", help="SIGNAL to send to the container"),
        flag("--remove-orphans", help="Remove containers for services not defined in the Compose file"),
    ),
)


async def run(context: Context, services: Sequence[str], signal: str, remove_orphans: bool) -> None:
    """--remove-orphans kills those too that the file does not know."""
    project, name, found = await chosen(context, services, all=False, oneoff=None)
    engine, report = await context.engine(), progress(context, title="Killing")
    if remove_orphans and not services:
        found = await containers_of(engine, name, oneoff=None, all=False)
    if not found:
        context.err.write("no container to kill\n")

    guard(context, project, found)

    async def act(container: Seen) -> None:
        report.event("Container", container.name, "Killing")
        try:
            await engine.kill(container.id, signal=signal)
        except ApiError as error:
            if not error.http_status:
                raise
            report.event("Container", container.name, "Error while Killing", failed=True)
            raise ApiError(f"cannot kill container: {container.id}: {error.says}", http_status=error.http_status) from None
        report.event("Container", container.name, "Killed", done=True)

    await on_each([found], act)
    report.close()
