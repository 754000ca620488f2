"""What the engine is and what happens in it: ping, version, info, events, disk usage."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from compose_lite.engine import documents, recover
from compose_lite.engine import events as event_rules
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.server import Reply, Request

Document = dict[str, Any]


async def ping(rooms: Rooms, request: Request) -> Reply:
    headers = {
        "Builder-Version": "1",
        "Swarm": "inactive",
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
    }
    return Reply(200, content=b"OK", content_type="text/plain; charset=utf-8", headers=headers)


async def version(rooms: Rooms, request: Request) -> Document:
    return documents.version()


async def info(rooms: Rooms, request: Request) -> Document:
    count = len(await asyncio.to_thread(rooms.containers.images.all))
    return documents.info(rooms.containers, count, rooms.engine_id, rooms.bus.listeners)


async def shut_down(rooms: Rooms, request: Request) -> None:
    """POST /compose-lite/v1/shutdown"""
    await recover.go_down(rooms.containers)


async def auth(rooms: Rooms, request: Request) -> Document:
    return {"Status": "Login Succeeded", "IdentityToken": ""}


async def events(rooms: Rooms, request: Request) -> None:
    now = time.time_ns()
    filters = request.filters(event_rules.FILTERS)
    since, until = (event_rules.parse_time(request.text(key), now) for key in ("since", "until"))
    await request.begin()
    async for event in rooms.bus.listen(filters, since, until):
        await request.send_json(event)


async def disk_usage(rooms: Rooms, request: Request) -> Document:
    images = await asyncio.to_thread(rooms.containers.images.all)
    return await asyncio.to_thread(documents.disk_usage, rooms.containers, images)


async def prune_builds(rooms: Rooms, request: Request) -> Document:
    found = await rooms.builds.prune(everything=request.flag("all"))
    rooms.containers.bus.pruned("builder")
    return found


async def no_plugins(rooms: Rooms, request: Request) -> list[Document]:
    return []
