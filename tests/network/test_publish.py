"""Ports: what bindings mean, and bytes through a real forwarder in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from compose_lite.errors import NetworkError
from compose_lite.network.publish import Binding, Publisher, parse_bindings


def test_bindings() -> None:
    found = parse_bindings({"80/tcp": [{"HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "9000-9010"}], "53/udp": None}, ipv6=False)
    assert found == [
        Binding(80, "tcp", ("0.0.0.0",), 8080, 8080),
        Binding(80, "tcp", ("127.0.0.1",), 9000, 9010),
        Binding(53, "udp", ("0.0.0.0",), 0, 0),
    ]
    assert parse_bindings({"80": [{}]}, ipv6=True)[0].addresses == ("0.0.0.0", "::")


@pytest.mark.parametrize(("bindings", "code"), [({"80/sctp": [{}]}, "port-protocol"), ({"80/tcp": [{"HostPort": "x"}]}, "bad-port")])
def test_bindings_that_cannot_be(bindings: dict[str, list[dict[str, str]]], code: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_bindings(bindings, ipv6=False)
    assert caught.value.code == code


@contextlib.asynccontextmanager
async def publisher(
    folder: Path, started: list[subprocess.Popen[bytes]] | None = None, kind: type[Publisher] = Publisher
) -> AsyncIterator[Publisher]:
    """A publisher whose forwarder is a plain process; it ends with its last port and engine."""
    started = [] if started is None else started

    async def spawn(listener: socket.socket) -> None:
        code = f"from compose_lite.network import forward; forward.main([{listener.fileno()}], [])"
        started.append(subprocess.Popen([sys.executable, "-c", code], pass_fds=[listener.fileno()]))

    made = kind(folder / "forward.sock", spawn)
    try:
        yield made
        await made.close_ids(await made.known())
    finally:
        made.close()
        for process in started:
            assert process.wait(timeout=10) in (0, -9)


@pytest.fixture
def echo() -> Iterator[int]:
    """A TCP server on loopback that answers in capitals until the client ends its half."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        while data := client.recv(1 << 16):
                            client.sendall(data.upper())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_bytes_go_both_ways_and_half_closes_pass(tmp_path: Path, echo: int) -> None:
    async def scenario() -> None:
        async with publisher(tmp_path) as ports:
            (opened,) = await ports.publish("c1", [Binding(echo, "tcp", ("127.0.0.1",))], "127.0.0.1")
            assert opened.id == f"c1/{echo}/tcp/127.0.0.1/{opened.host_port}" and await ports.known() == [opened.id]
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.host_port)
            sent = b"hello" * 100_000
            writer.write(sent)
            writer.write_eof()
            async with asyncio.timeout(10):
                assert await reader.read(-1) == sent.upper()
            writer.close()
            await writer.wait_closed()
            await ports.withdraw([opened])
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", opened.host_port)

    asyncio.run(scenario())


def test_datagrams_come_back_to_who_sent_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
            target.bind(("127.0.0.1", 0))
            target.setblocking(False)
            async with publisher(tmp_path) as ports:
                (opened,) = await ports.publish("c1", [Binding(target.getsockname()[1], "udp", ("127.0.0.1",))], "127.0.0.1")
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.setblocking(False)
                    client.connect(("127.0.0.1", opened.host_port))
                    await loop.sock_sendall(client, b"ping")
                    async with asyncio.timeout(5):
                        data, sender = await loop.sock_recvfrom(target, 100)
                        await loop.sock_sendto(target, data + b" pong", sender)
                        assert await loop.sock_recv(client, 100) == b"ping pong"

    asyncio.run(scenario())


def test_a_killed_forwarder_is_replaced_at_once_with_its_ports(tmp_path: Path, echo: int) -> None:
    async def answered(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        writer.write_eof()
        try:
            return await reader.read(-1)
        finally:
            writer.close()
            await writer.wait_closed()

    async def scenario() -> None:
        started: list[subprocess.Popen[bytes]] = []
        async with publisher(tmp_path, started) as ports:
            opened = await ports.publish("c1", [Binding(echo, "tcp", ("127.0.0.1",))] * 2, "127.0.0.1")
            started[0].kill()
            for one in opened:  # nobody asks the publisher for anything
                async with asyncio.timeout(20):
                    while True:
                        with contextlib.suppress(OSError):
                            assert await answered(one.host_port) == b"HELLO"
                            break
                        await asyncio.sleep(0.01)
            assert len(started) == 2 and await ports.known() == sorted(one.id for one in opened)

    asyncio.run(scenario())


def test_a_forwarder_that_takes_one_more_connection_while_it_dies_is_replaced_too(tmp_path: Path, echo: int) -> None:
    """exit(2) closes connections before the listener, when their numbers are lower: who connects then is reset a moment later."""

    class Late(Publisher):
        dying: subprocess.Popen[bytes] | None = None

        async def _connect(self) -> socket.socket | None:
            made = await super()._connect()
            if self.dying and made:
                self.dying.kill()
                self.dying.wait()
                self.dying = None
            return made

    async def scenario() -> None:
        started: list[subprocess.Popen[bytes]] = []
        async with publisher(tmp_path, started, Late) as ports:
            (opened,) = await ports.publish("c1", [Binding(echo, "tcp", ("127.0.0.1",))], "127.0.0.1")
            assert isinstance(ports, Late) and ports._forwarder
            ports.dying = started[0]
            ports._lost(ports._forwarder)
            async with asyncio.timeout(20):
                while len(started) < 2 or await ports.known() != [opened.id]:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_call_that_is_broken_off_leaves_no_answer_to_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with publisher(tmp_path) as ports:
            (opened,) = await ports.publish("c1", [Binding(80, "tcp", ("127.0.0.1",))], "127.0.0.1")
            asking = asyncio.ensure_future(ports.known())
            await asyncio.sleep(0)  # asked, not answered
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            with pytest.raises(NetworkError, match="unknown op"):
                await ports._ask({"op": "nothing"})
            assert await ports.known() == [opened.id]

    asyncio.run(scenario())


def test_a_taken_port_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            async with publisher(tmp_path) as ports:
                wishes = [Binding(80, "tcp", ("127.0.0.1",)), Binding(81, "tcp", ("127.0.0.1",), taken, taken)]
                with pytest.raises(NetworkError, match="port is already allocated") as caught:
                    await ports.publish("c1", wishes, "127.0.0.1")
                assert caught.value.code == "port-in-use" and str(taken) in str(caught.value)
                assert await ports.known() == []

    asyncio.run(scenario())


def test_reserved_ports_are_held_used_and_given_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        wish = Binding(80, "tcp", ("127.0.0.1",), port, port)
        async with publisher(tmp_path) as ports:
            await ports.reserve("project", [wish])
            await ports.reserve("project", [wish])  # its own again
            with pytest.raises(NetworkError):
                await ports.reserve("other", [wish])
            (opened,) = await ports.publish("c1", [wish], "127.0.0.1")
            assert opened.host_port == port
            await ports.withdraw([opened])
            await ports.reserve("project", [wish])
            ports.release("project")
            await ports.reserve("other", [wish])

    asyncio.run(scenario())
