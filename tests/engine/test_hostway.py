from __future__ import annotations

import asyncio
import socket

import pytest

from compose_lite.engine import hostway


def test_who_connects_to_the_listener_itself_is_led_nowhere() -> None:
    async def test() -> bytes:
        listener = hostway.open_listener()
        server = await hostway.serve(listener)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        got = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.close()
        return got

    assert asyncio.run(test()) == b""


def test_both_directions_and_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    async def test() -> bytes:
        machine = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = machine.sockets[0].getsockname()[1]
        monkeypatch.setattr(hostway, "wanted_port", lambda sock: port)
        monkeypatch.setattr(hostway, "machine_address", lambda: "127.0.0.1")
        listener = hostway.open_listener()
        server = await hostway.serve(listener)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(b"from inside")
        writer.write_eof()
        got = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.close()
        machine.close()
        return got

    assert asyncio.run(test()) == b"FROM INSIDE"


def test_loopback_is_never_the_machines_address() -> None:
    found = hostway.machine_address()
    assert not found or not socket.inet_aton(found).startswith(b"\x7f")
