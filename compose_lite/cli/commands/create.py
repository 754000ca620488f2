"""`create`: what `up --no-start` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments
from compose_lite.cli.progress import progress
from compose_lite.cli.upoptions import MAKING, WISHES
from compose_lite.cli.upping import Upping, parse_scale
from compose_lite.errors import UsageError

COMMAND = Command(
    "create",
    "Creates containers for a service",
    (
        arguments("services"),
        *WISHES,
        *MAKING,
    ),
)


async def run(context: Context, services: Sequence[str], **o: Any) -> int:
    for one, other in (("build", "no_build"), ("force_recreate", "no_recreate")):
        if o[one] and o[other]:
            raise UsageError("flags-together", f"--{one.replace('_', '-')} and --{other.replace('_', '-')} are incompatible")
    project = context.load(services=services)
    upping = Upping(context, project, progress(context, title="Creating"), tuple(services), {**o, "no_start": True})
    upping.scale = parse_scale(o["scale"], project)
    return await upping.detached()
