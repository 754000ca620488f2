"""`up`: create and start containers, attached or not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from compose_lite.cli import menu
from compose_lite.cli.context import Context, fail
from compose_lite.cli.foreground import Foreground, shown
from compose_lite.cli.logview import LogView
from compose_lite.cli.pflag import Command, arguments, flag, option, optional, options
from compose_lite.cli.progress import progress
from compose_lite.cli.timed import FORMS
from compose_lite.cli.upoptions import DEEPER, MAKING, WISHES
from compose_lite.cli.upping import Upping, parse_scale
from compose_lite.cli.watching import Watching
from compose_lite.errors import Error, UsageError, first_error, nearest

COMMAND = Command(
    "up",
    "Create and start containers",
    (
        arguments("services"),
        *WISHES,
        *MAKING,
        *DEEPER,
        flag("-d", "--detach", help="Detached mode: run containers in the background"),
        flag("--quiet-build", help="Suppress the build output"),
        flag("--no-start", help="Don't start the services after creating them"),
        option("-t", "--timeout", type=int, help="Shutdown timeout in seconds when attached or when containers are already running"),
        flag("--wait", help="Wait for services to be running|healthy. Implies detached mode"),
        option("--wait-timeout", type=int, help="Maximum duration in seconds to wait for the project to be running|healthy"),
        flag("--abort-on-container-exit", help="Stops all containers if any container was stopped"),
        flag("--abort-on-container-failure", help="Stops all containers if any container exited with failure"),
        option("--exit-code-from", help="Return the exit code of the selected service container. Implies --abort-on-container-exit"),
        options("--attach", help="Restrict attaching to the specified services"),
        flag("--attach-dependencies", help="Automatically attach to log output of dependent services"),
        options("--no-attach", help="Do not attach (stream logs) to the specified services"),
        flag("--no-color", help="Produce monochrome output"),
        flag("--no-log-prefix", help="Don't print prefix in logs"),
        flag("--timestamps", help="Show timestamps"),
        optional("--timing", implied="text", help="Show where the time went, phase by phase (text, json or svg)"),
        flag(
            "--menu",
            default=None,
            help="Enable interactive shortcuts when running attached (on a terminal they are on)",
        ),
        flag("-w", "--watch", help="Watch source code and rebuild/refresh containers when files are updated"),
    ),
)


APART = (
    ("build", "no_build"),
    ("force_recreate", "no_recreate"),
    ("always_recreate_deps", "no_recreate"),
    ("no_recreate", "renew_anon_volumes"),
    ("attach", "attach_dependencies"),
    ("abort_on_container_failure", "abort_on_container_exit"),
    ("no_build", "watch"),
)
"""Flags that contradict each other."""
TOGETHER = {
    ("attach", "attach_dependencies"): "cannot combine --{} and --{}",
    ("abort_on_container_failure", "abort_on_container_exit"): "--{} cannot be combined with --{}",
}
"""How the reference says it, where it says it in its own way."""
ABORT = ("abort_on_container_exit", "abort_on_container_failure", "exit_code_from")
ATTACHED = (*ABORT, "attach", "attach_dependencies", "watch")
"""Flags that make sense only while `up` shows output."""
MOST_TOLD = 3  # services that a failed `up` explains


def check_flags(o: Mapping[str, Any]) -> None:
    """Raises UsageError."""
    if o["timing"] not in (None, *FORMS):
        raise UsageError("format", f'unsupported --timing "{o["timing"]}"', remedy=nearest(o["timing"], FORMS) or "Say text, json or svg.")
    for one, other in APART:
        if o[one] and o[other]:
            raise UsageError(
                "flags-together", TOGETHER.get((one, other), "--{} and --{} are incompatible").format(one, other).replace("_", "-")
            )
    if o["detach"] and any(o[name] for name in ATTACHED):
        flags = "--abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch"
        raise UsageError("flags-together", f"--detach cannot be combined with {flags}")
    if o["wait"] and any(o[name] for name in ATTACHED):
        flags = "--abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch"
        raise UsageError("flags-together", f"--wait cannot be combined with {flags}")


async def run(context: Context, services: Sequence[str], **o: Any) -> int:
    check_flags(o)
    attached = not (o["detach"] or o["wait"] or o["no_start"])
    project = context.load(services=services)
    upping = Upping(context, project, progress(context), tuple(services), o)
    upping.scale = parse_scale(o["scale"], project)

    def watch() -> Callable[[], Coroutine[Any, Any, None]]:
        watching = Watching(context, project, services, quiet=o["quiet_build"])
        watching.prepare()
        return watching.run

    beside = watch() if o["watch"] and attached else None
    if context.options.dry_run:
        return await upping.detached()
    try:
        return await _up(context, upping, beside, watch, attached=attached)
    except (Error, BaseExceptionGroup) as failed:
        error = first_error(failed)
        if not isinstance(error, Error):
            raise
        status = fail(context, error)
        await tell_why(context, upping)
        return status


async def _up(context: Context, upping: Upping, beside: Any, watch: Any, *, attached: bool) -> int:
    if not attached:
        return await upping.detached()
    o = upping.options
    engine = await context.engine()
    view = LogView(context, engine, prefix=not o["no_log_prefix"], colour=not o["no_color"], timestamps=o["timestamps"])
    view.services, view.report, view.split = shown(upping), upping.report, True
    keys = menu.wanted(o["menu"], context.environ.get("COMPOSE_MENU"), sys.stdin.isatty() and context.out.isatty())
    return await Foreground(upping, engine, view, beside, watch, keys).run()


async def tell_why(context: Context, upping: Upping) -> None:
    """After a failed `up`: what `why` would say of the services that have to be mended, on stderr; nothing when it cannot be asked."""
    from compose_lite.project.sight import sights
    from compose_lite.project.why import as_text, roots, why

    with suppress(Error, OSError):
        project = upping.project
        seen = await sights(await context.engine(), project.name, upping.chosen())
        failed = roots([why(project, name, seen, time.time()) for name in upping.chosen() if name in seen])
        for answer in failed[:MOST_TOLD]:
            context.err.write(context.named(f"\n{as_text(answer)}"))
        if len(failed) > MOST_TOLD:
            context.err.write(f"\n{len(failed) - MOST_TOLD} more: see `{context.program} why`.\n")
