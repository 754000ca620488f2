"""`unpause`: unpause services, by the cgroup freezer."""

from __future__ import annotations

from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import freeze
from compose_lite.cli.pflag import Command, arguments

COMMAND = Command("unpause", "Unpause services", (arguments("services"),))


async def run(context: Context, services: Sequence[str]) -> None:
    await freeze(context, services, False)
