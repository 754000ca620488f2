"""What is live of a network: its bridge, its nf_tables table, the names on it.

A bridge exists from the first container on its network until the network, or the idle engine, goes. Kernel work runs
in the one thread that changes namespaces. It must never block the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from compose_lite.engine import hostway
from compose_lite.errors import EngineError
from compose_lite.ids import short
from compose_lite.linux.netlink import Route
from compose_lite.network import addresses as pools
from compose_lite.network import attach, firewall
from compose_lite.network.dns_server import Names

T = TypeVar("T")
BRIDGE_PREFIX, TABLE_PREFIX = "br-", "compose-lite-"  # Docker's prefix: rules of the machine for `br-+` hold here too


class Bridges:
    """By network id. `made`: the bridges of this engine's life, as interface indexes.

    home: the network namespace in which they stand, when it is not the process's own (rootless).
    """

    def __init__(self, home: int | None = None) -> None:
        self.made: dict[str, int] = {}
        self._names: dict[str, Names] = {}
        self._making: dict[str, asyncio.Lock] = {}
        self._thread = attach.NamespaceThread(home)
        self._host_port = 0
        self._hostway: asyncio.Server | None = None
        self.rootless = home is not None
        if home is not None:
            self._thread.executor.submit(firewall.drop_stray_answers)

    async def in_thread(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread.executor, act)

    async def open_hostway(self) -> None:
        """Rootless: what is sent to a gateway reaches this machine. Before the first bridge is made."""
        if self.rootless:
            with contextlib.suppress(OSError):
                listener = await self.in_thread(hostway.open_listener)
                self._host_port = listener.getsockname()[1]
                self._hostway = await hostway.serve(listener)

    def close(self) -> None:
        if self._hostway:
            self._hostway.close()
        self._thread.executor.shutdown(wait=False)

    def names(self, network: Mapping[str, Any]) -> Names:
        return self._names.setdefault(network["Id"], Names(network["Name"]))

    def forget_names(self, network_id: str, addresses: Iterable[str]) -> None:
        if network_id in self._names:
            self._names[network_id].remove(addresses)

    async def bridge(self, network: Mapping[str, Any]) -> int:
        """The network's bridge, made once, with its rules."""
        async with self._making.setdefault(network["Id"], asyncio.Lock()):
            if network["Id"] not in self.made:
                name = bridge_name(network)
                try:
                    self.made[network["Id"]] = await self.in_thread(lambda: _make(network, name, self._host_port))
                except OSError as error:
                    raise EngineError(f"failed to create bridge {name}: {error.strerror}", code="network-bridge") from error
            return self.made[network["Id"]]

    async def vanished(self, network: Mapping[str, Any]) -> bool:
        """Somebody else has deleted the network's bridge; it is forgotten then."""

        def index() -> int:
            with Route() as route:
                return route.links().get(bridge_name(network), (0, 0))[0]

        gone = await self.in_thread(index) != self.made.get(network["Id"])
        if gone:
            self.made.pop(network["Id"], None)
        return gone

    async def remove(self, network: Mapping[str, Any]) -> None:
        """Bridge, rules and names of a network; its veths go with their link group."""
        self._names.pop(network["Id"], None)
        self._making.pop(network["Id"], None)
        if self.made.pop(network["Id"], None) is None:
            return

        def unmake() -> None:
            firewall.remove(table_name(network))
            with contextlib.suppress(OSError), Route() as route:
                route.delete_group(link_group(network))
            attach.delete_link(bridge_name(network))

        await self.in_thread(unmake)

    async def sweep(self, unneeded: Sequence[Mapping[str, Any]]) -> None:
        """After a crash: bridges and rules of networks on which nothing runs. Those of another engine are never touched."""

        def act() -> None:
            with Route() as route:
                links = route.links()
            tables = set(firewall.leftovers(TABLE_PREFIX))
            for network in unneeded:
                if bridge_name(network) in links:
                    attach.delete_link(bridge_name(network))
                if table_name(network) in tables:
                    firewall.remove(table_name(network))

        await self.in_thread(act)


def _make(network: Mapping[str, Any], name: str, host_port: int) -> int:
    configs = network["IPAM"]["Config"]
    subnets = [pools.parse_subnet(c["Subnet"]) for c in configs]
    gateways = tuple(f"{c['Gateway'].split('/')[0]}/{s.prefixlen}" for c, s in zip(configs, subnets, strict=True))
    rules = firewall.Rules(
        table_name(network),
        name,
        tuple((str(s.network_address), s.prefixlen) for s in subnets),
        network["Internal"],
        (network["Options"] or {}).get("com.docker.network.bridge.enable_ip_masquerade", "true") != "false",
        tuple(gateway.split("/")[0] for gateway in gateways),
        host_port,
    )
    index = attach.create_bridge(name, gateways, mtu(network))
    with contextlib.suppress(OSError):
        firewall.enable_forwarding()
    with contextlib.suppress(OSError):  # no nf_tables: containers reach each other, but not the outside
        firewall.install(rules)
    return index


def bridge_name(network: Mapping[str, Any]) -> str:
    return str((network["Options"] or {}).get("com.docker.network.bridge.name") or BRIDGE_PREFIX + short(network["Id"]))


def table_name(network: Mapping[str, Any]) -> str:
    return TABLE_PREFIX + short(network["Id"])


def link_group(network: Mapping[str, Any]) -> int:
    """The link group of a network's veths: never 0, the group of everybody else's links."""
    return int(network["Id"][:7], 16) | 1 << 28


def mtu(network: Mapping[str, Any]) -> int:
    return int((network["Options"] or {}).get("com.docker.network.driver.mtu") or 1500)
