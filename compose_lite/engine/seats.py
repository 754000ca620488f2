"""A container's seat: its network namespace with everything that is live in it - interfaces, names, published ports.

It must never lose a namespace that a running container, or a sharer of it, still needs: a seat stays as long as somebody
holds it, and through its owner's restart.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from compose_lite.engine import addressing, endpoints, links
from compose_lite.engine.bridges import link_group, mtu
from compose_lite.engine.endpoints import NetworkContainer, cidr, endpoint_order, has_names, is_link_local, mode_of, new_endpoint, shares
from compose_lite.engine.networks import Networks
from compose_lite.engine.ociconfig import is_remapped
from compose_lite.errors import EngineError, NetworkError
from compose_lite.network import attach
from compose_lite.network.dns_server import NameServer, View, host_resolv_conf
from compose_lite.network.publish import Binding, Published, Publisher, machine_has_ipv6, parse_bindings
from compose_lite.subordinate import Remapping

Document = dict[str, Any]


class SpawningRuntime(Protocol):
    async def spawn(self, module: str, fds: Sequence[int], args: Sequence[str] = ()) -> int: ...

    async def nest(self, uids: Sequence[Document], gids: Sequence[Document], users: int | None = None) -> int: ...


@dataclass(slots=True)
class _Seat:
    sandbox: attach.Sandbox
    view: View
    holders: set[str] = field(default_factory=set)  # containers that run in it
    published: list[Published] = field(default_factory=list)
    connected: dict[str, tuple[str, ...]] = field(default_factory=dict)  # network id -> addresses with a name


class Seats:
    """containers: all container records by id. hosts_changed: told when a running container's /etc/hosts is out of date."""

    def __init__(
        self,
        networks: Networks,
        containers: Mapping[str, NetworkContainer],
        runtime: SpawningRuntime,
        control: Path,
        *,
        hosts_changed: Callable[[NetworkContainer], None] = lambda container: None,
        remap: Remapping | None = None,
    ) -> None:
        self._networks, self._bridges, self._containers, self._hosts_changed = networks, networks.bridges, containers, hosts_changed
        self._seats: dict[str, _Seat] = {}
        self._told: dict[str, list[str]] = {}  # container id -> networks that it is told to be connected to
        self._server = NameServer()
        self._ipv6 = machine_has_ipv6()
        self._runtime, self._remap = runtime, remap

        async def spawn(listener: socket.socket) -> None:
            await runtime.spawn("compose_lite.network.forward", [listener.fileno()])

        self.publisher = Publisher(control, spawn)

    async def remove_leftovers(self, running: Collection[str]) -> None:
        """After a crash: bridges, rules and forwarded ports that no running container needs. running: container ids."""
        await self._bridges.sweep(self._networks.unneeded(running))
        alive = set(running)
        await self.publisher.close_ids([i for i in await self.publisher.known() if i.split("/")[0] not in alive])

    # --- a container's life

    def declare(self, container: NetworkContainer) -> None:
        """At create: the endpoints it will have, without addresses yet. 404: an unknown network; 400: an address that cannot be had."""
        for network, settings in self._networks.wanted(container):
            _check_wish(network, settings, f"invalid config for network {network['Name']}: ")
            container.endpoints[network["Name"]] = new_endpoint(network, settings, container)

    async def sandbox(self, container: NetworkContainer) -> attach.Sandbox | None:
        """Before the runtime creates it: its namespace (an own, kept or shared one; None: the host's), its addresses chosen."""
        mode = mode_of(container)
        if mode == "host":
            return None
        if shares(container):
            owner = self._owner(mode)
            if mode_of(owner) == "host" and owner.running:
                return None
            seat = self._seats.get(owner.id)
            if seat is None or not seat.holders:
                says = f"cannot join network of a non running container: {owner.id}"
                raise EngineError(says, http_status=409, code="network-owner-stopped")
            seat.holders.add(container.id)
            return seat.sandbox
        wanted = self._networks.wanted(container)
        seat = await self._seat(container)
        seat.holders.add(container.id)
        if container.id not in self._containers:
            self._networks.guests[container.id] = container  # its addresses are taken
        try:
            for network, settings in wanted:
                if network["Id"] not in seat.connected:
                    await self._networks.stand(network)
                    old = container.endpoints.get(network["Name"])
                    container.endpoints[network["Name"]] = new_endpoint(network, settings, container, old)
                    self._networks.give_addresses(container, network)
        except BaseException:
            await self.disconnect(container, keep_sandbox=False)
            raise
        return seat.sandbox

    async def prepare(self, container: NetworkContainer) -> attach.Sandbox | None:
        """Its namespace alone, before it is to start; `disconnect` takes it back."""
        return None if mode_of(container) == "host" else (await self._seat(container)).sandbox

    async def _seat(self, container: NetworkContainer) -> _Seat:
        seat = self._seats.get(container.id)
        if seat is None:
            resolver = any(has_names(network) for network, _ in self._networks.wanted(container))
            nest = await self._nest(container)
            try:
                sandbox = await self._bridges.in_thread(lambda: attach.create_sandbox(resolver=resolver, made=nest))
            finally:
                if nest is not None:
                    os.close(nest)
            seat = self._seats[container.id] = _Seat(sandbox, self._view(container))
        return seat

    async def _nest(self, container: NetworkContainer) -> int | None:
        """For containers with mapped ids: a network namespace of their own user namespace, or of that of whose processes or memory
        they share."""
        if self._remap is None or not is_remapped(container.host_config):
            return None
        shared = [str(container.host_config.get(key) or "") for key in ("PidMode", "IpcMode")]
        others = [self._find(mode.removeprefix("container:")) for mode in shared if mode.startswith("container:")]
        uids, gids = self._remap.mappings()
        if not others:
            return await self._runtime.nest(uids, gids)
        if not is_remapped(others[0].host_config):
            says = "cannot share namespaces with a container in the host's user namespace when user namespaces are enabled"
            raise EngineError(says, http_status=400)
        with contextlib.suppress(FileNotFoundError):
            users = os.open(f"/proc/{others[0].pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return await self._runtime.nest(uids, gids, users)
            finally:
                os.close(users)
        raise EngineError(f"cannot join a non running container: {others[0].id}", http_status=409)

    async def connect(self, container: NetworkContainer) -> None:
        """Between create and start: interfaces, routes, names, published ports. Raises EngineError in Docker's words."""
        if shares(container):
            return
        seat = self._seats.get(container.id)
        for network, _ in self._networks.wanted(container):
            if seat is not None and network["Driver"] == "bridge":
                if network["Id"] not in seat.connected:
                    await self._plug(container, seat, network)
                self._name(container, seat, network)
            told = self._told.setdefault(container.id, [])
            if network["Id"] not in told:
                told.append(network["Id"])
                self._networks.tell("connect", network, container=container.id)
        if seat is None:
            return
        await self._set_routes(container, seat)
        if seat.sandbox.udp and seat.sandbox.tcp:
            self._server.serve(seat.sandbox.udp, seat.sandbox.tcp, seat.view)
        await self._publish(container, seat)

    async def disconnect(self, container: NetworkContainer, *, keep_sandbox: bool) -> None:
        """It has ended, or never started. keep_sandbox: it will be back at once (restart)."""
        self._networks.guests.pop(container.id, None)
        for id in self._told.pop(container.id, ()):
            with contextlib.suppress(EngineError):
                self._networks.tell("disconnect", self._networks.find(id), container=container.id)
        owner = self._owner_or_self(container)
        seat = self._seats.get(owner.id)
        if seat is None:
            return
        seat.holders.discard(container.id)
        if owner is container:
            for id, addresses in seat.connected.items():
                self._bridges.forget_names(id, addresses)
            published, seat.published = seat.published, []
            await self.publisher.withdraw(published)
        if seat.holders or keep_sandbox:
            return  # a sharer still runs in it, or its owner comes back
        if self._seats.pop(owner.id, None) is not seat:
            return  # another one's end took it away while its ports were being withdrawn
        if seat.sandbox.udp and seat.sandbox.tcp:
            self._server.leave(seat.sandbox.udp, seat.sandbox.tcp)
        seat.sandbox.close()  # its veths go with the namespace's last user
        for endpoint in owner.endpoints.values():
            endpoints.clear_addresses(endpoint)

    async def adopt(self, container: NetworkContainer, pid: int, keep_fds: Sequence[int] = ()) -> None:
        """A container that runs on from an earlier engine: its namespace again, its names, its ports."""
        if not shares(container):
            self._told[container.id] = [network["Id"] for network, _ in self._networks.wanted(container)]
        owner = self._owner_or_self(container)
        if mode_of(owner) == "host":
            return
        seat = self._seats.get(owner.id)
        if seat is None:
            netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            seat = self._seats[owner.id] = _Seat(attach.Sandbox(netns), self._view(owner))
        seat.holders.add(container.id)
        if owner is not container:
            return
        wanted = self._networks.wanted(container)
        if any(has_names(network) for network, _ in wanted):
            sandbox = seat.sandbox
            if len(keep_fds) == 2:
                sandbox.udp, sandbox.tcp = (socket.socket(fileno=fd) for fd in keep_fds)
            elif sandbox.udp is None:
                sandbox.udp, sandbox.tcp = await self._bridges.in_thread(lambda: attach.reopen_resolver(sandbox.netns))
            assert sandbox.udp and sandbox.tcp
            self._server.serve(sandbox.udp, sandbox.tcp, seat.view)
        for network, _ in wanted:
            if network["Driver"] == "bridge":
                await self._bridges.bridge(network)
                self._name(container, seat, network)
        known = [i for i in await self.publisher.known() if i.startswith(container.id + "/")]
        seat.published = [_published(i) for i in known]
        if not known:
            await self._publish(container, seat)

    # --- Docker's calls on networks and containers together

    async def join_network(self, name: str, container: NetworkContainer, settings: Document | None = None) -> None:
        """POST /networks/{id}/connect, on a running or a stopped container."""
        network = self._networks.find(name)
        if any(e["NetworkID"] == network["Id"] for e in container.endpoints.values()):
            says = f"endpoint with name {container.name} already exists in network {network['Name']}"
            raise EngineError(says, http_status=403, code="endpoint-exists")
        _check_wish(network, settings or {})
        container.networking_config.setdefault("EndpointsConfig", {})[network["Name"]] = settings or {}
        container.endpoints[network["Name"]] = new_endpoint(network, settings or {}, container)
        seat = self._seats.get(container.id)
        if container.running and seat:
            try:
                await self._networks.stand(network)
                self._networks.give_addresses(container, network)
                if network["Driver"] == "bridge":
                    await self._plug(container, seat, network)
                    self._name(container, seat, network)
                    await self._set_routes(container, seat)
            except BaseException:
                container.endpoints.pop(network["Name"], None)
                container.networking_config["EndpointsConfig"].pop(network["Name"], None)
                raise
            self._hosts_changed(container)
            self._told.setdefault(container.id, []).append(network["Id"])
            self._networks.tell("connect", network, container=container.id)

    async def leave_network(self, name: str, container: NetworkContainer) -> None:
        """POST /networks/{id}/disconnect."""
        network = self._networks.find(name)
        endpoint = container.endpoints.get(network["Name"])
        if endpoint is None:
            says = f"container {container.id} is not connected to network {network['Name']}"
            raise EngineError(says, http_status=403, code="endpoint-unknown")
        seat = self._seats.get(container.id)
        if seat and seat.holders:
            names = self._bridges.names(network)
            names.remove(seat.connected.pop(network["Id"], ()))
            if names in seat.view.networks:
                seat.view.networks.remove(names)
            interface = endpoint.get("x-interface")
            if interface:
                await self._bridges.in_thread(lambda: attach.disconnect(seat.sandbox, interface))
        container.endpoints.pop(network["Name"], None)
        (container.networking_config.get("EndpointsConfig") or {}).pop(network["Name"], None)
        self._hosts_changed(container)
        if network["Id"] in (told := self._told.get(container.id, [])):
            told.remove(network["Id"])
            self._networks.tell("disconnect", network, container=container.id)

    # --- what is told of it

    def hosts(self, container: NetworkContainer) -> str:
        """/etc/hosts; the owner's own for a container in a shared namespace."""
        owner = self._owner_or_self(container)
        wishes = owner.host_config.get("ExtraHosts") or ()
        gateway = self._networks.host_gateway(owner) if any("host-gateway" in w for w in wishes) else ""
        if mode_of(owner) == "host":
            with contextlib.suppress(OSError):
                text = Path("/etc/hosts").read_text()
                return text + "".join(f"{address}\t{name}\n" for name, address in endpoints.extra_hosts(container, gateway))
        return endpoints.hosts_text(owner, [*endpoints.extra_hosts(owner, gateway), *links.hosts(owner, self._find)])

    def resolv_conf(self, container: NetworkContainer) -> str:
        owner = self._owner_or_self(container)
        named = any(has_names(network) for network, _ in self._networks.wanted(owner))
        return endpoints.resolv_conf_text(owner, host_resolv_conf(), named=named)

    def settings(self, container: NetworkContainer) -> Document:
        """NetworkSettings of the container's inspect document."""
        seat = self._seats.get(container.id)
        return endpoints.network_settings(container, seat.published if seat else (), live=seat is not None and bool(seat.holders))

    def wishes(self, container: NetworkContainer) -> list[Binding]:
        """The ports it wants published."""
        return parse_bindings(endpoints.port_bindings(container), ipv6=self._ipv6)

    async def reserve(self, owner: str, bindings: Mapping[str, Any]) -> None:
        """Binds ports for an owner before anything starts. 409 in plain words when one is taken."""
        try:
            await self.publisher.reserve(owner, parse_bindings(bindings, ipv6=self._ipv6))
        except NetworkError as error:
            raise EngineError(error.says, http_status=409, code=error.code, remedy=error.remedy) from error

    # --- inside

    def _owner(self, mode: str) -> NetworkContainer:
        found = self._find(mode.removeprefix("container:"))
        return self._owner(mode_of(found)) if shares(found) else found

    def _find(self, wanted: str) -> NetworkContainer:
        for container in self._containers.values():
            if wanted in (container.id, container.name) or (len(wanted) >= 4 and container.id.startswith(wanted)):
                return container
        raise EngineError(f"No such container: {wanted}", http_status=404, code="container-unknown")

    def _owner_or_self(self, container: NetworkContainer) -> NetworkContainer:
        if shares(container):
            with contextlib.suppress(EngineError):
                return self._owner(mode_of(container))
        return container

    def _view(self, container: NetworkContainer) -> View:
        wanted = self._networks.wanted(container)
        servers = tuple(container.host_config.get("Dns") or ()) or host_resolv_conf().servers
        aliases = endpoints.links_of(settings for _, settings in wanted)
        return View(links=aliases, servers=servers, internal=all(network["Internal"] for network, _ in wanted))

    async def _plug(self, container: NetworkContainer, seat: _Seat, network: Document) -> None:
        """The interface and addresses of one bridge network."""
        endpoint = container.endpoints[network["Name"]]
        wanted = (endpoint.get("DriverOpts") or {}).get("com.docker.network.endpoint.ifname")
        taken = {e.get("x-interface") for e in container.endpoints.values()}
        prefix = (network.get("Options") or {}).get("com.docker.network.container_iface_prefix") or "eth"
        interface = wanted or next(f"{prefix}{n}" for n in range(64) if f"{prefix}{n}" not in taken)
        pairs = (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen"))
        cidrs = tuple(cidr(endpoint[address], endpoint[prefix]) for address, prefix in pairs if endpoint[address])
        for address in (endpoint["IPAMConfig"] or {}).get("LinkLocalIPs") or ():
            if not is_link_local(address):
                raise EngineError(f"failed to set up container networking: invalid link local IP address: {address}", http_status=400)
            cidrs += (cidr(address, 64 if ":" in address else 16),)

        async def plug() -> None:
            index = await self._bridges.bridge(network)
            wish = attach.Endpoint(index, link_group(network), interface, endpoint["MacAddress"], cidrs, mtu(network))
            await self._bridges.in_thread(lambda: attach.connect(seat.sandbox, wish))

        try:
            try:
                await plug()
            except OSError:
                if not await self._bridges.vanished(network):
                    raise
                await plug()  # somebody deleted the bridge: it is made again
        except OSError as error:
            raise EngineError(f"failed to set up container networking: {error}", code="network-attach") from error
        endpoint["x-interface"] = interface

    async def _set_routes(self, container: NetworkContainer, seat: _Seat) -> None:
        """One default route a family: the highest GwPriority, then the first name."""
        for key in ("Gateway", "IPv6Gateway"):
            ways = [(-(e.get("GwPriority") or 0), n) for n, e in container.endpoints.items() if e.get(key) and e.get("x-interface")]
            if ways:
                endpoint = container.endpoints[min(ways)[1]]
                interface, gateway = endpoint["x-interface"], endpoint[key]
                try:
                    await self._bridges.in_thread(lambda i=interface, g=gateway: attach.set_default_routes(seat.sandbox, i, (g,)))  # type: ignore[misc]
                except OSError as error:
                    raise EngineError(f"failed to set up container networking: {error}", code="network-attach") from error

    def _name(self, container: NetworkContainer, seat: _Seat, network: Document) -> None:
        """From now on the network's names know it."""
        endpoint = container.endpoints[network["Name"]]
        names = self._bridges.names(network)
        found = tuple(a for a in (endpoint["IPAddress"], endpoint["GlobalIPv6Address"]) if a)
        seat.connected[network["Id"]] = found
        if has_names(network):
            names.add(endpoint["DNSNames"] or (), found, container.name)
            if names not in seat.view.networks:
                seat.view.networks.append(names)
        seat.view.internal = self._networks.internal_only(list(seat.connected))

    async def _publish(self, container: NetworkContainer, seat: _Seat) -> None:
        try:
            wishes = self.wishes(container)
            if not wishes:
                return
            ways = [e for n in endpoint_order(container) for e in [container.endpoints[n]] if e.get("Gateway") and e.get("IPAddress")]
            if ways:  # no port of a container that is on internal networks alone is published, as with Docker
                seat.published = await self.publisher.publish(container.id, wishes, ways[0]["IPAddress"])
        except NetworkError as error:
            endpoint = next(iter(container.endpoints.values()), {}).get("EndpointID", "")
            where = f"on endpoint {container.name} ({endpoint})"
            says = f"failed to set up container networking: driver failed programming external connectivity {where}: {error.says}"
            raise EngineError(says, code=error.code, remedy=error.remedy) from error


def _published(ident: str) -> Published:
    """The inverse of the id that Publisher gives a port: container/80/tcp/address/port."""
    _, port, protocol, address, host_port = ident.split("/")
    return Published(Binding(int(port), protocol, (address,), int(host_port), int(host_port)), address, int(host_port), ident)


def _check_wish(network: Document, settings: Mapping[str, Any], head: str = "") -> None:
    try:
        addressing.check_wish(network, settings)
    except NetworkError as error:
        raise EngineError(head + error.says, http_status=400, code=error.code, remedy=error.remedy) from error
