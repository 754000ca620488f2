"""`ps`: the project's containers as a table, JSON lines, names or ids."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from compose_lite import ids
from compose_lite.cli import containerrow, nouns, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option, options
from compose_lite.errors import ProjectError, UsageError
from compose_lite.project.observe import Seen, containers_of

COMMAND = Command(
    "ps",
    "List containers",
    (
        arguments("services"),
        flag("-a", "--all", help="Show all stopped containers (including those created by the run command)"),
        option("--format", default="table", help="Format output (table, json or a Go template)"),
        option("--filter", help="Filter services by a property (supported filters: status)"),
        options("--status", help="Filter services by status: paused, restarting, removing, running, dead, created, exited"),
        flag("-q", "--quiet", help="Only display IDs"),
        flag("--services", "only_services", help="Display services"),
        flag("--no-trunc", help="Don't truncate output"),
        flag("--orphans", default=True, help="Include orphaned services (not declared by project)"),
    ),
)
HEADERS = {
    **containerrow.HEADERS,
    "Name": "NAME",
    "Service": "SERVICE",
    "Project": "PROJECT",
    "Health": "HEALTH",
    "ExitCode": "EXIT CODE",
    "Publishers": "PUBLISHERS",
}
COLUMNS = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")
STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")


async def run(context: Context, services: Sequence[str], **o: Any) -> None:
    project, name = context.load_or_name(services)
    statuses = list(o["status"])
    if o["filter"]:
        key, equals, value = o["filter"].partition("=")
        if not equals:
            raise UsageError("filter", "arguments to --filter should be in form KEY=VAL", remedy="The only filter is status=STATE.")
        if key != "status":
            raise UsageError("filter", f"unknown filter {key}", remedy="The only filter is status=STATE.")
        statuses.append(value)
    found = await containers_of(await context.engine(), name, oneoff=None, all=True)
    known = project.services if project else {}
    for service in services:
        if service not in known and not any(c.service == service for c in found):
            raise ProjectError("no-such-service", f"no such service: {service}")
    rows = sorted((c for c in found if _shown(c, services, statuses, o, known)), key=lambda c: c.name)
    if o["quiet"]:
        context.out.write("".join(f"{c.id}\n" for c in rows))
    elif o["only_services"]:
        context.print("\n".join(dict.fromkeys(c.service for c in rows)))
    else:
        cells = [row(c, time.time(), whole=o["no_trunc"]) for c in rows]
        context.out.write(tables.listing(cells, HEADERS, COLUMNS, "" if o["format"] == "pretty" else o["format"]))


def _shown(container: Seen, services: Sequence[str], statuses: Sequence[str], o: dict[str, Any], known: Any) -> bool:
    if services and container.service not in services:
        return False
    if container.oneoff and not (o["all"] or statuses):  # asked for by state, all are looked at
        return False
    if not o["orphans"] and known and container.service not in known:
        return False
    if statuses:
        return container.state in statuses
    return bool(o["all"]) or container.running


def row(container: Seen, now: float, *, whole: bool = False) -> dict[str, Any]:
    """The fields of `ps --format json`. whole: nothing is shortened."""
    document = container.document
    command, created = str(document.get("Command") or ""), float(document.get("Created") or 0)
    mounts = [m.get("Name") or m.get("Source") or "" for m in document.get("Mounts") or ()]
    labels, label = tables.labelled(container.labels)
    return {
        "Command": json.dumps(command if whole else tables.trimmed(command, 20), ensure_ascii=False),
        "CreatedAt": nouns.created_at(created),
        "ExitCode": container.exit_code,
        "Health": container.health,
        "ID": container.id if whole else ids.short(container.id),
        "Image": container.image,
        "Label": label,
        "Labels": labels,
        "LocalVolumes": str(sum(m.get("Type") == "volume" for m in document.get("Mounts") or ())),
        "Mounts": ",".join(mounts if whole else [tables.trimmed(m, 15) for m in mounts]),
        "Name": container.name,
        "Names": container.name,
        "Networks": ",".join((document.get("NetworkSettings") or {}).get("Networks") or {}),
        "Ports": containerrow.ports(document.get("Ports") or ()),
        "Project": container.labels.get(ids.PROJECT, ""),
        "Publishers": publishers(document.get("Ports") or ()),
        "RunningFor": nouns.ago(created, now),
        "Service": container.service,
        "Size": "0B",
        "State": container.state,
        "Status": document.get("Status") or "",
    }


def publishers(ports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    made = [
        {"URL": p.get("IP", ""), "TargetPort": p["PrivatePort"], "PublishedPort": p.get("PublicPort", 0), "Protocol": p.get("Type", "tcp")}
        for p in ports
    ]
    return sorted(made, key=lambda p: (p["URL"], p["TargetPort"], p["PublishedPort"], p["Protocol"]))
