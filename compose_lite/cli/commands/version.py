"""`version`: ours and, with a running engine, its own."""

from __future__ import annotations

import json

from compose_lite import __version__
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, flag, option
from compose_lite.errors import UsageError

COMMAND = Command(
    "version",
    "Show the version information",
    (option("-f", "--format", help="Format the output (pretty, json)", default=""), flag("--short", help="Show only the version")),
)


def run(context: Context, format: str, short: bool) -> None:
    if short:
        context.print(__version__)
    elif format == "json":
        context.print(json.dumps({"version": f"v{__version__}"}, separators=(",", ":")))
    elif format in ("pretty", ""):
        context.print(f"compose-lite version v{__version__}")
    else:
        raise UsageError("format", f'unsupported format "{format}"', remedy="Say pretty or json.")
