"""`scale`: other numbers of containers, nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag
from compose_lite.cli.progress import progress
from compose_lite.cli.upping import Upping, parse_scale
from compose_lite.errors import UsageError

COMMAND = Command(
    "scale",
    "Scale services",
    (arguments("pairs", required=True, metavar="SERVICE=REPLICAS..."), flag("--no-deps", help="Don't start linked services")),
)


async def run(context: Context, pairs: Sequence[str], no_deps: bool) -> int:
    names = tuple(p.partition("=")[0] for p in pairs)
    for pair in pairs:
        if not re.fullmatch(r"[^=]+=\d+", pair):
            raise UsageError("scale", f"invalid scale specifier: {pair}", remedy="Say SERVICE=NUM.")
    project = context.load(services=names)
    upping = Upping(context, project, progress(context), names, {"no_recreate": True, "no_deps": no_deps})
    upping.scale = parse_scale(pairs, project)
    return await upping.detached()
