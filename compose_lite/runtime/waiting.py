"""Waiting in the event loop for a descriptor: a socket that can be read or written, a pidfd whose process has ended."""

from __future__ import annotations

import asyncio
import socket


async def ready(sock: socket.socket, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    fd = sock.fileno()
    (loop.add_writer if write else loop.add_reader)(fd, _set, waiter)
    try:
        await waiter
    finally:
        (loop.remove_writer if write else loop.remove_reader)(fd)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def ended(fd: int, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, waiter)
    try:
        async with asyncio.timeout(seconds):
            await waiter
        return True
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
