"""The resolver at 127.0.0.11: names of a container's networks, everything else forwarded to the outer servers.

`lookup` decides, on values; `NameServer` reads and writes the sockets of all sandboxes on the engine's event loop.
Only running containers have names. A name that exists but has no record of the asked kind: NOERROR, no answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compose_lite.network.dns_message import Code, Kind, Query, answer, parse_query, refusal, reverse_address

_FORWARD_TIMEOUT = 4.0


@dataclass(slots=True)
class Names:
    """Names of one network: lower-case name -> addresses, and address -> the name that PTR answers."""

    network: str
    addresses: dict[str, list[str]] = field(default_factory=dict)
    reverse: dict[str, str] = field(default_factory=dict)

    def add(self, names: Iterable[str], addresses: Sequence[str], canonical: str) -> None:
        for name in names:
            known = self.addresses.setdefault(name.lower(), [])
            known.extend(a for a in addresses if a not in known)
        for address in addresses:
            self.reverse[address] = f"{canonical}.{self.network}"

    def remove(self, addresses: Iterable[str]) -> None:
        gone = set(addresses)
        for name in list(self.addresses):
            kept = [a for a in self.addresses[name] if a not in gone]
            if kept:
                self.addresses[name] = kept
            else:
                del self.addresses[name]
        for address in gone:
            self.reverse.pop(address, None)


@dataclass(slots=True)
class View:
    """What one container sees: its networks' names, its own links and aliases (`links:`), the outer servers."""

    networks: list[Names] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)  # alias -> name
    servers: tuple[str, ...] = ()
    internal: bool = False  # no way out: nothing is forwarded


def lookup(view: View, query: Query) -> list[tuple[Kind, str]] | None:
    """The records for the query, an empty list if the name has none of that kind, None if the name is not ours."""
    if query.kind == Kind.PTR:
        address = reverse_address(query.name)
        for names in view.networks:
            if address in names.reverse:
                return [(Kind.PTR, names.reverse[address])]
        return None
    name = query.name.lower().rstrip(".")
    name = view.links.get(name, name)
    found: list[str] = []
    for names in view.networks:
        for candidate in (name, name.removesuffix("." + names.network.lower())):
            if candidate in names.addresses:
                found.extend(a for a in names.addresses[candidate] if a not in found)
                break
    if not found:
        return None
    wanted = {Kind.A: (Kind.A,), Kind.AAAA: (Kind.AAAA,), Kind.ANY: (Kind.A, Kind.AAAA)}.get(
        Kind(query.kind) if query.kind in set(Kind) else Kind.PTR, ()
    )
    return [(kind, a) for a in found for kind in [Kind.AAAA if ":" in a else Kind.A] if kind in wanted]


class NameServer:
    """Serves the sandboxes' sockets. Must never block the loop."""

    def __init__(self) -> None:
        self._views: dict[int, View] = {}  # UDP descriptor -> what its container sees
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, udp: socket.socket, tcp: socket.socket, view: View) -> None:
        loop = asyncio.get_running_loop()
        udp.setblocking(False)
        tcp.setblocking(False)
        self._views[udp.fileno()] = view
        loop.add_reader(udp.fileno(), self._read_udp, udp)
        loop.add_reader(tcp.fileno(), self._accept, tcp, udp.fileno())

    def leave(self, udp: socket.socket, tcp: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._views.pop(udp.fileno(), None)
        loop.remove_reader(udp.fileno())
        loop.remove_reader(tcp.fileno())

    def _read_udp(self, udp: socket.socket) -> None:
        for _ in range(64):
            try:
                message, client = udp.recvfrom(4096)
            except (BlockingIOError, ConnectionError, OSError):
                return
            view = self._views.get(udp.fileno())
            if view is None:
                return
            self._respond(view, message, 512, lambda reply, c=client: _send_udp(udp, reply, c))  # type: ignore[misc]

    def _respond(self, view: View, message: bytes, limit: int, send: Callable[[bytes], None]) -> None:
        query = parse_query(message)
        if query is None:
            self._forward(view, message, limit, send)
            return
        records = lookup(view, query)
        if records is None:
            self._forward(view, message, limit, send)
            return
        if len(records) > 1:  # take turns, as Docker does
            self._turn += 1
            records = records[self._turn % len(records) :] + records[: self._turn % len(records)]
        send(answer(message, query, records, limit=limit))

    def _forward(self, view: View, message: bytes, limit: int, send: Callable[[bytes], None]) -> None:
        if view.internal or not view.servers or len(message) < 12:
            # a single label can only be one of ours: say so at once; anything else may exist outside
            send(refusal(message, Code.NXDOMAIN if view.internal or _single_label(message) else Code.SERVFAIL))
            return
        task = asyncio.get_running_loop().create_task(_ask_outside(view.servers, message, limit > 512, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, tcp: socket.socket, key: int) -> None:
        with contextlib.suppress(OSError):
            connection, _ = tcp.accept()
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve_tcp(connection, key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve_tcp(self, connection: socket.socket, key: int) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while view := self._views.get(key):
                async with asyncio.timeout(30):
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                    message = await reader.readexactly(length)
                reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
                self._respond(view, message, 65535, lambda data, r=reply: r.done() or r.set_result(data))  # type: ignore[misc]
                data = await reply
                writer.write(struct.pack(">H", len(data)) + data)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _single_label(message: bytes) -> bool:
    query = parse_query(message)
    return query is not None and "." not in query.name.rstrip(".")


def _send_udp(udp: socket.socket, reply: bytes, client: tuple[Any, ...]) -> None:
    with contextlib.suppress(OSError):
        udp.sendto(reply, client)


async def _ask_outside(servers: Sequence[str], message: bytes, tcp: bool, send: Callable[[bytes], None]) -> None:
    for server in servers:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_FORWARD_TIMEOUT):
                send(await (_ask_tcp(server, message) if tcp else _ask_udp(server, message)))
                return
    send(refusal(message, Code.SERVFAIL))


async def _ask_udp(server: str, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as outer:
        outer.connect((server, 53))  # a connected socket takes replies of that server alone
        await loop.sock_sendall(outer, message)
        while True:
            reply = await loop.sock_recv(outer, 65535)
            if reply[:2] == message[:2]:
                return reply


async def _ask_tcp(server: str, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(struct.pack(">H", len(message)) + message)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """resolv.conf(5) of the machine: nameservers, search list, options."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1].split("%")[0])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options.extend(words[1:])
    return ResolvConf(tuple(servers), search, tuple(options))


def host_resolv_conf() -> ResolvConf:
    """The machine's resolv.conf; systemd-resolved's real servers where the file names only its stub."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        with contextlib.suppress(OSError):
            found = parse_resolv_conf(Path(path).read_text())
            if any(s != "127.0.0.53" for s in found.servers):
                return found
    with contextlib.suppress(OSError):
        return parse_resolv_conf(Path("/etc/resolv.conf").read_text())
    return ResolvConf()
