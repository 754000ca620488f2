"""The engine's networks: their documents, who uses them, and Docker's calls on them.

Decisions are pure (engine/addressing.py, engine/endpoints.py); what is live of a network is engine/bridges.py, what is
live of a container on it engine/seats.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from compose_lite.engine import addressing
from compose_lite.engine.bridges import Bridges, bridge_name
from compose_lite.engine.endpoints import NetworkContainer, cidr, endpoint_order, mode_of, shares
from compose_lite.engine.filters import matches_labels
from compose_lite.errors import EngineError, NetworkError
from compose_lite.ids import new_id, short
from compose_lite.linux.netlink import Route
from compose_lite.network import addresses as pools
from compose_lite.units import rfc3339

Document = dict[str, Any]
Emit = Callable[[str, str, Document], None]
_CHOICES, _PAUSE = 10, 0.05  # of a subnet, while others choose the same; seconds at most between two
PREDEFINED = ("bridge", "host", "none")


class NetworkStore(Protocol):
    """Where network documents stay."""

    def networks(self) -> list[Document]: ...
    def put_network(self, id: str, name: str, document: Document) -> None: ...
    def delete_network(self, id: str) -> None: ...


class Networks:
    """containers: all container records of the engine by id."""

    def __init__(self, store: NetworkStore, emit: Emit, containers: Mapping[str, NetworkContainer], bridges: Bridges) -> None:
        self._store, self._emit, self._containers = store, emit, containers
        self.bridges = bridges
        self._standing: dict[str, asyncio.Lock] = {}
        self.guests: dict[str, NetworkContainer] = {}  # builds' containers: on a network, but none of the engine's
        self._by_id: dict[str, Document] = {document["Id"]: document for document in store.networks()}
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            if not any(d["Name"] == name for d in self._by_id.values()):
                self._keep(new_network(name, driver, {}))

    async def stop(self, *, remove_bridges: bool) -> None:
        """The engine ends; with remove_bridges (nothing runs) nothing of ours stays on the machine."""
        if remove_bridges:
            for id in list(self.bridges.made):
                await self.bridges.remove(self._by_id[id])
        self.bridges.close()

    # --- Docker's calls

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

    def listing(self, filters: Mapping[str, Sequence[str]] | None = None) -> list[Document]:
        return [_public(d) | {"Containers": {}} for d in self._by_id.values() if self._matches(d, filters or {})]

    def inspect(self, name: str) -> Document:
        document = self.find(name)
        inside = {}
        for container in self.users(document):
            if container.running:
                endpoint = next(e for e in container.endpoints.values() if e["NetworkID"] == document["Id"])
                inside[container.id] = {
                    "Name": container.name,
                    "EndpointID": endpoint["EndpointID"],
                    "MacAddress": endpoint["MacAddress"],
                    "IPv4Address": cidr(endpoint["IPAddress"], endpoint["IPPrefixLen"]),
                    "IPv6Address": cidr(endpoint["GlobalIPv6Address"], endpoint["GlobalIPv6PrefixLen"]),
                }
        return _public(document) | {"Containers": inside}

    async def create(self, body: Mapping[str, Any]) -> Document:
        """POST /networks/create: {"Id", "Warning"}. 409 for a used name."""
        name, driver = body.get("Name") or "", body.get("Driver") or "bridge"
        if not name:
            raise EngineError("network name must not be empty", http_status=400, code="network-name")
        if any(d["Name"] == name for d in self._by_id.values()):
            raise EngineError(f"network with name {name} already exists", http_status=409, code="network-exists")
        if driver in ("host", "null", "none"):
            raise EngineError(f'only one instance of "{driver}" network is allowed', http_status=403, code="network-driver")
        if driver != "bridge":
            raise EngineError(
                f"could not find plugin {driver} in v1 plugin registry: plugin not found",
                http_status=404,
                code="network-driver",
                remedy="compose-lite has the drivers bridge, host and none; leave `driver` out.",
            )
        document = new_network(name, driver, body) | {"x-wished": list((body.get("IPAM") or {}).get("Config") or ())}
        try:
            document["IPAM"]["Config"] = self._choose_subnets(document)
        except NetworkError as error:
            raise EngineError(error.says, http_status=400, code=error.code, remedy=error.remedy) from error
        self._keep(document)
        self.tell("create", document)
        return {"Id": document["Id"], "Warning": ""}

    async def remove(self, name: str) -> None:
        document = self.find(name)
        if document["Name"] in PREDEFINED:
            raise EngineError(
                f"{document['Name']} is a pre-defined network and cannot be removed", http_status=403, code="network-predefined"
            )
        active = [c for c in self.users(document) if c.running]
        if active:
            who = ", ".join(f'name:"{c.name}" id:"{short(c.id)}"' for c in active)
            says = f"error while removing network: network {document['Name']} has active endpoints ({who})"
            raise EngineError(says, http_status=403, code="network-in-use", remedy="Stop or disconnect these containers first.")
        del self._by_id[document["Id"]]
        self._standing.pop(document["Id"], None)
        await self.bridges.remove(document)
        self._store.delete_network(document["Id"])  # last: a stored network is how a crash's leftovers are found
        self.tell("destroy", document)

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> Document:
        doomed = [d for d in self._by_id.values() if d["Name"] not in PREDEFINED and not self.users(d) and self._matches(d, filters or {})]
        for document in doomed:
            await self.remove(document["Id"])
        self._emit("network", "prune", {"ID": "", "Attributes": {"reclaimed": "0"}})
        return {"NetworksDeleted": [d["Name"] for d in doomed] or None}

    def tell(self, action: str, network: Document, **more: str) -> None:
        attributes = {**more, "name": network["Name"], "type": network["Driver"]}
        self._emit("network", action, {"ID": network["Id"], "Attributes": attributes})

    # --- what a container's seat asks

    def users(self, network: Mapping[str, Any]) -> list[NetworkContainer]:
        everybody = (*self._containers.values(), *self.guests.values())
        return [c for c in everybody if any(e["NetworkID"] == network["Id"] for e in c.endpoints.values())]

    def unneeded(self, running: Collection[str]) -> list[Document]:
        """The networks on which none of these containers stands."""
        needed = {e["NetworkID"] for c in running for e in self._containers[c].endpoints.values()}
        return [document for id, document in self._by_id.items() if id not in needed and document["Driver"] == "bridge"]

    def internal_only(self, ids: Sequence[str]) -> bool:
        return all(self._by_id[i]["Internal"] for i in ids if i in self._by_id)

    def wanted(self, container: NetworkContainer) -> list[tuple[Document, Document]]:
        """(network, endpoint settings), the one of NetworkMode first, then by name."""
        if shares(container):
            return []
        mode = mode_of(container)
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

    def give_addresses(self, container: NetworkContainer, network: Document) -> None:
        """Chooses and notes the container's addresses on a network."""
        if network["Driver"] != "bridge":
            return
        self.ensure_subnet(network)
        endpoint = container.endpoints[network["Name"]]
        others = [e for c in self.users(network) if c.id != container.id for e in c.endpoints.values() if e["NetworkID"] == network["Id"]]
        try:
            addressing.give_addresses(network, endpoint, addressing.taken_addresses(network, others))
        except NetworkError as error:
            status = 400 if endpoint.get("IPAMConfig") else 500
            raise EngineError(error.says, http_status=status, code=error.code, remedy=error.remedy) from error

    async def stand(self, network: Document) -> None:
        """Its bridge, on a subnet that nobody else has: when the bridge shows others what we took, another engine (or dockerd) may have
        chosen the same at that moment. Then the next one is taken, after a pause of any length, as the other may do the same."""
        if network["Driver"] != "bridge":
            return
        async with self._standing.setdefault(network["Id"], asyncio.Lock()):
            for _ in range(_CHOICES):
                self.ensure_subnet(network)
                if network["Id"] in self.bridges.made:
                    return
                index = await self.bridges.bridge(network)
                if self.bridges.rootless or self._is_used(network) or not addressing.chosen_overlap(network, _routes(but=index)):
                    return
                await self.bridges.remove(network)
                await asyncio.sleep(random.uniform(0, _PAUSE))

    def ensure_subnet(self, network: Document) -> None:
        """The default bridge gets its subnet when it is first needed; one that somebody else took meanwhile is changed."""
        if network["Driver"] != "bridge" or (network["IPAM"]["Config"] and not self._taken_meanwhile(network)):
            return
        try:
            network["IPAM"]["Config"] = self._choose_subnets(network)
        except NetworkError as error:
            raise EngineError(error.says, code=error.code, remedy=error.remedy) from error
        self._keep(network)

    def _taken_meanwhile(self, network: Document) -> bool:
        """Another engine, or the machine, now has a route into a subnet that we chose and have not used yet.

        A bridge stands only while something runs on its network, so nothing showed the others that it was ours.
        """
        return not (network["Id"] in self.bridges.made or self._is_used(network)) and addressing.chosen_overlap(network, _routes())

    def _is_used(self, network: Document) -> bool:
        """Somebody has an address of it."""
        here = (e for c in self.users(network) for e in c.endpoints.values() if e["NetworkID"] == network["Id"])
        return any(e["IPAddress"] or e["GlobalIPv6Address"] for e in here)

    def host_gateway(self, container: NetworkContainer) -> str:
        """An address where the machine itself answers: the gateway of the container's own way out, which surely exists;
        without one the default bridge's."""
        own = [container.endpoints[name]["Gateway"] for name in endpoint_order(container) if container.endpoints[name].get("Gateway")]
        if own:
            return str(own[0])
        document = self.find("bridge")
        self.ensure_subnet(document)
        return str(document["IPAM"]["Config"][0]["Gateway"])

    # --- inside

    def _keep(self, document: Document) -> None:
        self._by_id[document["Id"]] = document
        self._store.put_network(document["Id"], document["Name"], document)

    def _choose_subnets(self, network: Document) -> list[Document]:
        others = [one for one in self._by_id.values() if one["Id"] != network["Id"]]
        return addressing.choose_subnets(network, network.get("x-wished") or (), addressing.subnets_of(others), _routes())

    def _matches(self, document: Document, filters: Mapping[str, Sequence[str]]) -> bool:
        builtin = document["Name"] in PREDEFINED
        tests: dict[str, Callable[[str], bool]] = {
            "name": lambda v: v in document["Name"],
            "id": lambda v: document["Id"].startswith(v),
            "driver": lambda v: bool(document["Driver"] == v),
            "scope": lambda v: bool(document["Scope"] == v),
            "type": lambda v: builtin == (v == "builtin"),
            "dangling": lambda v: (not builtin and not self.users(document)) == (v.lower() in ("true", "1")),
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


def new_network(name: str, driver: str, body: Mapping[str, Any]) -> Document:
    """The document of a network that is not there yet, without subnets."""
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


_DEFAULT_BRIDGE = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
    "com.docker.network.driver.mtu": "1500",
}


def _public(network: Document) -> Document:
    """Docker's document: without `x-wished`, what the network was asked for."""
    shown = {key: value for key, value in network.items() if not key.startswith("x-")}
    if network["Driver"] != "bridge":
        shown["IPAM"] = {**network["IPAM"], "Config": network["IPAM"]["Config"] or None}
    if network["Name"] == "bridge":
        shown["Options"] = {**_DEFAULT_BRIDGE, "com.docker.network.bridge.name": bridge_name(network), **network["Options"]}
    return shown


def _routes(but: int = 0) -> list[pools.Network]:
    """Where the machine can reach already. but: the index of a link that does not count."""
    with contextlib.suppress(OSError), Route() as route:
        return [pools.parse_subnet(f"{address}/{prefix}") for link, address, prefix in route.routes() if not but or link != but]
    return []
