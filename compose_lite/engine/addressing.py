"""Which subnets a network's document gets and which addresses an endpoint's document gets. Pure; raises NetworkError.

The choice itself is network/addresses.py; this file knows Docker's IPAM and endpoint documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compose_lite.errors import NetworkError
from compose_lite.network import addresses as pools

Document = dict[str, Any]


def subnets_of(networks: Iterable[Mapping[str, Any]]) -> list[pools.Network]:
    return [pools.parse_subnet(config["Subnet"]) for network in networks for config in network["IPAM"]["Config"] or ()]


def choose_subnets(
    network: Mapping[str, Any], wanted: Iterable[Mapping[str, Any]], own: Sequence[pools.Network], routes: Sequence[pools.Network]
) -> list[Document]:
    """IPAM.Config of a new network. own: subnets of our networks, never shared; routes: the machine's, avoided where we choose."""
    configs = [_config(one, own) for one in wanted if one.get("Subnet")]
    taken = [*own, *routes]
    if network["EnableIPv4"] and not any(":" not in c["Subnet"] for c in configs):
        subnet = pools.choose_subnet(taken)
        configs.insert(0, {"Subnet": str(subnet), "Gateway": str(pools.gateway_of(subnet))})
    if network["EnableIPv6"] and not any(":" in c["Subnet"] for c in configs):
        subnet6 = pools.choose_ipv6_subnet(network["Id"], taken)
        configs.append({"Subnet": str(subnet6), "Gateway": str(pools.gateway_of(subnet6))})
    return configs


def chosen_overlap(network: Mapping[str, Any], routes: Sequence[pools.Network]) -> bool:
    """One of the network's subnets that nobody asked for shares addresses with the machine's routes."""
    wished = {pools.parse_subnet(one["Subnet"]) for one in network.get("x-wished") or () if one.get("Subnet")}
    return any(pools.overlap(subnet, route) for subnet in subnets_of([network]) if subnet not in wished for route in routes)


def _config(wanted: Mapping[str, Any], own: Iterable[pools.Network]) -> Document:
    subnet = pools.parse_subnet(wanted["Subnet"])
    if any(pools.overlap(subnet, other) for other in own):
        raise NetworkError("subnet-overlap", f"invalid pool request: Pool overlaps with other one on this address space ({subnet})")
    config = {k: v for k, v in wanted.items() if v}
    config.setdefault("Gateway", str(pools.gateway_of(subnet)))
    if pools.parse_address(config["Gateway"].split("/")[0]) not in subnet:
        raise NetworkError("bad-gateway", f"invalid network config: gateway {config['Gateway']} is not in subnet {subnet}")
    return config


def taken_addresses(network: Mapping[str, Any], endpoints: Iterable[Mapping[str, Any]]) -> set[pools.Address]:
    """What no new endpoint may have: gateways, auxiliary addresses, and what the other endpoints have or ask for."""
    texts: list[str | None] = []
    for endpoint in endpoints:
        fixed = endpoint.get("IPAMConfig") or {}
        texts += [endpoint["IPAddress"], endpoint["GlobalIPv6Address"], fixed.get("IPv4Address"), fixed.get("IPv6Address")]
    for config in network["IPAM"]["Config"] or ():
        texts += [address.split("/")[0] for address in [config["Gateway"], *(config.get("AuxiliaryAddresses") or {}).values()]]
    return {pools.parse_address(text) for text in texts if text}


def check_wish(network: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """That the addresses asked for lie in subnets that the user gave the network, since ours may be others tomorrow. In Docker's words."""
    if "x-wished" not in network:
        return
    wished = [pools.parse_subnet(one["Subnet"]) for one in network["x-wished"] if one.get("Subnet")]
    asked = settings.get("IPAMConfig") or {}
    for version, text in ((4, asked.get("IPv4Address")), (6, asked.get("IPv6Address"))):
        mine = [subnet for subnet in wished if subnet.version == version]
        if not text or any(pools.parse_address(text) in subnet for subnet in mine):
            continue
        says = "user specified IP address is supported only when connecting to networks with user configured subnets"
        if mine:
            says = f"no configured subnet or ip-range contain the IP address {text}"
        raise NetworkError(
            "address-outside", f"invalid endpoint settings:\n{says}", remedy="Give the network a subnet that has it (`ipam`)."
        )


def give_addresses(network: Mapping[str, Any], endpoint: Document, taken: set[pools.Address]) -> None:
    """Chooses the endpoint's addresses, one a family, and notes them and the gateways in it."""
    wanted = endpoint.get("IPAMConfig") or {}
    configs = network["IPAM"]["Config"] or []
    both = list(zip((pools.parse_subnet(c["Subnet"]) for c in configs), configs, strict=True))
    for version, key, prefix_key, gateway_key, wish in (
        (4, "IPAddress", "IPPrefixLen", "Gateway", wanted.get("IPv4Address")),
        (6, "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway", wanted.get("IPv6Address")),
    ):
        mine = [(subnet, config) for subnet, config in both if subnet.version == version]
        if wish:
            address = pools.check_address(wish, [subnet for subnet, _ in mine], taken)
            subnet, config = next((s, c) for s, c in mine if address in s)
        elif mine:
            subnet, config = mine[0]
            address = pools.choose_address(subnet, taken, pools.parse_subnet(config["IPRange"]) if config.get("IPRange") else None)
        else:
            continue
        gateway = "" if network["Internal"] else config["Gateway"].split("/")[0]
        endpoint.update({key: str(address), prefix_key: subnet.prefixlen, gateway_key: gateway})
    endpoint["MacAddress"] = endpoint["MacAddress"] or pools.mac_of(endpoint["IPAddress"] or endpoint["GlobalIPv6Address"])
