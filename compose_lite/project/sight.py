"""Reads what why.py answers from: of each container its inspect document, the engine's own facts and its last lines."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError
from compose_lite.project.observe import Document, Seen, containers_of
from compose_lite.project.why import LINES, Sight
from compose_lite.units import parse_rfc3339


async def sights(engine: Engine, project: str, services: Sequence[str] = ()) -> dict[str, list[Sight]]:
    """By service, one-offs left out."""
    found: dict[str, list[Sight]] = {}

    async def look(container: Seen) -> None:
        try:
            document = await engine.container(container.id)
        except ApiError as error:
            if error.http_status == 404:  # gone meanwhile
                return
            raise
        lines = await _last_lines(engine, container.id, str(document["State"].get("StartedAt") or ""))
        found.setdefault(container.service, []).append(Sight(container.name, document, await _facts(engine, container.id), lines))

    async with anyio.create_task_group() as group:
        for container in await containers_of(engine, project, services):
            group.start_soon(look, container)
    return found


async def _facts(engine: Engine, id: str) -> Document:
    try:
        found: Document = await engine.extension("GET", f"containers/{id}/facts")
    except ApiError as error:
        if error.code != "engine-foreign" and error.http_status != 404:
            raise
        return {}
    return found


async def _last_lines(engine: Engine, id: str, started: str) -> list[str]:
    """Of its last run. Nothing where the log cannot be read (driver none)."""
    data = bytearray()
    since = parse_rfc3339(started) if started and not started.startswith("0001") else 0
    try:
        async for some in engine.logs(id, tail=str(LINES), since=f"{since // 10**9}.{since % 10**9:09d}"):
            for _, part in some:
                data += part
    except ApiError:
        return []
    return [line.rstrip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()][-LINES:]
