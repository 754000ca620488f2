"""Which subnet a network gets and which address a container gets. Pure: what is taken comes in as an argument.

Docker's default pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in /20 steps; IPv6 from a ULA prefix. Docker's 31 networks are
soon used up where many projects run, beside a Docker above all, so 256 small ones follow: 10.201.0.0/16 in /24 steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from compose_lite.errors import NetworkError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def default_pools() -> Iterator[IPv4Network]:
    for second in range(17, 32):
        yield IPv4Network(f"172.{second}.0.0/16")
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)
    yield from IPv4Network("10.201.0.0/16").subnets(new_prefix=24)


def choose_subnet(taken: Iterable[Network], pools: Iterable[IPv4Network] | None = None) -> IPv4Network:
    """The first pool that overlaps none of the taken networks and routes."""
    others = [n for n in taken if isinstance(n, IPv4Network)]
    for pool in pools or default_pools():
        if not any(pool.overlaps(other) for other in others):
            return pool
    raise NetworkError(
        "address-pools-used-up",
        "all predefined address pools have been fully subnetted",
        remedy="Remove unused networks (`compose-lite network prune`) or give the network a subnet of its own.",
    )


def choose_ipv6_subnet(network_id: str, taken: Iterable[Network]) -> IPv6Network:
    """A /64 of fd00::/8, the same for the same network id unless it is taken (RFC 4193)."""
    others = [n for n in taken if isinstance(n, IPv6Network)]
    for salt in range(256):
        digest = hashlib.sha256(f"{network_id}{salt}".encode()).digest()
        subnet = IPv6Network((b"\xfd" + digest[:7] + b"\0" * 8, 64))
        if not any(subnet.overlaps(other) for other in others):
            return subnet
    raise NetworkError("address-pools-used-up", "no free IPv6 subnet")


def parse_subnet(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise NetworkError("bad-subnet", f"invalid subnet {text!r}: {error}") from None


def parse_address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise NetworkError("bad-address", f"invalid address {text!r}: {error}") from None


def gateway_of(subnet: Network) -> Address:
    """The first address, as Docker gives it to the bridge."""
    return subnet.network_address + 1


def choose_address(subnet: Network, taken: Collection[Address], pool: Network | None = None) -> Address:
    """The lowest free address of the pool (`ip_range`, else the subnet); never the network's or broadcast address."""
    pool = pool or subnet
    refused = {subnet.network_address, subnet.broadcast_address} if subnet.version == 4 else {subnet.network_address}
    candidate, last = pool.network_address, pool.broadcast_address
    while candidate <= last:  # type: ignore[operator]
        if candidate not in taken and candidate not in refused:
            return candidate
        candidate = candidate + 1
    raise NetworkError("no-free-address", f"no available IPv4 addresses on this network's address pools: {subnet}")


def check_address(wanted: str, subnets: Iterable[Network], taken: Collection[Address]) -> Address:
    """A user's own address: inside a subnet and free, else NetworkError in Docker's words."""
    address = parse_address(wanted)
    if not any(address in subnet for subnet in subnets if subnet.version == address.version):
        raise NetworkError("address-outside", f"invalid endpoint settings: no configured subnet contains IP address {wanted}")
    if address in taken:
        raise NetworkError("address-in-use", "Address already in use")
    return address


def overlap(one: Network, other: Network) -> bool:
    """Both of one family, with an address in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def mac_of(address: str) -> str:
    """An interface's hardware address from its IP address, locally administered: `02:42:ac:12:00:02` for 172.18.0.2.

    The next container with that address then has the same one, so what neighbours remember stays true: with another they
    would send into the void for some seconds after a restart. "" for no address.
    """
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *parse_address(address).packed[-4:])) if address else ""
