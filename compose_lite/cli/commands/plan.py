"""`plan`: what `up` would do, as a diff: what is made anew, which key changed where from what to what, what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.cli.progress import Quiet
from compose_lite.cli.upoptions import DEEPER, WISHES
from compose_lite.cli.upping import Upping, parse_scale
from compose_lite.errors import UsageError, nearest
from compose_lite.project import planview

COMMAND = Command(
    "plan",
    "Show what up would change, key by key",
    (
        arguments("services"),
        *WISHES,
        *DEEPER,
        flag("--detailed-exitcode", help="End with 0 when there is nothing to do, with 2 when there are changes"),
        option("--format", default="text", help="Format output (text or json)"),
    ),
)
CHANGES = 2


async def run(context: Context, services: Sequence[str], format: str, detailed_exitcode: bool, **o: Any) -> int:
    if format not in ("text", "json"):
        raise UsageError("format", f'unsupported format "{format}"', remedy=nearest(format, ("text", "json")) or "Say text or json.")
    context.options = replace(context.options, dry_run=True)
    project = context.load(services=services)
    upping = Upping(context, project, Quiet(context.err), tuple(services), o)
    upping.scale = parse_scale(o["scale"], project)
    found = await upping.view()
    if format == "json":
        context.out.write(planview.as_json(found))
    else:
        for warning in found.warnings:
            context.warn(warning)
        context.out.write(planview.as_text(found, context.cwd))
    return CHANGES if detailed_exitcode and found.changes else 0
