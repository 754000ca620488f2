"""`stats`: what the project's containers use of the machine, once or again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from compose_lite import ids, units
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli import tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.errors import ApiError
from compose_lite.project.observe import containers_of

COMMAND = Command(
    "stats",
    "Display a live stream of container(s) resource usage statistics",
    (
        flag("-a", "--all", help="Show all containers (default shows just running)"),
        option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template"),
        flag("--no-stream", help="Disable streaming stats and only pull the first result"),
        flag("--no-trunc", help="Do not truncate output"),
        arguments("services"),
    ),
)
HEADERS = {
    "ID": "CONTAINER ID",
    "Container": "CONTAINER",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")


async def run(context: Context, services: tuple[str, ...], all: bool, format: str, no_stream: bool, no_trunc: bool) -> None:
    _, name = context.load_or_name()
    engine = await context.engine()

    async def measured() -> list[tuple[str, str]]:
        return [(c.id, c.name) for c in await containers_of(engine, name, services, oneoff=None, all=all)]

    await show(context, measured, format, no_stream=no_stream, no_trunc=no_trunc)


async def show(
    context: Context, listed: Callable[[], Awaitable[list[tuple[str, str]]]], format: str, *, no_stream: bool, no_trunc: bool
) -> None:
    """A row for each of the containers, (id, name), once or again and again."""
    engine = await context.engine()
    while True:
        rows: dict[str, tables.Row] = {}
        found = await listed()
        async with anyio.create_task_group() as group:
            for id, name in found:
                group.start_soon(_measure, engine, id, name, no_trunc, rows)
        text = tables.listing([rows[id] for id, _ in found if id in rows], HEADERS, COLUMNS, format)
        if not no_stream and format in ("", "table") and context.out.isatty():
            context.out.write("\033[2J\033[H")
        context.out.write(text)
        context.out.flush()
        if no_stream:
            return
        await anyio.sleep(0.5 if found else 1)


async def _measure(engine: DockerEngine, id: str, name: str, no_trunc: bool, rows: dict[str, tables.Row]) -> None:
    try:
        async for document in engine.stats(id, stream=False):
            rows[id] = usage_row(id, name, document, no_trunc)
    except ApiError as error:  # it ended meanwhile
        if error.http_status not in (404, 409):
            raise


def usage_row(id: str, name: str, document: Mapping[str, Any], no_trunc: bool = False) -> tables.Row:
    """One sample (two, for the processor) as texts."""
    memory = document.get("memory_stats") or {}
    used, limit = memory_used(memory), int(memory.get("limit") or 0)
    networks = (document.get("networks") or {}).values()
    blocks = (document.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    read, written = (sum(int(b["value"]) for b in blocks if str(b.get("op", "")).lower() == op) for op in ("read", "write"))
    received, sent = (sum(int(n.get(key) or 0) for n in networks) for key in ("rx_bytes", "tx_bytes"))
    return {
        "ID": id if no_trunc else ids.short(id),
        "Container": id,
        "Name": name,
        "CPUPerc": f"{processor(document):.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "MemPerc": f"{100 * used / limit if limit else 0:.2f}%",
        "NetIO": f"{units.human_size(received)} / {units.human_size(sent)}",
        "BlockIO": f"{units.human_size(read)} / {units.human_size(written)}",
        "PIDs": str((document.get("pids_stats") or {}).get("current") or 0),
    }


def memory_used(memory: Mapping[str, Any]) -> int:
    """What is used without the cache of files that nobody has touched for a while."""
    usage, detail = int(memory.get("usage") or 0), memory.get("stats") or {}
    cache = int(detail.get("total_inactive_file") or detail.get("inactive_file") or 0)
    return usage - cache if cache < usage else usage


def processor(document: Mapping[str, Any]) -> float:
    """Per cent of one processor."""
    now, before = document.get("cpu_stats") or {}, document.get("precpu_stats") or {}
    own = _total(now) - _total(before)
    whole = int(now.get("system_cpu_usage") or 0) - int(before.get("system_cpu_usage") or 0)
    count = int(now.get("online_cpus") or 0) or len((now.get("cpu_usage") or {}).get("percpu_usage") or ()) or 1
    return own / whole * count * 100 if own > 0 and whole > 0 else 0.0


def _total(cpu: Mapping[str, Any]) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def binary_size(size: float) -> str:
    """Bytes in powers of 1024: `23.54GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.4g}{unit}"
        size /= 1024
    raise AssertionError("unreachable")
