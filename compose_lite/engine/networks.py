"""Networks of the engine: their documents, addresses, namespaces, names and published ports of containers.

Decisions are pure (network/addresses.py, `endpoint_order`, `dns_names`); kernel work runs in the one thread that changes
namespaces. A bridge exists from the first container on its network until the network, or the idle engine, goes.
It must never block the event loop, and never lose a namespace that a running container or a sharer of it still needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from compose_lite.disk import Folders
from compose_lite.engine.filters import matches_labels
from compose_lite.errors import EngineError, NetworkError
from compose_lite.ids import new_id, short
from compose_lite.linux.netlink import Route
from compose_lite.network import addresses as pools
from compose_lite.network import attach, firewall
from compose_lite.network.dns_server import Names, NameServer, View, host_resolv_conf
from compose_lite.network.publish import Binding, Published, Publisher, machine_has_ipv6, parse_bindings
from compose_lite.units import rfc3339

Document = dict[str, Any]
T = TypeVar("T")
BRIDGE_PREFIX, TABLE_PREFIX = "cl-", "compose-lite-"
PREDEFINED = ("bridge", "host", "none")


class NetworkContainer(Protocol):
    """What the networks need to know of a container; `endpoints` is kept by the container's record."""

    id: str
    name: str
    config: Document
    host_config: Document
    networking_config: Document
    endpoints: MutableMapping[str, Document]

    @property
    def running(self) -> bool: ...


class NetworkStore(Protocol):
    """Where network documents stay."""

    def networks(self) -> list[Document]: ...
    def put_network(self, id: str, name: str, document: Document) -> None: ...
    def delete_network(self, id: str) -> None: ...


class SpawningRuntime(Protocol):
    async def spawn(self, module: str, fds: Sequence[int], args: Sequence[str] = ()) -> int: ...


@dataclass(slots=True)
class _Seat:
    """A container's namespace with everything that is live in it."""

    sandbox: attach.Sandbox
    view: View
    holders: set[str] = field(default_factory=set)  # containers that run in it
    published: list[Published] = field(default_factory=list)
    connected: dict[str, tuple[str, ...]] = field(default_factory=dict)  # network id -> addresses with a name


class Networks:
    """See the module's text. `containers`: all container records of the engine by id."""

    def __init__(
        self,
        store: NetworkStore,
        folders: Folders,
        runtime: SpawningRuntime,
        emit: Callable[[str, str, Document], None],
        containers: Mapping[str, NetworkContainer],
        *,
        hosts_changed: Callable[[NetworkContainer], None] = lambda container: None,
        bridges: int | None = None,
    ) -> None:
        self._store, self._emit, self._containers, self._hosts_changed = store, emit, containers, hosts_changed
        self._by_id: dict[str, Document] = {}
        self._names: dict[str, Names] = {}
        self._seats: dict[str, _Seat] = {}
        self._bridges: dict[str, int] = {}  # network id -> interface index
        self._making: dict[str, asyncio.Lock] = {}
        self._spare: list[attach.Sandbox] = []
        self._server = NameServer()
        self._thread = attach.NamespaceThread(bridges)
        self._ipv6 = machine_has_ipv6()
        self._background: set[asyncio.Task[None]] = set()

        async def spawn(listener: socket.socket) -> None:
            await runtime.spawn("compose_lite.network.forward", [listener.fileno()])

        self.publisher = Publisher(folders.run / "forward.sock", spawn)

    async def start(self) -> None:
        """Loads what is stored; makes the predefined networks where they are missing."""
        for document in self._store.networks():
            self._by_id[document["Id"]] = document
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            if not any(d["Name"] == name for d in self._by_id.values()):
                self._keep(_document(name, driver, {}))

    async def stop(self, *, remove_bridges: bool) -> None:
        """The engine ends; with remove_bridges (nothing runs) nothing of ours stays on the machine."""
        self.publisher.close()
        for spare in self._spare:
            spare.close()
        self._spare.clear()
        if remove_bridges:
            for network in list(self._bridges):
                await self._remove_bridge(network)
        self._thread.executor.shutdown(wait=False)

    async def remove_leftovers(self, running: Iterable[str]) -> None:
        """After a crash: bridges, rules and forwarded ports that no running container needs. running: container ids."""
        needed = {e["NetworkID"] for c in running for e in self._containers[c].endpoints.values()} if self._containers else set()
        keep = {_bridge_name(self._by_id[n]) for n in needed if n in self._by_id}

        def sweep() -> None:
            with Route() as route:
                links = route.links()
            for name in links:
                if name.startswith(BRIDGE_PREFIX) and name not in keep:
                    attach.delete_link(name)
            for table in firewall.leftovers(TABLE_PREFIX):
                if BRIDGE_PREFIX + table.removeprefix(TABLE_PREFIX) not in keep:
                    firewall.remove(table)

        await self._in_thread(sweep)
        alive = set(running)
        await self.publisher.close_ids([i for i in await self.publisher.known() if i.split("/")[0] not in alive])

    # --- documents: /networks

    def find(self, name: str) -> Document:
        """By id, name or unambiguous id prefix. 404 in Docker's words."""
        if name in self._by_id:
            return self._by_id[name]
        for document in self._by_id.values():
            if document["Name"] == name:
                return document
        hits = [d for i, d in self._by_id.items() if name and i.startswith(name)]
        if len(hits) == 1:
            return hits[0]
        raise EngineError(f"network {name} not found", http_status=404, code="network-unknown")

    def list(self, filters: Mapping[str, Sequence[str]] | None = None) -> list[Document]:
        return [self.inspect(i) | {"Containers": {}} for i in self._by_id if self._matches(self._by_id[i], filters or {})]

    def inspect(self, name: str) -> Document:
        document = self.find(name)
        inside = {}
        for container in self._users(document["Id"]):
            endpoint = next(e for e in container.endpoints.values() if e["NetworkID"] == document["Id"])
            if container.running:
                inside[container.id] = {
                    "Name": container.name,
                    "EndpointID": endpoint["EndpointID"],
                    "MacAddress": endpoint["MacAddress"],
                    "IPv4Address": _cidr(endpoint["IPAddress"], endpoint["IPPrefixLen"]),
                    "IPv6Address": _cidr(endpoint["GlobalIPv6Address"], endpoint["GlobalIPv6PrefixLen"]),
                }
        return {**document, "Containers": inside}

    async def create(self, body: Mapping[str, Any]) -> Document:
        """POST /networks/create: {"Id", "Warning"}. 409 for a used name."""
        name, driver = body.get("Name") or "", body.get("Driver") or "bridge"
        if not name:
            raise EngineError("network name must not be empty", http_status=400, code="network-name")
        if any(d["Name"] == name for d in self._by_id.values()):
            raise EngineError(f"network with name {name} already exists", http_status=409, code="network-exists")
        if driver not in ("bridge",):
            if driver in ("host", "null", "none"):
                raise EngineError(f'only one instance of "{driver}" network is allowed', http_status=403, code="network-driver")
            raise EngineError(
                f"could not find plugin {driver} in v1 plugin registry: plugin not found",
                http_status=404,
                code="network-driver",
                remedy="compose-lite has the drivers bridge, host and none; leave `driver` out.",
            )
        document = _document(name, driver, body)
        try:
            document["IPAM"]["Config"] = self._choose_subnets(document, body)
        except NetworkError as error:
            raise EngineError(error.says, http_status=400, code=error.code, remedy=error.remedy) from error
        self._keep(document)
        self._emit("network", "create", {"ID": document["Id"], "Attributes": {"name": name, "type": driver}})
        return {"Id": document["Id"], "Warning": ""}

    async def remove(self, name: str) -> None:
        document = self.find(name)
        if document["Name"] in PREDEFINED:
            raise EngineError(
                f"{document['Name']} is a pre-defined network and cannot be removed", http_status=403, code="network-predefined"
            )
        active = [c for c in self._users(document["Id"]) if c.running]
        if active:
            who = ", ".join(f'name:"{c.name}" id:"{short(c.id)}"' for c in active)
            says = f"error while removing network: network {document['Name']} id {document['Id']} has active endpoints ({who})"
            raise EngineError(says, http_status=403, code="network-in-use", remedy="Stop or disconnect these containers first.")
        del self._by_id[document["Id"]]
        self._store.delete_network(document["Id"])
        self._names.pop(document["Id"], None)
        await self._remove_bridge(document["Id"], document)
        self._emit("network", "destroy", {"ID": document["Id"], "Attributes": {"name": document["Name"], "type": document["Driver"]}})

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> Document:
        doomed = [
            d for d in self._by_id.values() if d["Name"] not in PREDEFINED and not self._users(d["Id"]) and self._matches(d, filters or {})
        ]
        for document in doomed:
            await self.remove(document["Id"])
        return {"NetworksDeleted": [d["Name"] for d in doomed]}

    async def connect_container(self, name: str, container: NetworkContainer, settings: Document | None = None) -> None:
        """POST /networks/{id}/connect, on a running or a stopped container."""
        document = self.find(name)
        if any(e["NetworkID"] == document["Id"] for e in container.endpoints.values()):
            says = f"endpoint with name {container.name} already exists in network {document['Name']}"
            raise EngineError(says, http_status=403, code="endpoint-exists")
        container.networking_config.setdefault("EndpointsConfig", {})[document["Name"]] = settings or {}
        container.endpoints[document["Name"]] = _endpoint(document, settings or {}, container)
        seat = self._seats.get(container.id)
        if container.running and seat:
            try:
                self._address(container, document)
                await self._join(container, seat, document)
            except BaseException:
                container.endpoints.pop(document["Name"], None)
                raise
            self._hosts_changed(container)
        self._emit("network", "connect", self._link_event(document, container))

    async def disconnect_container(self, name: str, container: NetworkContainer, *, force: bool = False) -> None:
        document = self.find(name)
        endpoint = container.endpoints.get(document["Name"])
        if endpoint is None:
            says = f"container {container.id} is not connected to network {document['Name']}"
            raise EngineError(says, http_status=403, code="endpoint-unknown")
        seat = self._seats.get(container.id)
        if seat:
            await self._part(seat, document["Id"])
            inside = endpoint.get("x-interface", "")
            outside = seat.sandbox.links.pop(inside, None)
            if outside:
                await self._in_thread(lambda: attach.delete_link(outside))
        container.endpoints.pop(document["Name"], None)
        (container.networking_config.get("EndpointsConfig") or {}).pop(document["Name"], None)
        self._hosts_changed(container)
        self._emit("network", "disconnect", self._link_event(document, container))

    # --- a container's life

    def declare(self, container: NetworkContainer) -> None:
        """At create: the endpoints it will have, without addresses yet. 404 for an unknown network."""
        for document, settings in self._wanted(container):
            container.endpoints[document["Name"]] = _endpoint(document, settings, container)

    async def sandbox(self, container: NetworkContainer) -> attach.Sandbox | None:
        """Before the runtime creates it: its namespace (an own, kept or shared one; None: the host's), its addresses chosen."""
        mode = _mode(container)
        if mode == "host":
            return None
        if mode.startswith("container:"):
            owner = self._owner(mode)
            seat = self._seats.get(owner.id)
            if seat is None:
                raise EngineError(
                    f"cannot join network of a non running container: {owner.id}", http_status=409, code="network-owner-stopped"
                )
            seat.holders.add(container.id)
            return seat.sandbox
        seat = self._seats.get(container.id)
        if seat is None:
            resolver = any(self._has_names(d) for d, _ in self._wanted(container))
            sandbox = await self._in_thread(lambda: attach.create_sandbox(resolver=resolver))
            seat = self._seats[container.id] = _Seat(sandbox, self._view(container))
        seat.holders.add(container.id)
        try:
            for document, settings in self._wanted(container):
                if document["Id"] not in seat.connected:
                    container.endpoints[document["Name"]] = _endpoint(
                        document, settings, container, container.endpoints.get(document["Name"])
                    )
                    self._address(container, document)
        except BaseException:
            await self.disconnect(container, keep_sandbox=False)
            raise
        return seat.sandbox

    async def connect(self, container: NetworkContainer) -> None:
        """Between create and start: interfaces, routes, names, published ports. Raises EngineError in Docker's words."""
        mode = _mode(container)
        seat = self._seats.get(container.id)
        if seat is None or mode.startswith("container:"):
            return
        for document, _ in self._wanted(container):
            if document["Driver"] == "bridge":
                if document["Id"] not in seat.connected:
                    await self._join(container, seat, document, routes=False)
                else:
                    self._name(container, seat, document)
        await self._set_routes(container, seat)
        if seat.sandbox.udp and seat.sandbox.tcp:
            self._server.serve(seat.sandbox.udp, seat.sandbox.tcp, seat.view)
        await self._publish(container, seat)

    async def disconnect(self, container: NetworkContainer, *, keep_sandbox: bool) -> None:
        """It has ended, or never started. keep_sandbox: it will be back at once (restart)."""
        owner = self._owner_or_self(container)
        seat = self._seats.get(owner.id)
        if seat is None:
            return
        seat.holders.discard(container.id)
        if owner is container:
            for network in list(seat.connected):
                self._unname(seat, network)
            published, seat.published = seat.published, []
            await self.publisher.withdraw(published)
        if seat.holders or keep_sandbox:
            return  # a sharer still runs in it, or its owner comes back
        del self._seats[owner.id]
        if seat.sandbox.udp and seat.sandbox.tcp:
            self._server.leave(seat.sandbox.udp, seat.sandbox.tcp)
        seat.sandbox.close()  # its veths go with the namespace's last user
        for endpoint in owner.endpoints.values():
            _clear(endpoint)

    async def adopt(self, container: NetworkContainer, pid: int, keep_fds: Sequence[int] = ()) -> None:
        """A container that runs on from an earlier engine: its namespace again, its names, its ports."""
        mode = _mode(container)
        if mode == "host":
            return
        owner = self._owner_or_self(container)
        seat = self._seats.get(owner.id)
        if seat is None:
            netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            seat = self._seats[owner.id] = _Seat(attach.Sandbox(netns), self._view(owner))
        seat.holders.add(container.id)
        if owner is not container:
            return
        if any(self._has_names(d) for d, _ in self._wanted(container)):
            if len(keep_fds) == 2:
                seat.sandbox.udp, seat.sandbox.tcp = (socket.socket(fileno=fd) for fd in keep_fds)
            elif seat.sandbox.udp is None:
                seat.sandbox.udp, seat.sandbox.tcp = await self._in_thread(lambda: attach.reopen_resolver(seat.sandbox.netns))
            assert seat.sandbox.udp and seat.sandbox.tcp
            self._server.serve(seat.sandbox.udp, seat.sandbox.tcp, seat.view)
        for document, _ in self._wanted(container):
            if document["Driver"] == "bridge":
                await self._bridge(document)
                self._name(container, seat, document)
        known = [i for i in await self.publisher.known() if i.startswith(container.id + "/")]
        seat.published = [_published(i) for i in known]
        if not known:
            await self._publish(container, seat)

    def hosts(self, container: NetworkContainer) -> str:
        """/etc/hosts; the owner's own for a container in a shared namespace."""
        owner = self._owner_or_self(container)
        if _mode(owner) == "host":
            with contextlib.suppress(OSError), open("/etc/hosts") as file:
                text = file.read()
                return text + "".join(f"{a}\t{n}\n" for n, a in self._extra_hosts(container))
        lines = [
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::\tip6-localnet",
            "ff00::\tip6-mcastprefix",
            "ff02::1\tip6-allnodes",
            "ff02::2\tip6-allrouters",
        ]
        lines += [f"{address}\t{name}" for name, address in self._extra_hosts(owner)]
        host, domain = owner.config.get("Hostname") or short(owner.id), owner.config.get("Domainname") or ""
        names = f"{host}.{domain} {host}" if domain else host
        for name in endpoint_order(owner):
            endpoint = owner.endpoints[name]
            lines += [f"{endpoint[k]}\t{names}" for k in ("IPAddress", "GlobalIPv6Address") if endpoint.get(k)]
        return "\n".join(lines) + "\n"

    def resolv_conf(self, container: NetworkContainer) -> str:
        owner = self._owner_or_self(container)
        host_config, outer = owner.host_config, host_resolv_conf()
        servers = tuple(host_config.get("Dns") or ()) or outer.servers
        search = tuple(host_config.get("DnsSearch") or ()) or outer.search
        options = tuple(host_config.get("DnsOptions") or ()) or outer.options
        lines = ["# Generated by compose-lite."]
        if any(self._has_names(d) for d, _ in self._wanted(owner)):
            if not any(o.startswith("ndots:") for o in options):
                options = (*options, "ndots:0")
            lines.append("nameserver 127.0.0.11")
            note = [f"# ExtServers: [{' '.join(servers)}]"]
        else:
            usable = servers if _mode(owner) == "host" else [s for s in servers if not _is_loopback(s)] or ["8.8.8.8", "8.8.4.4"]
            lines += [f"nameserver {s}" for s in usable]
            note = []
        if search and search != (".",):
            lines.append("search " + " ".join(search))
        if options:
            lines.append("options " + " ".join(options))
        return "\n".join([*lines, "", *note, ""]) if note else "\n".join(lines) + "\n"

    def settings(self, container: NetworkContainer) -> Document:
        """NetworkSettings of the container's inspect document."""
        seat = self._seats.get(container.id)
        shared = _mode(container).startswith("container:")
        ports: dict[str, list[Document] | None] = {}
        if container.running and not shared:
            ports = dict.fromkeys(container.config.get("ExposedPorts") or {})
            for port in seat.published if seat else ():
                entry = {"HostIp": port.address, "HostPort": str(port.host_port)}
                ports[port.binding.key] = [*(ports.get(port.binding.key) or []), entry]
        networks = {} if shared else {n: {k: v for k, v in e.items() if not k.startswith("x-")} for n, e in container.endpoints.items()}
        default = networks.get("bridge", {})
        plain = {
            "Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "IPAddress": "",
            "IPPrefixLen": 0,
            "IPv6Gateway": "",
            "MacAddress": "",
        }
        return {
            "Bridge": "",
            "SandboxID": container.id if seat else "",
            "SandboxKey": "",
            "Ports": ports,
            "HairpinMode": False,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": None,
            "SecondaryIPv6Addresses": None,
            "EndpointID": default.get("EndpointID", ""),
            **{k: default.get(k, v) for k, v in plain.items()},
            "Networks": networks,
        }

    def wishes(self, container: NetworkContainer) -> list[Binding]:
        """The ports it wants published."""
        if _mode(container) in ("host", "none") or _mode(container).startswith("container:"):
            return []
        return parse_bindings(self._port_bindings(container), ipv6=self._ipv6)

    async def reserve(self, owner: str, bindings: Mapping[str, Any]) -> None:
        """Binds ports for an owner before anything starts. 409 in plain words when one is taken."""
        try:
            await self.publisher.reserve(owner, parse_bindings(bindings, ipv6=self._ipv6))
        except NetworkError as error:
            raise EngineError(error.says, http_status=409, code=error.code, remedy=error.remedy) from error

    # --- inside

    def _keep(self, document: Document) -> None:
        self._by_id[document["Id"]] = document
        self._store.put_network(document["Id"], document["Name"], document)

    def _users(self, network: str) -> list[NetworkContainer]:
        return [c for c in self._containers.values() if any(e["NetworkID"] == network for e in c.endpoints.values())]

    def _has_names(self, document: Document) -> bool:
        return document["Driver"] == "bridge" and document["Name"] != "bridge"

    def _wanted(self, container: NetworkContainer) -> list[tuple[Document, Document]]:
        """(network, endpoint settings), the one of NetworkMode first, then by name."""
        mode = _mode(container)
        if mode.startswith("container:"):
            return []
        settings = dict(container.networking_config.get("EndpointsConfig") or {})
        wanted = [(self.find(mode), settings.pop(mode, None) or {})]
        chosen = {wanted[0][0]["Id"]}
        for name in sorted(settings):
            document = self.find(name)
            if document["Id"] in chosen:
                wanted = [(d, settings[name] or s) if d["Id"] == document["Id"] else (d, s) for d, s in wanted]
            elif mode not in ("host", "none"):
                chosen.add(document["Id"])
                wanted.append((document, settings[name] or {}))
        return wanted

    def _owner(self, mode: str) -> NetworkContainer:
        wanted = mode.removeprefix("container:")
        for container in self._containers.values():
            if wanted in (container.id, container.name) or (len(wanted) >= 4 and container.id.startswith(wanted)):
                return container if not _mode(container).startswith("container:") else self._owner(_mode(container))
        raise EngineError(f"No such container: {wanted}", http_status=404, code="container-unknown")

    def _owner_or_self(self, container: NetworkContainer) -> NetworkContainer:
        mode = _mode(container)
        if mode.startswith("container:"):
            with contextlib.suppress(EngineError):
                return self._owner(mode)
        return container

    def _view(self, container: NetworkContainer) -> View:
        servers = tuple(container.host_config.get("Dns") or ()) or host_resolv_conf().servers
        wanted = self._wanted(container)
        links = {}
        for _, settings in wanted:
            for link in settings.get("Links") or ():
                target, _, alias = link.partition(":")
                links[(alias or target).lower()] = target.lower()
        internal = all(d["Internal"] for d, _ in wanted)
        return View(links=links, servers=servers, internal=internal)

    def _extra_hosts(self, container: NetworkContainer) -> Iterable[tuple[str, str]]:
        for entry in container.host_config.get("ExtraHosts") or ():
            name, _, address = entry.partition(":") if "=" not in entry.split(":")[0] else entry.partition("=")
            address = address.removeprefix("[").removesuffix("]")
            yield name, self._host_gateway() if address == "host-gateway" else address

    def _host_gateway(self) -> str:
        """The default bridge's gateway, where the machine itself answers."""
        document = self.find("bridge")
        self._ensure_subnet(document)
        return str(document["IPAM"]["Config"][0]["Gateway"])

    def _port_bindings(self, container: NetworkContainer) -> dict[str, Any]:
        bindings = dict(container.host_config.get("PortBindings") or {})
        if container.host_config.get("PublishAllPorts"):
            for key in container.config.get("ExposedPorts") or {}:
                bindings.setdefault(key, [{}])
        return bindings

    def _taken_subnets(self) -> list[pools.Network]:
        found = [pools.parse_subnet(c["Subnet"]) for d in self._by_id.values() for c in d["IPAM"]["Config"] or ()]
        with contextlib.suppress(OSError), Route() as route:
            found += [pools.parse_subnet(f"{address}/{prefix}") for _, address, prefix in route.routes()]
        return found

    def _choose_subnets(self, document: Document, body: Mapping[str, Any]) -> list[Document]:
        taken = self._taken_subnets()
        own = [pools.parse_subnet(c["Subnet"]) for d in self._by_id.values() for c in d["IPAM"]["Config"] or ()]
        configs: list[Document] = []
        for wanted in (body.get("IPAM") or {}).get("Config") or ():
            if not wanted.get("Subnet"):
                continue
            subnet = pools.parse_subnet(wanted["Subnet"])
            if any(subnet.version == n.version and subnet.overlaps(n) for n in own):  # type: ignore[arg-type]
                raise NetworkError("subnet-overlap", f"invalid pool request: Pool overlaps with other one on this address space ({subnet})")
            config = {k: v for k, v in wanted.items() if v}
            config.setdefault("Gateway", str(pools.gateway_of(subnet)))
            if pools.parse_address(config["Gateway"].split("/")[0]) not in subnet:
                raise NetworkError("bad-gateway", f"invalid network config: gateway {config['Gateway']} is not in subnet {subnet}")
            configs.append(config)
        if document["EnableIPv4"] and not any(":" not in c["Subnet"] for c in configs):
            subnet = pools.choose_subnet(taken)
            configs.insert(0, {"Subnet": str(subnet), "Gateway": str(pools.gateway_of(subnet))})
        if document["EnableIPv6"] and not any(":" in c["Subnet"] for c in configs):
            subnet6 = pools.choose_ipv6_subnet(document["Id"], taken)
            configs.append({"Subnet": str(subnet6), "Gateway": str(pools.gateway_of(subnet6))})
        return configs

    def _ensure_subnet(self, document: Document) -> None:
        """The default bridge gets its subnet when it is first needed."""
        if document["Driver"] == "bridge" and not document["IPAM"]["Config"]:
            try:
                document["IPAM"]["Config"] = self._choose_subnets(document, {})
            except NetworkError as error:
                raise EngineError(error.says, code=error.code, remedy=error.remedy) from error
            self._keep(document)

    def _address(self, container: NetworkContainer, document: Document) -> None:
        """Chooses and notes the container's addresses on a network."""
        if document["Driver"] != "bridge":
            return
        self._ensure_subnet(document)
        endpoint = container.endpoints[document["Name"]]
        taken: set[pools.Address] = set()
        for other in self._users(document["Id"]):
            for entry in other.endpoints.values():
                if entry["NetworkID"] == document["Id"] and other.id != container.id:
                    fixed = entry.get("IPAMConfig") or {}
                    texts = (entry["IPAddress"], entry["GlobalIPv6Address"], fixed.get("IPv4Address"), fixed.get("IPv6Address"))
                    taken.update(pools.parse_address(t) for t in texts if t)
        configs = document["IPAM"]["Config"] or []
        for config in configs:
            taken.update(
                pools.parse_address(a.split("/")[0]) for a in [config["Gateway"], *(config.get("AuxiliaryAddresses") or {}).values()]
            )
        wanted = endpoint.get("IPAMConfig") or {}
        subnets = [pools.parse_subnet(c["Subnet"]) for c in configs]
        try:
            for version, key, prefix_key, gateway_key, wish in (
                (4, "IPAddress", "IPPrefixLen", "Gateway", wanted.get("IPv4Address")),
                (6, "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway", wanted.get("IPv6Address")),
            ):
                mine = [(s, c) for s, c in zip(subnets, configs, strict=True) if s.version == version]
                if wish:
                    address = pools.check_address(wish, [s for s, _ in mine], taken)
                    subnet, config = next((s, c) for s, c in mine if address in s)
                elif mine:
                    subnet, config = mine[0]
                    address = pools.choose_address(subnet, taken, pools.parse_subnet(config["IPRange"]) if config.get("IPRange") else None)
                else:
                    continue
                gateway = "" if document["Internal"] else config["Gateway"].split("/")[0]
                endpoint.update({key: str(address), prefix_key: subnet.prefixlen, gateway_key: gateway})
        except NetworkError as error:
            raise EngineError(error.says, http_status=400 if wanted else 500, code=error.code, remedy=error.remedy) from error

    async def _bridge(self, document: Document) -> int:
        """The network's bridge, made once, with its rules."""
        lock = self._making.setdefault(document["Id"], asyncio.Lock())
        async with lock:
            if document["Id"] not in self._bridges:
                name, options = _bridge_name(document), document["Options"] or {}
                gateways = tuple(
                    f"{c['Gateway'].split('/')[0]}/{pools.parse_subnet(c['Subnet']).prefixlen}" for c in document["IPAM"]["Config"]
                )
                subnets = tuple(
                    (str(s.network_address), s.prefixlen) for s in (pools.parse_subnet(c["Subnet"]) for c in document["IPAM"]["Config"])
                )
                rules = firewall.Rules(
                    TABLE_PREFIX + short(document["Id"]),
                    name,
                    subnets,
                    document["Internal"],
                    options.get("com.docker.network.bridge.enable_ip_masquerade", "true") != "false",
                )

                def make() -> int:
                    index = attach.create_bridge(name, gateways, _mtu(document))
                    with contextlib.suppress(OSError):
                        firewall.enable_forwarding()
                    with contextlib.suppress(OSError):  # no nf_tables: containers reach each other, but not the outside
                        firewall.install(rules)
                    return index

                try:
                    self._bridges[document["Id"]] = await self._in_thread(make)
                except OSError as error:
                    raise EngineError(f"failed to create bridge {name}: {error.strerror}", code="network-bridge") from error
            return self._bridges[document["Id"]]

    async def _remove_bridge(self, network: str, document: Document | None = None) -> None:
        document = document or self._by_id[network]
        if self._bridges.pop(network, None) is None:
            return
        name, table, group = _bridge_name(document), TABLE_PREFIX + short(network), _group(network)

        def unmake() -> None:
            firewall.remove(table)
            with contextlib.suppress(OSError), Route() as route:
                route.delete_group(group)
            attach.delete_link(name)

        await self._in_thread(unmake)

    async def _join(self, container: NetworkContainer, seat: _Seat, document: Document, *, routes: bool = True) -> None:
        """The interface, addresses and names of one network."""
        if document["Driver"] != "bridge":
            return
        index = await self._bridge(document)
        endpoint = container.endpoints[document["Name"]]
        taken = set(seat.sandbox.links)
        wanted = (endpoint.get("DriverOpts") or {}).get("com.docker.network.endpoint.ifname")
        interface = wanted or next(f"eth{n}" for n in range(64) if f"eth{n}" not in taken)
        cidrs = tuple(
            _cidr(endpoint[a], endpoint[p])
            for a, p in (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen"))
            if endpoint[a]
        )
        wish = attach.Endpoint(index, _group(document["Id"]), interface, endpoint["MacAddress"], cidrs, _mtu(document))
        try:
            await self._in_thread(lambda: attach.connect(seat.sandbox, wish))
        except OSError as error:
            raise EngineError(f"failed to set up container networking: {error}", code="network-attach") from error
        endpoint["x-interface"] = interface
        self._name(container, seat, document)
        if routes:
            await self._set_routes(container, seat)

    async def _set_routes(self, container: NetworkContainer, seat: _Seat) -> None:
        """One default route a family: the highest GwPriority, then the first name."""
        for key in ("Gateway", "IPv6Gateway"):
            ways = [(-(e.get("GwPriority") or 0), n) for n, e in container.endpoints.items() if e.get(key) and e.get("x-interface")]
            if ways:
                endpoint = container.endpoints[min(ways)[1]]
                interface, gateway = endpoint["x-interface"], endpoint[key]
                await self._in_thread(lambda i=interface, g=gateway: attach.set_default_routes(seat.sandbox, i, (g,)))  # type: ignore[misc]

    def _name(self, container: NetworkContainer, seat: _Seat, document: Document) -> None:
        """From now on the network's names know it."""
        endpoint = container.endpoints[document["Name"]]
        names = self._names.setdefault(document["Id"], Names(document["Name"]))
        found = tuple(a for a in (endpoint["IPAddress"], endpoint["GlobalIPv6Address"]) if a)
        seat.connected[document["Id"]] = found
        if self._has_names(document):
            names.add(endpoint["DNSNames"] or (), found, container.name)
            if names not in seat.view.networks:
                seat.view.networks.append(names)
        seat.view.internal = all(self._by_id[n]["Internal"] for n in seat.connected if n in self._by_id)

    def _unname(self, seat: _Seat, network: str) -> None:
        if network in self._names:
            self._names[network].remove(seat.connected.get(network, ()))

    async def _part(self, seat: _Seat, network: str) -> None:
        self._unname(seat, network)
        seat.connected.pop(network, None)
        names = self._names.get(network)
        if names in seat.view.networks:
            seat.view.networks.remove(names)  # type: ignore[arg-type]

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

    async def _in_thread(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread.executor, act)

    def _matches(self, document: Document, filters: Mapping[str, Sequence[str]]) -> bool:
        builtin = document["Name"] in PREDEFINED
        tests: dict[str, Callable[[str], bool]] = {
            "name": lambda v: v in document["Name"],
            "id": lambda v: document["Id"].startswith(v),
            "driver": lambda v: document["Driver"] == v,
            "scope": lambda v: document["Scope"] == v,
            "type": lambda v: builtin == (v == "builtin"),
            "dangling": lambda v: (not builtin and not self._users(document["Id"])) == (v.lower() in ("true", "1")),
        }
        for key, values in filters.items():
            if key in ("label", "label!"):
                if matches_labels(document["Labels"] or {}, values) != (key == "label"):
                    return False
            elif key == "until":
                continue
            elif key not in tests:
                raise EngineError(f"invalid filter '{key}'", http_status=400, code="bad-filter")
            elif not any(tests[key](v) for v in values):
                return False
        return True

    def _link_event(self, document: Document, container: NetworkContainer) -> Document:
        return {"ID": document["Id"], "Attributes": {"container": container.id, "name": document["Name"], "type": document["Driver"]}}


def endpoint_order(container: NetworkContainer) -> list[str]:
    """Names of its networks: the one with the default route first (GwPriority, then name)."""
    return sorted(
        container.endpoints, key=lambda n: (-(container.endpoints[n].get("GwPriority") or 0), not container.endpoints[n].get("Gateway"), n)
    )


def dns_names(container: NetworkContainer, settings: Mapping[str, Any]) -> list[str]:
    """The names a container has on a network: its name, aliases, short id, host name."""
    names = [container.name, *(settings.get("Aliases") or ()), short(container.id), container.config.get("Hostname") or ""]
    return list(dict.fromkeys(n for n in names if n))


def _mode(container: NetworkContainer) -> str:
    mode = container.host_config.get("NetworkMode") or "bridge"
    return "bridge" if mode == "default" else mode


def _document(name: str, driver: str, body: Mapping[str, Any]) -> Document:
    ipam = body.get("IPAM") or {}
    return {
        "Name": name,
        "Id": new_id(),
        "Created": rfc3339(time.time_ns()),
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": body.get("EnableIPv4") is not False,
        "EnableIPv6": bool(body.get("EnableIPv6")),
        "IPAM": {"Driver": ipam.get("Driver") or "default", "Options": ipam.get("Options"), "Config": []},
        "Internal": bool(body.get("Internal")),
        "Attachable": bool(body.get("Attachable")),
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": body.get("Options") or {},
        "Labels": body.get("Labels") or {},
    }


def _endpoint(
    document: Document, settings: Mapping[str, Any], container: NetworkContainer, old: Mapping[str, Any] | None = None
) -> Document:
    """An endpoint's document without addresses."""
    mac = settings.get("MacAddress") or container.config.get("MacAddress") or ""
    if not mac and document["Driver"] == "bridge":
        raw = bytearray(secrets.token_bytes(6))
        raw[0] = raw[0] & 0xFE | 0x02
        mac = raw.hex(":")
    own_names = document["Driver"] == "bridge" and document["Name"] != "bridge"
    return {
        "IPAMConfig": settings.get("IPAMConfig"),
        "Links": settings.get("Links"),
        "Aliases": settings.get("Aliases"),
        "MacAddress": mac,
        "DriverOpts": settings.get("DriverOpts"),
        "GwPriority": settings.get("GwPriority") or 0,
        "NetworkID": document["Id"],
        "EndpointID": (old or {}).get("EndpointID") or new_id(),
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": dns_names(container, settings) if own_names else None,
    }


def _clear(endpoint: Document) -> None:
    endpoint.update(Gateway="", IPAddress="", IPPrefixLen=0, IPv6Gateway="", GlobalIPv6Address="", GlobalIPv6PrefixLen=0)
    endpoint.pop("x-interface", None)


def _published(ident: str) -> Published:
    """The inverse of the id that Publisher gives a port: container/80/tcp/address/port."""
    _, port, protocol, address, host_port = ident.split("/")
    return Published(Binding(int(port), protocol, (address,), int(host_port), int(host_port)), address, int(host_port), ident)


def _bridge_name(document: Document) -> str:
    return str((document["Options"] or {}).get("com.docker.network.bridge.name") or BRIDGE_PREFIX + short(document["Id"]))


def _group(network: str) -> int:
    """The link group of a network's veths: never 0, the group of everybody else's links."""
    return int(network[:7], 16) | 1 << 28


def _mtu(document: Document) -> int:
    return int((document["Options"] or {}).get("com.docker.network.driver.mtu") or 1500)


def _cidr(address: str, prefix: int) -> str:
    return f"{address}/{prefix}" if address else ""


def _is_loopback(server: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(server).is_loopback
    return False
