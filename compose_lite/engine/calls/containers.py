"""Containers' lives: create, list, inspect, start to remove, wait, prune, commit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from compose_lite.engine import callers, differences, documents, events, limits, usage
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.lifecycle import Event, State
from compose_lite.engine.server import Reply, Request
from compose_lite.errors import EngineError
from compose_lite.ids import UNMET
from compose_lite.runtime.answers import StartFailed

Document = dict[str, Any]


async def list_containers(rooms: Rooms, request: Request) -> list[Document]:
    filters = request.filters(documents.FILTERS)
    limit = request.integer("limit", 0) or 0
    return documents.listing(rooms.containers, filters, all=request.flag("all"), limit=max(limit, 0), size=request.flag("size"))


async def create(rooms: Rooms, request: Request) -> Reply:
    body = await request.json()
    if request.text("platform"):
        rooms.images.check_platform(str(body.get("Image") or ""), request.text("platform"))
    container = rooms.containers.create(request.text("name"), body)
    if callers.is_bound(container) and request.caller:
        rooms.containers.background(callers.remove_with(rooms.containers, container, request.caller))
    return Reply(201, {"Id": container.id, "Warnings": container.warnings})


async def inspect(rooms: Rooms, request: Request) -> Document:
    return documents.inspect(rooms.containers, rooms.one(request), size=request.flag("size"))


async def start(rooms: Rooms, request: Request) -> Reply:
    container = rooms.one(request)
    if not await rooms.containers.start(container):
        return Reply(304)
    unsaid = limits.unsaid(container.unmet, container.warnings)
    return Reply(204, headers={UNMET: json.dumps(unsaid)} if unsaid else {})


async def stop(rooms: Rooms, request: Request) -> Reply:
    return Reply(204 if await rooms.containers.stop(rooms.one(request), request.integer("t"), request.text("signal")) else 304)


async def restart(rooms: Rooms, request: Request) -> None:
    await rooms.containers.restart(rooms.one(request), request.integer("t"), request.text("signal"))


async def kill(rooms: Rooms, request: Request) -> None:
    await rooms.containers.kill(rooms.one(request), request.text("signal"))


async def pause(rooms: Rooms, request: Request) -> None:
    await rooms.containers.pause(rooms.one(request))


async def unpause(rooms: Rooms, request: Request) -> None:
    await rooms.containers.unpause(rooms.one(request))


async def prepare(rooms: Rooms, request: Request) -> Reply:
    await rooms.containers.prepare(rooms.one(request))
    return Reply(204)


async def configuration(rooms: Rooms, request: Request) -> Document:
    """The Compose configuration that it was made from."""
    return {"Configuration": rooms.one(request).configuration or None}


async def facts(rooms: Rooms, request: Request) -> Document:
    """What Docker has no word for. `since`: as soon as there is something newer than that version to see, or after `wait` seconds."""
    container = rooms.one(request)
    since = request.integer("since")
    if since is not None:
        await rooms.containers.changed_since(container, since, min(request.integer("wait", 20) or 0, 60))
    return documents.facts(rooms.containers, container)


async def note(rooms: Rooms, request: Request) -> None:
    """Lines for a running container's log, such as a hook's output."""
    container, body = rooms.one(request), await request.json()
    if not container.running:
        raise EngineError(f"container {container.id} is not running", http_status=409)
    try:
        await rooms.containers.runtime.note(container.id, str(body.get("Stream") or "stdout"), str(body.get("Text") or ""))
    except (StartFailed, OSError) as error:
        raise EngineError(f"the log of container {container.id} takes no lines: {error}", http_status=409) from error


async def put_files(rooms: Rooms, request: Request) -> None:
    rooms.containers.put_files(rooms.one(request), (await request.json()).get("Files") or ())


async def rename(rooms: Rooms, request: Request) -> None:
    rooms.containers.rename(rooms.one(request), request.text("name"))


async def update(rooms: Rooms, request: Request) -> Document:
    return {"Warnings": rooms.containers.update(rooms.one(request), await request.json()) or None}


async def remove(rooms: Rooms, request: Request) -> None:
    await rooms.containers.remove(rooms.one(request), force=request.flag("force"), volumes=request.flag("v"))


async def wait(rooms: Rooms, request: Request) -> None:
    condition = request.text("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise EngineError(f"invalid condition: {condition!r}", http_status=400)
    future = rooms.containers.waiter(rooms.one(request), condition)
    await request.body.read(1 << 20)
    await request.begin()
    try:
        await request.send_json({"StatusCode": await future})
    finally:
        future.cancel()


async def prune_containers(rooms: Rooms, request: Request) -> Document:
    filters = {**request.filters(frozenset(("label", "label!", "until"))), "status": ["created", "exited", "dead"]}
    until = filters.pop("until", [])
    gone = []
    for found in documents.listing(rooms.containers, filters, all=True, limit=0, size=False):
        if until and found["Created"] * 10**9 > (events.parse_time(until[0], time.time_ns()) or 0):
            continue
        with contextlib.suppress(EngineError):
            await rooms.containers.remove(rooms.containers.find(found["Id"]))
            gone.append(found["Id"])
    rooms.containers.bus.pruned("container")
    return {"ContainersDeleted": gone or None, "SpaceReclaimed": 0}


async def resize(rooms: Rooms, request: Request) -> None:
    rows, columns = request.integer("h", 0) or 0, request.integer("w", 0) or 0
    container = rooms.one(request)
    container.after(Event.LOOK)
    await rooms.containers.runtime.resize(container.id, rows, columns)
    rooms.containers.emit(container, "resize", height=str(rows), width=str(columns))


async def top(rooms: Rooms, request: Request) -> Document:
    container = rooms.one(request)
    found = usage.top(rooms.containers, container, request.text("ps_args", "-ef"))
    rooms.containers.emit(container, "top")
    return found


async def changes(rooms: Rooms, request: Request) -> Any:
    container = rooms.one(request)
    upper = str(rooms.containers.preparation.path(container.id) / "diff")
    return await asyncio.to_thread(differences.changes, upper, container.layers) or Reply(200, None)


async def commit(rooms: Rooms, request: Request) -> Reply:
    from compose_lite.engine import commits  # the Dockerfile language is for commits and builds alone

    container = rooms.containers.find(request.text("container"))
    given = await request.json()
    config = commits.configured({**container.config, **{k: v for k, v in given.items() if v}}, request.query.get("changes", []))
    paused = request.flag("pause", True) and container.state is State.RUNNING
    if paused:
        with contextlib.suppress(EngineError):  # without a freezer (rootless without delegation) it is committed as it runs
            await rooms.containers.pause(container)
    try:
        image, name = await rooms.images.commit(request, container, rooms.containers.preparation.path(container.id) / "diff", config)
    finally:
        if paused and container.state is State.PAUSED:
            await rooms.containers.unpause(container)
    named = {"imageRef": name} if name else {}
    rooms.containers.emit(container, "commit", comment=request.text("comment"), imageID=image.id, **named)
    return Reply(201, {"Id": image.id})
