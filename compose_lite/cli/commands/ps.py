"""`ps`: the project's containers as a table, JSON lines, names or ids."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from compose_lite import ids
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option, options
from compose_lite.errors import ProjectError, UsageError
from compose_lite.project.observe import Seen, containers_of
from compose_lite.units import human_duration

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
STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")


async def run(context: Context, services: Sequence[str], **o: Any) -> None:
    project, name = context.load_or_name()
    statuses = list(o["status"])
    if o["filter"]:
        key, equals, value = o["filter"].partition("=")
        if key != "status" or not equals:
            raise UsageError("filter", f"unknown filter {key!r}", remedy="The only filter is status=STATE.")
        statuses.append(value)
    found = await containers_of(await context.engine(), name, oneoff=None, all=True)
    known = project.all_services() if project else {}
    for service in services:
        if service not in known and not any(c.service == service for c in found):
            raise ProjectError("no-such-service", f"no such service: {service}")
    rows = [c for c in found if _shown(c, services, statuses, o, known)]
    if o["quiet"]:
        text = "\n".join(c.id if o["no_trunc"] else ids.short(c.id) for c in rows)
    elif o["only_services"]:
        text = "\n".join(dict.fromkeys(c.service for c in rows))
    elif o["format"] == "json":
        text = "\n".join(json.dumps(row(c), ensure_ascii=False) for c in rows)
    elif o["format"] in ("table", "", "pretty"):
        text = _table(rows, o["no_trunc"])
    else:
        from compose_lite.cli.tables import print_rows

        print_rows(context, o["format"], [row(c) for c in rows], ())
        return
    if text:
        context.print(text)


def _shown(container: Seen, services: Sequence[str], statuses: Sequence[str], o: dict[str, Any], known: Any) -> bool:
    if services and container.service not in services:
        return False
    if container.oneoff and not o["all"]:
        return False
    if not o["orphans"] and known and container.service not in known:
        return False
    if statuses:
        return container.state in statuses
    return bool(o["all"]) or container.running


def row(container: Seen) -> dict[str, Any]:
    """The fields of `ps --format json`."""
    document = container.document
    return {
        "Command": json.dumps(document.get("Command") or "", ensure_ascii=False),
        "CreatedAt": str(document.get("Created")),
        "ExitCode": container.exit_code,
        "Health": container.health,
        "ID": ids.short(container.id),
        "Image": container.image,
        "Labels": ",".join(f"{k}={v}" for k, v in sorted(container.labels.items())),
        "LocalVolumes": str(sum(m.get("Type") == "volume" for m in document.get("Mounts") or ())),
        "Mounts": ",".join(m.get("Name") or m.get("Source") or "" for m in document.get("Mounts") or ()),
        "Name": container.name,
        "Names": container.name,
        "Networks": ",".join((document.get("NetworkSettings") or {}).get("Networks") or {}),
        "Ports": ports_text(document.get("Ports") or ()),
        "Project": container.labels.get(ids.PROJECT, ""),
        "Publishers": publishers(document.get("Ports") or ()),
        "RunningFor": re.sub(r"^Up |\(.*\)$", "", document.get("Status") or "") if container.running else "",
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


def ports_text(ports: Sequence[dict[str, Any]]) -> str:
    """`0.0.0.0:8080->80/tcp, 443/tcp`."""
    texts = []
    for port in sorted(ports, key=lambda p: (p["PrivatePort"], p.get("Type", ""), ":" in p.get("IP", ""), p.get("PublicPort", 0))):
        inner = f"{port['PrivatePort']}/{port.get('Type', 'tcp')}"
        address = port.get("IP", "")
        where = f"[{address}]" if ":" in address else address
        texts.append(f"{where}:{port['PublicPort']}->{inner}" if port.get("PublicPort") else inner)
    return ", ".join(dict.fromkeys(texts))


def _table(rows: Sequence[Seen], whole: bool) -> str:
    import time

    head = ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS")
    lines = [head]
    for container in rows:
        command = json.dumps(container.document.get("Command") or "", ensure_ascii=False)
        if not whole and len(command) > 20:
            command = command[:19] + "…" + '"'
        age = human_duration(time.time() - float(container.document.get("Created") or 0)) + " ago"
        status = container.document.get("Status") or ""
        lines.append(
            (container.name, container.image, command, container.service, age, status, ports_text(container.document.get("Ports") or ()))
        )
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
