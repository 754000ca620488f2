"""Networks, volumes, and ports that are bound before anything starts."""

from __future__ import annotations

from typing import Any

from compose_lite.engine import volumes as volume_rules
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.server import Reply, Request

Document = dict[str, Any]


async def list_networks(rooms: Rooms, request: Request) -> list[Document]:
    return rooms.networks.listing(request.filters())


async def inspect_network(rooms: Rooms, request: Request) -> Document:
    return rooms.networks.inspect(request.params["id"])


async def create_network(rooms: Rooms, request: Request) -> Reply:
    return Reply(201, await rooms.networks.create(await request.json()))


async def remove_network(rooms: Rooms, request: Request) -> None:
    await rooms.networks.remove(request.params["id"])


async def connect_network(rooms: Rooms, request: Request) -> Reply:
    body = await request.json()
    container = rooms.containers.find(body.get("Container") or "")
    await rooms.containers.seats.join_network(request.params["id"], container, body.get("EndpointConfig"))
    rooms.containers.store.put_container(container)
    return Reply(200, content=b"")


async def disconnect_network(rooms: Rooms, request: Request) -> Reply:
    body = await request.json()
    container = rooms.containers.find(body.get("Container") or "")
    await rooms.containers.seats.leave_network(request.params["id"], container)
    rooms.containers.store.put_container(container)
    return Reply(200, content=b"")


async def prune_networks(rooms: Rooms, request: Request) -> Document:
    return await rooms.networks.prune(request.filters())


async def list_volumes(rooms: Rooms, request: Request) -> Document:
    return rooms.volumes.listing(request.filters(volume_rules.FILTERS))


async def inspect_volume(rooms: Rooms, request: Request) -> Document:
    return rooms.volumes.find(request.params["id"])


async def create_volume(rooms: Rooms, request: Request) -> Reply:
    return Reply(201, rooms.volumes.create(await request.json()))


async def remove_volume(rooms: Rooms, request: Request) -> None:
    rooms.volumes.remove(request.params["id"], force=request.flag("force"))


async def prune_volumes(rooms: Rooms, request: Request) -> Document:
    return rooms.volumes.prune(request.filters(volume_rules.FILTERS))


async def release_ports(rooms: Rooms, request: Request) -> Document:
    """What the owner reserved and did not use."""
    body = await request.json()
    rooms.containers.seats.publisher.release(str(body.get("Owner") or ""))
    return {}


async def reserve_ports(rooms: Rooms, request: Request) -> Document:
    body = await request.json()
    await rooms.containers.seats.reserve(str(body.get("Owner") or ""), body.get("PortBindings") or {})
    return {}
