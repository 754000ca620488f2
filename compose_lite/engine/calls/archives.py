"""Tars of a container's root, in and out: cp, export."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable
from typing import IO, Any

import pydantic_core

from compose_lite.engine import archive as archives
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.execs import pump_out, write_all
from compose_lite.engine.record import Container
from compose_lite.engine.server import Reply, Request
from compose_lite.errors import EngineError

Document = dict[str, Any]


def _root(rooms: Rooms, container: Container) -> Any:
    folder = rooms.containers.preparation.path(container.id)
    return archives.root_of(container, str(folder / "diff"), str(folder / "work"), rooms.containers.preparation.rootless)


def _owners(rooms: Rooms, container: Container) -> archives.Owners:
    return archives.Owners(rooms.containers.preparation.remap_of(container) if container.running else None)


async def archive(rooms: Rooms, request: Request) -> Any:
    container, path = rooms.one(request), request.text("path")
    if not path:
        raise EngineError("missing required parameter: path", http_status=400)

    def look() -> Document:
        with _root(rooms, container) as root:
            return archives.describe(container, root, path, request.params["id"])

    found = await asyncio.to_thread(look)
    headers = {"X-Docker-Container-Path-Stat": base64.b64encode(pydantic_core.to_json(found)).decode()}
    if request.method == "HEAD":
        return Reply(200, content=b"", headers=headers)

    def pack(out: IO[bytes]) -> None:
        with _root(rooms, container) as root:
            archives.pack(container, root, path, out, _owners(rooms, container))

    rooms.containers.emit(container, "archive-path")
    await request.begin("application/x-tar", headers=headers)
    await _stream_from_thread(request, pack)
    return None


async def put_archive(rooms: Rooms, request: Request) -> Reply:
    container, path = rooms.one(request), request.text("path")
    await rooms.containers.forget_prepared(container)  # its layer stands in a mount that would not see the change
    wish = str(container.config.get("User") or "")
    owner = None
    if request.flag("copyUIDGID") and wish:  # Docker's meaning of the flag: all is given to the container's user
        user = await asyncio.to_thread(rooms.containers.preparation.user, container, wish, False)
        owner = (user.uid, user.gid)

    def unpack(source: IO[bytes]) -> None:
        with _root(rooms, container) as root:
            keep = request.flag("noOverwriteDirNonDir")
            owners = _owners(rooms, container)
            archives.unpack(container, root, path, source, request.params["id"], no_overwrite=keep, owner=owner, owners=owners)

    await _feed_to_thread(request, unpack)
    rooms.containers.emit(container, "extract-to-dir")
    return Reply(200, content=b"")


async def export(rooms: Rooms, request: Request) -> None:
    container = rooms.one(request)

    def pack(out: IO[bytes]) -> None:
        with _root(rooms, container) as root:
            archives.export(container, root, out, _owners(rooms, container))

    rooms.containers.emit(container, "export")
    await request.begin("application/octet-stream")
    await _stream_from_thread(request, pack)


async def _stream_from_thread(request: Request, produce: Callable[[IO[bytes]], None]) -> None:
    """Runs a blocking writer in a thread and sends what it writes."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def work() -> None:
        with open(writing, "wb") as out, contextlib.suppress(BrokenPipeError):
            produce(out)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await pump_out(reading, request.send)
    finally:
        os.close(reading)
        await task


async def _feed_to_thread(request: Request, consume: Callable[[IO[bytes]], None]) -> None:
    """Runs a blocking reader of the request's body in a thread."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def work() -> None:
        with open(reading, "rb") as source:
            consume(source)
            while source.read(1 << 18):
                pass

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        with contextlib.suppress(BrokenPipeError):
            async for part in request.body:
                await write_all(writing, part)
    finally:
        os.close(writing)
        await task
