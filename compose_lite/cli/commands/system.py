"""`system`: what is kept and used, what happens, what can be removed, in Docker's forms."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from compose_lite import units
from compose_lite.cli import nouns, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, flag, option, options

HELP = "Manage the engine's data"
DF_HEADERS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
INFO = {
    "Containers": "Containers",
    "ContainersRunning": " Running",
    "ContainersPaused": " Paused",
    "ContainersStopped": " Stopped",
    "Images": "Images",
    "ServerVersion": "Server Version",
    "Driver": "Storage Driver",
    "LoggingDriver": "Logging Driver",
    "CgroupDriver": "Cgroup Driver",
    "CgroupVersion": "Cgroup Version",
    "DefaultRuntime": "Default Runtime",
    "KernelVersion": "Kernel Version",
    "OperatingSystem": "Operating System",
    "OSType": "OSType",
    "Architecture": "Architecture",
    "NCPU": "CPUs",
    "Name": "Name",
    "ID": "ID",
    "DockerRootDir": "Docker Root Dir",
}
"""Fields of `info` that its text shows, with their titles."""


async def df(context: Context, format: str) -> None:
    rows = usage(await (await context.engine()).disk_usage())
    context.out.write(tables.listing(rows, DF_HEADERS, tuple(DF_HEADERS), format))


def usage(document: Mapping[str, Any]) -> list[tables.Row]:
    """Rows of `system df` from GET /system/df. Reclaimable is what nothing uses."""
    images, containers = document.get("Images") or (), document.get("Containers") or ()
    volumes, cache = document.get("Volumes") or (), document.get("BuildCache") or ()
    layers = int(document.get("LayersSize") or 0)
    used = sum(int(i["Size"]) - max(0, int(i.get("SharedSize") or 0)) for i in images if int(i.get("Containers") or 0) > 0)
    busy = [c for c in containers if c.get("State") in ("running", "paused", "restarting")]
    sizes = [(int((v.get("UsageData") or {}).get("Size") or 0), int((v.get("UsageData") or {}).get("RefCount") or 0)) for v in volumes]
    written = sum(int(c.get("SizeRw") or 0) for c in containers)
    volume_size, cached = sum(max(0, size) for size, _ in sizes), sum(int(c.get("Size") or 0) for c in cache if not c.get("Shared"))
    in_use = [c for c in cache if c.get("InUse")]
    return [
        _usage_row("Images", len(images), sum(int(i.get("Containers") or 0) > 0 for i in images), layers, layers - used),
        _usage_row("Containers", len(containers), len(busy), written, written - sum(int(c.get("SizeRw") or 0) for c in busy)),
        _usage_row("Local Volumes", len(volumes), sum(c > 0 for _, c in sizes), volume_size, sum(max(0, s) for s, c in sizes if c <= 0)),
        _usage_row("Build Cache", len(cache), len(in_use), cached, cached - sum(int(c.get("Size") or 0) for c in in_use)),
    ]


def _usage_row(kind: str, total: int, active: int, size: int, reclaimable: int) -> tables.Row:
    share = f" ({max(0, reclaimable) * 100 // size}%)" if size > 0 else ""
    sizes = {"Size": units.human_size(size), "Reclaimable": units.human_size(max(0, reclaimable)) + share}
    return {"Type": kind, "TotalCount": str(total), "Active": str(active), **sizes}


async def prune(context: Context, all: bool, filter: tuple[str, ...], force: bool, volumes: bool) -> None:
    """Containers first, so that what only they used is free by then."""
    wanted = tables.filters(filter)
    parts = ["all stopped containers", "all networks not used by at least one container"]
    parts += ["all anonymous volumes not used by at least one container"] if volumes else []
    parts += ["all images without at least one container associated to them" if all else "all dangling images"]
    if not nouns.confirmed(context, "This will remove:\n" + "".join(f"  - {part}\n" for part in parts), force):
        return
    engine = await context.engine()
    gone = await engine.prune_containers(filters=wanted)
    nouns.pruned(context, "Containers", gone.get("ContainersDeleted") or [], None)
    freed = int(gone.get("SpaceReclaimed") or 0)
    gone = await engine.prune_networks(filters=wanted)
    nouns.pruned(context, "Networks", gone.get("NetworksDeleted") or [], None)
    if volumes:
        gone = await engine.prune_volumes(filters={k: v for k, v in wanted.items() if k != "until"})
        nouns.pruned(context, "Volumes", gone.get("VolumesDeleted") or [], None)
        freed += int(gone.get("SpaceReclaimed") or 0)
    gone = await engine.prune_images(filters={**wanted, "dangling": ["false" if all else "true"]})
    words = [f"{word.lower()}: {one[word]}" for one in gone.get("ImagesDeleted") or () for word in ("Untagged", "Deleted") if one.get(word)]
    nouns.pruned(context, "Images", words, None)
    context.print(f"Total reclaimed space: {units.human_size(freed + int(gone.get('SpaceReclaimed') or 0))}")


async def events(context: Context, filter: tuple[str, ...], format: str, since: str, until: str) -> None:
    engine, now = await context.engine(), time.time_ns()
    first, last = nouns.moment(since, now, "since") or None, nouns.moment(until, now, "until") or None
    async for event in engine.events(filters=tables.filters(filter), since=first, until=last):
        context.print(
            event_text(event) if not format else tables.inspected([event], "{{json .}}" if format == "json" else format).rstrip("\n")
        )
        context.out.flush()


def event_text(event: Mapping[str, Any]) -> str:
    """`2026-11-27T01:02:03.123456789+00:00 container start ID (image=busybox, name=x)`."""
    ns = int(event.get("timeNano") or int(event.get("time") or 0) * 10**9)
    at = datetime.fromtimestamp(ns // 10**9).astimezone()
    zone = at.strftime("%z")
    stamp = f"{at.strftime('%Y-%m-%dT%H:%M:%S')}.{ns % 10**9:09d}{zone[:3]}:{zone[3:5]}"
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{k}={v}" for k, v in sorted((actor.get("Attributes") or {}).items()))
    return f"{stamp} {event.get('Type')} {event.get('Action')} {actor.get('ID')}" + (f" ({attributes})" if attributes else "")


async def info(context: Context, format: str) -> None:
    document = await (await context.engine()).info()
    if format:
        context.out.write(tables.inspected([document], "{{json .}}" if format == "json" else format))
        return
    context.out.write(_lines([(title, document[field]) for field, title in INFO.items() if document.get(field) not in (None, "")]))
    context.print(f"Total Memory: {units.human_size(int(document.get('MemTotal') or 0))}")


def _lines(rows: Sequence[tuple[str, Any]]) -> str:
    return "".join(f"{title}: {value if isinstance(value, str | int) else json.dumps(value)}\n" for title, value in rows)


FILTER = options("-f", "--filter", help="Filter output based on conditions provided")
FORMAT = option("-f", "--format", default="", help="json or a Go template")
EVENTS = (
    FILTER,
    option("--format", default="", help="json or a Go template"),
    option("--since", default="", help="Show all events created since timestamp"),
    option("--until", default="", help="Stream events until this timestamp"),
)
PRUNE = (
    flag("-a", "--all", help="Remove all unused images not just dangling ones"),
    options("--filter", help='Provide filter values (e.g. "label=<key>=<value>")'),
    flag("-f", "--force", help="Do not prompt for confirmation"),
    flag("--volumes", help="Prune anonymous volumes"),
)
DF = (option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template"),)
SUBCOMMANDS: dict[str, tuple[Command, Any]] = {
    "df": (Command("df", "Show disk usage", DF), df),
    "events": (Command("events", "Get real time events from the engine", EVENTS), events),
    "info": (Command("info", "Display engine-wide information", (FORMAT,)), info),
    "prune": (Command("prune", "Remove unused data", PRUNE), prune),
}
