"""An ordinary user's containers and this machine: TCP to a bridge's gateway goes on to the machine, as `host-gateway` promises.

Bridges stand in a namespace of their own there, so nobody listens at a gateway. A rule (firewall.Rules.host_port) brings what is sent
to it to a listener in that namespace; here the machine's own address is dialled instead, never its loopback: what listens at 127.0.0.1
alone stays closed, as with Docker. TCP only; it works while the engine lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h
_CHUNK = 1 << 16
_SOMEWHERE = ("192.0.2.1", 9)  # TEST-NET-1: nothing is sent, the kernel only chooses our address for it


def open_listener() -> socket.socket:
    """In the namespace of the bridges, whichever port is free."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(("0.0.0.0", 0))
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve(listener: socket.socket) -> asyncio.Server:
    return await asyncio.start_server(_connected, sock=listener)


async def _connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    other: asyncio.StreamWriter | None = None
    try:
        address, port = machine_address(), wanted_port(writer.get_extra_info("socket"))
        if address and port:
            answers, other = await asyncio.open_connection(address, port)
            await asyncio.gather(_pump(reader, other), _pump(answers, writer))
    except OSError:
        pass  # nobody listens there: the connection ends
    finally:
        for end in (writer, other):
            if end is not None:
                end.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()


def wanted_port(sock: socket.socket) -> int:
    """Where it was sent before the rule changed that; 0 for a connection that was made to the listener itself."""
    try:
        port, _ = struct.unpack_from("!2xH4s", sock.getsockopt(socket.SOL_IP, _ORIGINAL_DST, 16))
    except OSError:
        return 0
    return 0 if port == sock.getsockname()[1] else int(port)


def machine_address() -> str:
    """The machine's address towards other machines; empty where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
        except OSError:
            return ""
        found = str(probe.getsockname()[0])
    return "" if found.startswith("127.") else found
