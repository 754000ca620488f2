from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.errors import NetworkError
from compose_lite.network import addresses

NETWORKS = st.integers(0, 2**32 - 1).flatmap(lambda n: st.integers(8, 30).map(lambda p: IPv4Network((n, p), strict=False)))


def test_pools_are_dockers_and_then_small_ones() -> None:
    pools = list(addresses.default_pools())
    assert (str(pools[0]), str(pools[14]), str(pools[15]), str(pools[30])) == (
        "172.17.0.0/16",
        "172.31.0.0/16",
        "192.168.0.0/20",
        "192.168.240.0/20",
    )
    assert (str(pools[31]), str(pools[-1]), len(pools)) == ("10.201.0.0/24", "10.201.255.0/24", 31 + 256)


def test_the_first_free_pool_is_taken() -> None:
    taken = [IPv4Network("172.17.0.0/16"), IPv4Network("172.18.5.0/24"), IPv6Network("fd00::/64")]
    assert str(addresses.choose_subnet(taken)) == "172.19.0.0/16"


@given(st.lists(NETWORKS, max_size=20))
def test_a_chosen_subnet_overlaps_nothing(taken: list[IPv4Network]) -> None:
    try:
        chosen = addresses.choose_subnet(taken)
    except NetworkError as error:
        assert error.code == "address-pools-used-up"
        assert all(any(pool.overlaps(t) for t in taken) for pool in addresses.default_pools())
    else:
        assert not any(chosen.overlaps(other) for other in taken)


def test_the_ipv6_subnet_is_the_same_for_the_same_network() -> None:
    first = addresses.choose_ipv6_subnet("a" * 64, [])
    assert first == addresses.choose_ipv6_subnet("a" * 64, []) and first.subnet_of(IPv6Network("fd00::/8")) and first.prefixlen == 64
    assert addresses.choose_ipv6_subnet("a" * 64, [first]) != first


@given(NETWORKS, st.sets(st.integers(0, 40), max_size=30))
def test_a_chosen_address_is_free_and_the_lowest(subnet: IPv4Network, offsets: set[int]) -> None:
    taken = {subnet.network_address + n for n in offsets if n < subnet.num_addresses}
    free = [a for a in list(subnet.hosts())[:80] if a not in taken] if subnet.prefixlen > 16 else None
    try:
        chosen = addresses.choose_address(subnet, taken)
    except NetworkError as error:
        assert error.code == "no-free-address" and free == []
    else:
        assert chosen in subnet and chosen not in taken and chosen not in (subnet.network_address, subnet.broadcast_address)
        assert free is None or chosen == free[0]


def test_an_address_comes_out_of_the_range() -> None:
    subnet, pool = ip_network("172.28.0.0/16"), ip_network("172.28.5.0/30")
    taken = {ip_address("172.28.5.0")}
    assert str(addresses.choose_address(subnet, taken, pool)) == "172.28.5.1"
    with pytest.raises(NetworkError):
        addresses.choose_address(subnet, set(pool), pool)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("10.0.0.1", "address-outside"), ("172.28.0.5", "address-in-use"), ("fd00::1", "address-outside"), ("x", "bad-address")],
)
def test_a_wished_address_is_checked(wanted: str, code: str) -> None:
    with pytest.raises(NetworkError) as caught:
        addresses.check_address(wanted, [ip_network("172.28.0.0/16")], {IPv4Address("172.28.0.5")})
    assert caught.value.code == code


def test_families_never_overlap() -> None:
    assert not addresses.overlap(ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert addresses.overlap(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"))
