"""Attached clients and execs: no byte of output is lost at an end, whatever the client does at that moment."""

import asyncio
import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from compose_lite.api.detach import Watch
from compose_lite.api.http import STDOUT, frame
from compose_lite.engine.calls import streams
from compose_lite.engine.execs import Pipes
from compose_lite.engine.server import Duplex
from compose_lite.runtime import messages
from compose_lite.runtime.attachment import Attachment


class Client:
    """A hijacked connection: input that ends at once, output that is taken after `delay` seconds a piece."""

    def __init__(self, delay: float = 0) -> None:
        self.delay, self.got, self.head_read = delay, b"", asyncio.Event()
        self.head_read.set()

    async def taken(self) -> None:
        await self.head_read.wait()

    async def receive(self) -> bytes:
        return b""

    async def send(self, data: bytes, hurry: object = None) -> None:
        await asyncio.sleep(self.delay)
        self.got += data

    async def flush(self) -> None: ...


@pytest.mark.parametrize("ended", [False, True], ids=["ends-unread", "has-ended"])
def test_attached_output_of_a_container_that_ends_as_stdin_does(ended: bool) -> None:
    """The end of the client's input meets a monitor that is gone, or goes: its last output was lost."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    client: Any = Client(delay=0.05)

    class Ending(Attachment):
        async def close_stdin(self) -> None:
            if ended:
                theirs.close()
            await super().close_stdin()
            theirs.close()

    async def talk() -> None:
        theirs.send(messages.frame(messages.STDOUT, b"last words"))
        container: Any = SimpleNamespace(tty=False)
        wants = {"stdout": True, "stderr": True}
        await asyncio.wait_for(streams._join(container, client, Ending(ours), Watch(b""), True, wants, asyncio.Event()), 10)

    asyncio.run(talk())
    ours.close()
    assert client.got == frame(STDOUT, b"last words")


def test_the_rest_of_an_ended_container_is_kept_for_a_slow_client() -> None:
    """`run app | less`: while it runs it waits for its reader; its monitor does not, once it has ended."""
    ours, monitor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    monitor.setblocking(False)
    piece, count = bytes(30_000), 60

    async def tell() -> None:
        for _ in range(count):
            await asyncio.get_running_loop().sock_sendall(monitor, messages.frame(messages.STDOUT, piece))
        monitor.close()

    async def talk() -> None:
        near, far = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=near)
        container: Any = SimpleNamespace(tty=True)
        wants, ended = {"stdout": True, "stderr": True}, asyncio.Event()
        joined = asyncio.ensure_future(streams._join(container, Duplex(reader, writer), Attachment(ours), None, True, wants, ended))
        told = asyncio.ensure_future(tell())
        await asyncio.sleep(0.2)
        assert not told.done()
        ended.set()
        await asyncio.wait_for(told, 10)
        far.setblocking(False)
        got = 0
        while got < count * len(piece):
            got += len(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(far, 1 << 20), 10))
        await asyncio.wait_for(joined, 10)
        writer.close()
        far.close()

    asyncio.run(talk())
    ours.close()


def test_exec_output_for_a_slow_client() -> None:
    """What an exec wrote before its end comes, however long the client takes, and though a child of it holds the pipe open."""
    out, err = os.pipe(), os.pipe()
    pipes = Pipes()
    pipes.stdout, pipes.stderr = out[0], err[0]
    client: Any = Client(delay=0.4)

    async def talk() -> None:
        one: Any = SimpleNamespace(ended=asyncio.Event())
        running = asyncio.ensure_future(streams._run_exec(one, client, pipes, False, None))
        os.write(out[1], b"first")
        await asyncio.sleep(0.1)
        os.write(out[1], b"second")
        one.ended.set()
        assert await asyncio.wait_for(running, 10) is False

    asyncio.run(talk())
    pipes.close()
    os.close(out[1])
    os.close(err[1])
    assert client.got == frame(STDOUT, b"first") + frame(STDOUT, b"second")


def test_exec_output_waits_until_the_head_is_read() -> None:
    """A client that reads the head through a buffer of its own loses what has come with it (docker-py does)."""
    out, err = os.pipe(), os.pipe()
    pipes = Pipes()
    pipes.stdout, pipes.stderr = out[0], err[0]
    os.write(out[1], b"quick")
    os.close(out[1])
    os.close(err[1])
    client: Any = Client()
    client.head_read.clear()

    async def talk() -> None:
        one: Any = SimpleNamespace(ended=asyncio.Event())
        one.ended.set()
        running = asyncio.ensure_future(streams._run_exec(one, client, pipes, False, None))
        await asyncio.sleep(0.3)
        assert client.got == b""
        client.head_read.set()
        await asyncio.wait_for(running, 10)

    asyncio.run(talk())
    pipes.close()
    assert client.got == frame(STDOUT, b"quick")


def test_what_a_client_has_taken() -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        duplex = Duplex(reader, writer)
        await duplex.send(b"head")
        waiting = asyncio.ensure_future(duplex.taken())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert theirs.recv(100) == b"head"
        await asyncio.wait_for(waiting, 5)
        await duplex.send(b"more")
        await asyncio.wait_for(duplex.taken(), 5)  # who does not read is not waited for for ever
        writer.close()
        theirs.close()

    asyncio.run(talk())
