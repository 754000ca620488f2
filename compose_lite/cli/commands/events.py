"""`events`: what happens to the project's containers, as it happens."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compose_lite import ids, units
from compose_lite.cli import nouns
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.project.observe import project_filter

COMMAND = Command(
    "events",
    "Receive real time events from containers",
    (
        flag("--json", "as_json", help="Output events as a stream of json objects"),
        option("--since", default="", help="Show all events created since timestamp"),
        option("--until", default="", help="Stream events until this timestamp"),
        arguments("services"),
    ),
)


async def run(context: Context, services: tuple[str, ...], as_json: bool, since: str, until: str) -> None:
    _, name = context.load_or_name()
    engine, now = await context.engine(), time.time_ns()
    wanted = {**project_filter(name), "type": ["container"]}
    async for event in engine.events(filters=wanted, since=nouns.moment(since, now) or None, until=nouns.moment(until, now) or None):
        row = event_row(event)
        if row and (not services or row["service"] in services):
            context.print(json.dumps(row, separators=(",", ":"), ensure_ascii=False) if as_json else _line(row))
            context.out.flush()


def event_row(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of --json; nothing for what is no service's container."""
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    service = attributes.get(ids.SERVICE)
    if event.get("Type") != "container" or not service:
        return None
    return {
        "action": event.get("Action", ""),
        "attributes": {k: v for k, v in sorted(attributes.items()) if not k.startswith(ids.LABEL)},
        "id": actor.get("ID", ""),
        "service": service,
        "time": units.rfc3339(event.get("timeNano") or int(event.get("time") or 0) * 10**9),
        "type": "container",
    }


def _line(row: Mapping[str, Any]) -> str:
    at = datetime.fromtimestamp(units.parse_rfc3339(row["time"]) / 10**9).strftime("%Y-%m-%d %H:%M:%S.%f")
    attributes = ", ".join(f"{k}={v}" for k, v in row["attributes"].items())
    return f"{at} container {row['action']} {row['id']} ({attributes})"
