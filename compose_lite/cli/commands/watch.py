"""`watch`: brings the project up, then keeps its containers in step with the files of develop.watch."""

from __future__ import annotations

from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag
from compose_lite.cli.progress import progress
from compose_lite.cli.upping import Upping
from compose_lite.cli.watching import Watching

COMMAND = Command(
    "watch",
    "Watch build context for service and rebuild/refresh containers when files are updated",
    (
        arguments("services"),
        flag("--no-up", help="Do not build & start services before watching"),
        flag("--prune", default=True, help="Prune dangling images on rebuild"),
        flag("--quiet", help="hide build output"),
    ),
)


async def run(context: Context, services: Sequence[str], no_up: bool, prune: bool, quiet: bool) -> int:
    project = context.load(services=services)
    watching = Watching(context, project, services, quiet, prune)
    watching.prepare()
    if not no_up:
        upping = Upping(context, project, progress(context), tuple(services), {"build": True, "quiet_build": quiet})
        await upping.detached()
        watching.project = upping.project
    if not context.options.dry_run:
        await watching.run()
    return 0
