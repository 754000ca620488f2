"""Published ports: Docker's PortBindings to bound sockets, handed to the forwarder.

`parse_bindings` decides on values. `Publisher` binds: all of a container's ports, or none. A project's ports can be
reserved before anything of it starts, so a clash is one early error; a reserved socket is used when its container starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose_lite.errors import NetworkError

log = logging.getLogger("compose_lite.network")
FORWARDER = "compose_lite.network.forward"
RESERVED_FOR = 300.0  # seconds; an `up` that dies gives its ports back
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Binding:
    """One wish: container port to host ports `first`..`last` (0: any free one) of the host addresses."""

    port: int
    protocol: str
    addresses: tuple[str, ...]
    first: int = 0
    last: int = 0

    @property
    def key(self) -> str:
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Published:
    """One open port: what inspect shows, and its name at the forwarder."""

    binding: Binding
    address: str
    host_port: int
    id: str


def parse_bindings(port_bindings: Mapping[str, Sequence[Mapping[str, str]] | None], *, ipv6: bool) -> list[Binding]:
    """HostConfig.PortBindings as wishes. Raises NetworkError for what cannot be a port."""
    wishes = []
    for key, hosts in port_bindings.items():
        number, _, protocol = key.partition("/")
        protocol = protocol or "tcp"
        if protocol not in ("tcp", "udp"):
            raise NetworkError(
                "port-protocol", f"cannot publish {key}: only tcp and udp ports can be published", remedy="Leave the port unpublished."
            )
        for host in hosts or [{}]:
            address = host.get("HostIp") or ""
            addresses = (address,) if address else ("0.0.0.0", "::") if ipv6 else ("0.0.0.0",)
            try:
                first, _, last = str(host.get("HostPort") or "0").partition("-")
                wishes.append(Binding(int(number), protocol, addresses, int(first), int(last or first)))
            except ValueError:
                raise NetworkError("bad-port", f"invalid port specification: {host.get('HostPort')!r} for {key}") from None
    return wishes


def bind_port(protocol: str, address: str, port: int) -> socket.socket:
    """A bound (TCP: listening) socket; OSError when taken or not allowed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    bound = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(4096)
    except BaseException:
        bound.close()
        raise
    return bound


def machine_has_ipv6() -> bool:
    with contextlib.suppress(OSError):
        return bool(Path("/proc/net/if_inet6").read_text().strip())
    return False


@dataclass(slots=True)
class _Reserved:
    owner: str
    sockets: list[socket.socket]
    until: float


class Publisher:
    """Ports of all containers. spawn: starts the forwarder with the listening control socket it is given."""

    def __init__(self, control: Path, spawn: Callable[[socket.socket], Awaitable[object]]) -> None:
        self._control, self._spawn = control, spawn
        self._reserved: dict[tuple[str, tuple[str, ...], int], _Reserved] = {}
        self._open: dict[str, tuple[str, int]] = {}  # what the forwarder serves: id → where it leads
        self._forwarder: socket.socket | None = None
        self._watching: socket.socket | None = None  # a second connection, whose end tells that the forwarder was killed
        self._reviving: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def reserve(self, owner: str, wishes: Sequence[Binding]) -> None:
        """Binds the wished ports for the owner, or raises NetworkError for the first that is taken, reserving none."""
        self._expire()
        made = []
        try:
            for wish in wishes:
                key = (wish.protocol, wish.addresses, wish.first)
                if wish.first == 0 or wish.first != wish.last or (key in self._reserved and self._reserved[key].owner == owner):
                    continue
                sockets = await self._bind_all(wish, wish.first)
                self._reserved[key] = _Reserved(owner, sockets, time.monotonic() + RESERVED_FOR)
                made.append(key)
        except BaseException:
            for key in made:
                self._give_back(key)
            raise

    def release(self, owner: str) -> None:
        """Gives back what the owner reserved and did not use."""
        for key in [k for k, r in self._reserved.items() if r.owner == owner]:
            self._give_back(key)

    async def publish(self, name: str, wishes: Sequence[Binding], target: str) -> list[Published]:
        """Opens all ports towards the container's address, or none. name: prefix of their ids at the forwarder."""
        opened: list[Published] = []
        try:
            for wish in wishes:
                sockets = await self._sockets(wish)
                try:
                    for address, bound in zip(wish.addresses, sockets, strict=False):
                        host_port = bound.getsockname()[1]
                        ident = f"{name}/{wish.key}/{address}/{host_port}"
                        message = {"op": "open", "id": ident, "protocol": wish.protocol, "target": [target, wish.port]}
                        await self._ask(message, bound)
                        self._open[ident] = (target, wish.port)
                        opened.append(Published(wish, address, host_port, ident))
                finally:
                    for bound in sockets:
                        bound.close()
        except BaseException:
            await self.withdraw(opened)
            raise
        return opened

    async def withdraw(self, ports: Sequence[Published]) -> None:
        await self.close_ids([port.id for port in ports])

    async def known(self) -> list[str]:
        """Ids of the ports that a forwarder of an earlier engine still serves."""
        if not await self._connected(start=False):
            return []
        found = await self._ask({"op": "list"})
        self._open |= {ident: (address, port) for ident, (address, port) in found.get("targets", {}).items()}
        return list(found["ids"])

    async def close_ids(self, ids: Sequence[str]) -> None:
        for ident in ids:
            self._open.pop(ident, None)
            with contextlib.suppress(OSError, NetworkError):
                await self._ask({"op": "close", "id": ident})

    async def _sockets(self, wish: Binding) -> list[socket.socket]:
        reserved = self._reserved.pop((wish.protocol, wish.addresses, wish.first), None)
        if reserved:
            return reserved.sockets
        if wish.first == 0:
            return await self._bind_any(wish)
        for port in range(wish.first, wish.last + 1):
            try:
                return await self._bind_all(wish, port)
            except NetworkError:
                if port == wish.last:
                    raise
        raise NetworkError("bad-port", f"empty port range for {wish.key}")

    async def _bind_any(self, wish: Binding) -> list[socket.socket]:
        """The kernel's choice for the first address, which must be free on the others too."""
        for _ in range(50):
            first = await self._bind_one(wish, wish.addresses[0], 0)
            try:
                return [first, *[await self._bind_one(wish, a, first.getsockname()[1]) for a in wish.addresses[1:]]]
            except NetworkError:
                first.close()
        raise NetworkError("no-free-port", f"no free host port for {wish.key}")

    async def _bind_all(self, wish: Binding, port: int) -> list[socket.socket]:
        bound: list[socket.socket] = []
        try:
            for address in wish.addresses:
                bound.append(await self._bind_one(wish, address, port))
        except BaseException:
            for one in bound:
                one.close()
            raise
        return bound

    async def _bind_one(self, wish: Binding, address: str, port: int) -> socket.socket:
        try:
            return bind_port(wish.protocol, address, port)
        except OSError as error:
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            if error.errno == errno.EADDRINUSE:
                raise NetworkError(
                    "port-in-use",
                    f"Bind for {where} failed: port is already allocated (host port {port}/{wish.protocol}: address already in use)",
                    remedy=f"Stop what listens there (`ss -ltnp 'sport = :{port}'`), or publish another host port.",
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM):
                raise NetworkError(
                    "port-not-allowed",
                    f"Bind for {where} failed: {os.strerror(error.errno)}",
                    remedy="Ports below net.ipv4.ip_unprivileged_port_start (1024) need root; publish a higher one.",
                ) from error
            raise NetworkError("port-bind", f"Bind for {where} failed: {os.strerror(error.errno or 0)}") from error

    def _expire(self) -> None:
        now = time.monotonic()
        for key in [k for k, r in self._reserved.items() if r.until < now]:
            self._give_back(key)

    def _give_back(self, key: tuple[str, tuple[str, ...], int]) -> None:
        for bound in self._reserved.pop(key).sockets:
            bound.close()

    # the forwarder

    async def _connected(self, *, start: bool) -> bool:
        """Asks and watches are two connections; a forwarder that was killed takes one in while its listener is being closed."""
        for _ in range(_ATTEMPTS):
            if self._forwarder is None:
                self._forwarder = await self._connect()
            if self._forwarder is None and start:
                await self._start()
                self._forwarder = await self._connect()
                if self._forwarder:
                    await self._reopen()
            if self._forwarder and await self._watch():
                return True
            self._leave()
            if not start:
                return False
        return False

    async def _connect(self) -> socket.socket | None:
        attempt = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(attempt, str(self._control))
        except OSError as error:
            attempt.close()
            if error.errno == errno.ECONNREFUSED:  # a killed one's
                self._control.unlink(missing_ok=True)
            return None
        return attempt

    async def _watch(self) -> bool:
        if self._watching is None:
            self._watching = await self._connect()
            if self._watching and self._forwarder:
                asyncio.get_running_loop().add_reader(self._watching.fileno(), self._lost, self._forwarder)
        return self._watching is not None

    def _leave(self) -> None:
        self._unwatch()
        if self._forwarder:
            self._forwarder.close()
            self._forwarder = None

    def _lost(self, forwarder: socket.socket) -> None:
        self._unwatch()
        self._reviving = asyncio.get_running_loop().create_task(self._revive(forwarder))

    def _unwatch(self) -> None:
        if self._watching:
            asyncio.get_running_loop().remove_reader(self._watching.fileno())
            self._watching.close()
            self._watching = None

    async def _revive(self, forwarder: socket.socket) -> None:
        """Another one with the ports of the killed one."""
        async with self._turn:
            if self._forwarder is forwarder:
                forwarder.close()
                self._forwarder = None
            if self._open:
                with contextlib.suppress(OSError, NetworkError):
                    await self._connected(start=True)

    async def _reopen(self) -> None:
        """To a new forwarder: what the last one served."""
        for ident, (target, number) in list(self._open.items()):
            protocol, address, port = ident.split("/")[-3:]
            try:
                with bind_port(protocol, address, int(port)) as bound:
                    await self._say({"op": "open", "id": ident, "protocol": protocol, "target": [target, number]}, bound)
            except OSError as error:
                log.warning("port %s of a killed forwarder cannot be opened again: %s", ident, error)

    async def _say(self, message: Mapping[str, Any], fd: socket.socket | None) -> dict[str, Any]:
        assert self._forwarder
        socket.send_fds(self._forwarder, [json.dumps(message).encode()], [fd.fileno()] if fd else [])
        reply = await asyncio.get_running_loop().sock_recv(self._forwarder, 1 << 20)
        if not reply:
            raise ConnectionResetError(errno.ECONNRESET, "the port forwarder has ended")
        answer: dict[str, Any] = json.loads(reply)
        return answer

    async def _start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._control.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as listener:
            listener.bind(str(self._control))
            self._control.chmod(0o600)
            listener.listen(4)
            await self._spawn(listener)

    async def _ask(self, message: Mapping[str, Any], fd: socket.socket | None = None) -> dict[str, Any]:
        async with self._turn:
            for attempt in range(2):
                if not await self._connected(start=True):
                    raise NetworkError("forwarder", "the port forwarder cannot be started")
                try:
                    answer = await self._say(message, fd)
                except OSError:
                    self._leave()
                    if attempt:
                        raise
                    continue
                except BaseException:  # its answer is still to come, and would be taken for the next one's
                    self._leave()
                    raise
                if not answer["ok"]:
                    raise NetworkError("forwarder", f"the port forwarder refuses: {answer['error']}")
                return answer
        raise NetworkError("forwarder", "the port forwarder does not answer")

    def close(self) -> None:
        """Leaves the forwarder and its ports alone."""
        for key in list(self._reserved):
            self._give_back(key)
        self._leave()
        if self._reviving:
            self._reviving.cancel()
