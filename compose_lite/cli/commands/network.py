"""`network`: ls, inspect, create, rm, connect, disconnect, prune, in Docker's forms."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from compose_lite import ids
from compose_lite.cli import nouns, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, arguments, flag, option, options
from compose_lite.errors import UsageError

HELP = "Manage networks"
HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
COLUMNS = ("ID", "Name", "Driver", "Scope")


def row(network: Mapping[str, Any], no_trunc: bool = False) -> tables.Row:
    """A network's document as `ls` prints it."""
    labels, label = tables.labelled(network.get("Labels"))
    return {
        "ID": network["Id"] if no_trunc else ids.short(network["Id"]),
        "Name": network["Name"],
        "Driver": network.get("Driver", ""),
        "Scope": network.get("Scope", ""),
        "IPv4": str(bool(network.get("EnableIPv4", True))).lower(),
        "IPv6": str(bool(network.get("EnableIPv6"))).lower(),
        "Internal": str(bool(network.get("Internal"))).lower(),
        "Labels": labels,
        "Label": label,
        "CreatedAt": nouns.go_time(network.get("Created") or ""),
    }


async def ls(context: Context, filter: tuple[str, ...], format: str, no_trunc: bool, quiet: bool) -> None:
    engine = await context.engine()
    found = sorted(await engine.networks(filters=tables.filters(filter)), key=lambda n: n["Name"])
    rows = [row(n, no_trunc) for n in found]
    context.out.write(tables.listing(rows, HEADERS, COLUMNS, format, quiet="ID" if quiet else ""))


async def inspect(context: Context, names: tuple[str, ...], format: str, verbose: bool) -> int:
    nouns.at_least(names, f"{context.program} network inspect")
    engine = await context.engine()
    return await nouns.inspect(context, names, lambda name: engine.network(name, verbose=verbose), format)


async def create(
    context: Context,
    name: str,
    driver: str,
    label: tuple[str, ...],
    opt: tuple[str, ...],
    attachable: bool,
    internal: bool,
    ipv4: bool,
    ipv6: bool,
    subnet: tuple[str, ...],
    gateway: tuple[str, ...],
    ip_range: tuple[str, ...],
    aux_address: tuple[str, ...],
    ipam_driver: str,
    ipam_opt: tuple[str, ...],
    scope: str,
) -> None:
    pools = ipam_config(_listed(subnet), _listed(gateway), _listed(ip_range), nouns.pairs(aux_address, "--aux-address"))
    body = {
        "Name": name,
        "Driver": driver,
        "Scope": scope,
        "Labels": nouns.pairs(label),
        "Options": nouns.pairs(opt),
        "Attachable": attachable,
        "Internal": internal,
        "EnableIPv4": ipv4,
        "EnableIPv6": ipv6,
        "IPAM": {"Driver": ipam_driver, "Options": nouns.pairs(ipam_opt), "Config": pools},
    }
    context.print((await (await context.engine()).create_network(body))["Id"])


def _listed(words: Sequence[str]) -> list[str]:
    return [one for word in words for one in word.split(",")]


def ipam_config(subnets: Sequence[str], gateways: Sequence[str], ranges: Sequence[str], aux: Mapping[str, str]) -> list[dict[str, Any]]:
    """Pools of addresses: each range, gateway and auxiliary address with the subnet that holds it. Raises UsageError."""
    pools: dict[str, dict[str, Any]] = {subnet: {"Subnet": subnet} for subnet in subnets}
    for key, values in (("IPRange", ranges), ("Gateway", gateways)):
        for value in values:
            pool = pools[_subnet_of(value, subnets)]
            if key in pool:
                raise UsageError("network-pool", f"cannot configure multiple {key.lower()}s on the same subnet ({value})")
            pool[key] = value
    for name, value in aux.items():
        pools[_subnet_of(value, subnets)].setdefault("AuxiliaryAddresses", {})[name] = value
    return list(pools.values())


def _subnet_of(address: str, subnets: Sequence[str]) -> str:
    try:
        first = ipaddress.ip_network(address, strict=False).network_address
        nets = {subnet: ipaddress.ip_network(subnet, strict=False) for subnet in subnets}
    except ValueError as error:
        raise UsageError("network-address", f"invalid address: {error}") from None
    found = next((subnet for subnet, net in nets.items() if first in net), None)
    if found is None:
        raise UsageError("network-subnet", f"no matching subnet for {address}", remedy="Give it with --subnet.")
    return found


async def rm(context: Context, names: tuple[str, ...], force: bool) -> int:
    nouns.at_least(names, f"{context.program} network rm")
    engine = await context.engine()
    return await nouns.each(context, names, engine.remove_network, forgiving=force)


async def connect(
    context: Context,
    network: str,
    container: str,
    alias: tuple[str, ...],
    driver_opt: tuple[str, ...],
    gw_priority: int,
    ip: str,
    ip6: str,
    link: tuple[str, ...],
    link_local_ip: tuple[str, ...],
) -> None:
    addresses = {"IPv4Address": ip, "IPv6Address": ip6, "LinkLocalIPs": _listed(link_local_ip)}
    endpoint = {
        "IPAMConfig": {name: value for name, value in addresses.items() if value},
        "Aliases": _listed(alias) or None,
        "Links": list(link) or None,
        "DriverOpts": nouns.pairs(driver_opt, "--driver-opt") or None,
        "GwPriority": gw_priority or None,
    }
    kept = {name: value for name, value in endpoint.items() if value}
    await (await context.engine()).connect_network(network, container, kept)


async def disconnect(context: Context, network: str, container: str, force: bool) -> None:
    await (await context.engine()).disconnect_network(network, container, force=force)


async def prune(context: Context, filter: tuple[str, ...], force: bool) -> None:
    wanted = tables.filters(filter)
    if nouns.confirmed(context, "This will remove all custom networks not used by at least one container.", force):
        done = await (await context.engine()).prune_networks(filters=wanted)
        nouns.pruned(context, "Networks", done.get("NetworksDeleted") or [], None)


CREATE = (
    flag("--attachable", help="Enable manual container attachment"),
    options("--aux-address", help="Auxiliary addresses used by the network driver"),
    option("-d", "--driver", default="bridge", help="Driver to manage the network"),
    options("--gateway", help="IPv4 or IPv6 gateway for the subnet"),
    flag("--internal", help="Restrict external access to the network"),
    options("--ip-range", help="Allocate container ip from a sub-range"),
    option("--ipam-driver", default="default", help="IP address management driver"),
    options("--ipam-opt", help="Set IPAM driver specific options"),
    flag("--ipv4", default=True, help="Enable or disable IPv4 address assignment"),
    flag("--ipv6", help="Enable or disable IPv6 address assignment"),
    options("--label", help="Set metadata on a network"),
    options("-o", "--opt", help="Set driver specific options"),
    option("--scope", default="", help="Control the network's scope"),
    options("--subnet", help="Subnet in CIDR format that represents a network segment"),
    argument("name", metavar="NETWORK"),
)
CONNECT = (
    options("--alias", help="Add network-scoped alias for the container"),
    options("--driver-opt", help="Driver options for the network"),
    option("--gw-priority", type=int, default=0, help="Highest gw-priority provides the default gateway"),
    option("--ip", default="", help="IPv4 address"),
    option("--ip6", default="", help="IPv6 address"),
    options("--link", help="Add link to another container"),
    options("--link-local-ip", help="Add a link-local address for the container"),
    argument("network"),
    argument("container"),
)
LS = (
    options("-f", "--filter", help='Provide filter values (e.g. "driver=bridge")'),
    option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template"),
    flag("--no-trunc", help="Do not truncate the output"),
    flag("-q", "--quiet", help="Only display network IDs"),
)
INSPECT = (
    option("-f", "--format", default="", help="json or a Go template"),
    flag("-v", "--verbose", help="Verbose output for diagnostics"),
    arguments("names", metavar="NETWORK [NETWORK...]"),
)
FORCE_RM = flag("-f", "--force", help="Do not error if the network does not exist")
FORCE_OFF = flag("-f", "--force", help="Force the container to disconnect from a network")
PRUNE = (options("--filter", help='Provide filter values (e.g. "until=<timestamp>")'), flag("-f", "--force", help="Do not prompt"))
SUBCOMMANDS = {
    "ls": (Command("ls", "List networks", LS), ls),
    "inspect": (Command("inspect", "Display detailed information on one or more networks", INSPECT), inspect),
    "create": (Command("create", "Create a network", CREATE), create),
    "rm": (Command("rm", "Remove one or more networks", (FORCE_RM, arguments("names", metavar="NETWORK [NETWORK...]"))), rm),
    "connect": (Command("connect", "Connect a container to a network", CONNECT), connect),
    "disconnect": (
        Command("disconnect", "Disconnect a container from a network", (FORCE_OFF, argument("network"), argument("container"))),
        disconnect,
    ),
    "prune": (Command("prune", "Remove all unused networks", PRUNE), prune),
}
SUBCOMMANDS["list"] = SUBCOMMANDS["ls"]
SUBCOMMANDS["remove"] = SUBCOMMANDS["rm"]
