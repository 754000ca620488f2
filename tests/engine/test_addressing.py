from __future__ import annotations

from typing import Any

import pytest

from compose_lite.engine import addressing, endpoints
from compose_lite.errors import NetworkError
from compose_lite.network import addresses as pools

NETWORK = {"Id": "n" * 64, "Internal": False, "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}}


def endpoint(mac: str = "") -> dict[str, Any]:
    return {"IPAMConfig": None, "MacAddress": mac, "IPAddress": "", "GlobalIPv6Address": ""}


def test_the_hardware_address_follows_the_address_so_that_neighbours_remember_rightly() -> None:
    first, next_one = endpoint(), endpoint()
    addressing.give_addresses(NETWORK, first, addressing.taken_addresses(NETWORK, []))
    assert (first["IPAddress"], first["MacAddress"]) == ("172.18.0.2", "02:42:ac:12:00:02")
    endpoints.clear_addresses(first)
    assert (first["IPAddress"], first["MacAddress"]) == ("", "")
    addressing.give_addresses(NETWORK, next_one, addressing.taken_addresses(NETWORK, []))
    assert next_one["MacAddress"] == "02:42:ac:12:00:02"


@pytest.mark.parametrize(
    ("wished", "asked", "says"),
    [
        ([], "172.18.0.9", "supported only when connecting to networks with user configured subnets"),
        ([{"Subnet": "fd00::/64"}], "172.18.0.9", "supported only when connecting to networks with user configured subnets"),
        ([{"Subnet": "172.18.0.0/16"}], "172.19.0.9", "no configured subnet or ip-range contain the IP address 172.19.0.9"),
    ],
)
def test_an_address_lies_in_a_subnet_that_the_user_gave(wished: list[dict[str, str]], asked: str, says: str) -> None:
    network = {"Name": "back", "x-wished": wished}
    with pytest.raises(NetworkError, match=f"(?s)invalid endpoint settings:.*{says}"):
        addressing.check_wish(network, {"IPAMConfig": {"IPv4Address": asked}})
    addressing.check_wish({"Name": "back", "x-wished": [{"Subnet": "172.16.0.0/12"}]}, {"IPAMConfig": {"IPv4Address": asked}})
    addressing.check_wish(network, {})


def test_a_wished_hardware_address_stays() -> None:
    wished = endpoint("02:00:00:00:00:07")
    addressing.give_addresses(NETWORK, wished, addressing.taken_addresses(NETWORK, []))
    endpoints.clear_addresses(wished)
    assert wished["MacAddress"] == "02:00:00:00:00:07"


@pytest.mark.parametrize(
    ("wished", "routes", "overlap"),
    [
        ([], ["172.18.0.0/16"], True),
        ([], ["172.19.0.0/16", "fd00::/64"], False),
        ([{"Subnet": "172.18.0.0/16"}], ["172.18.0.0/16"], False),
        ([{"Gateway": "172.18.0.1"}], ["172.18.7.0/24"], True),
    ],
)
def test_a_chosen_subnet_that_somebody_took_meanwhile_is_seen(wished: list[dict[str, str]], routes: list[str], overlap: bool) -> None:
    assert addressing.chosen_overlap(NETWORK | {"x-wished": wished}, [pools.parse_subnet(text) for text in routes]) is overlap
