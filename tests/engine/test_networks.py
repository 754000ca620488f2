"""Subnets that others choose at the same moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from compose_lite.engine import networks
from compose_lite.network import addresses as pools

OTHER = pools.parse_subnet("172.18.0.0/16")


class Bridges:
    """`meanwhile`: how often another one has taken the subnet between our choice and our bridge."""

    rootless = False

    def __init__(self, meanwhile: int) -> None:
        self.meanwhile, self.made, self.removed = meanwhile, dict[str, int](), 0

    async def bridge(self, network: Any) -> int:
        if self.meanwhile:
            self.meanwhile -= 1
            self.theirs.append(pools.parse_subnet(network["IPAM"]["Config"][0]["Subnet"]))
        self.made[network["Id"]] = 7
        return 7

    async def remove(self, network: Any) -> None:
        del self.made[network["Id"]]
        self.removed += 1

    theirs: list[pools.Network] = []


def stood(monkeypatch: pytest.MonkeyPatch, meanwhile: int, **wish: Any) -> tuple[str, Bridges]:
    """The subnet of a network at last."""
    bridges = Bridges(meanwhile)
    bridges.theirs = [OTHER]
    asked = []

    def routes(but: int = 0) -> list[pools.Network]:
        asked.append(but)
        return list(bridges.theirs)

    monkeypatch.setattr(networks, "_routes", routes)
    monkeypatch.setattr(networks, "_PAUSE", 0)
    store: Any = SimpleNamespace(networks=list, put_network=lambda *_: None, delete_network=lambda *_: None)

    async def act() -> str:
        made = networks.Networks(store, lambda *_: None, {}, bridges)  # type: ignore[arg-type]
        await made.create({"Name": "n", **wish})
        await asyncio.gather(made.stand(made.find("n")), made.stand(made.find("n")))
        return str(made.find("n")["IPAM"]["Config"][0]["Subnet"])

    found = asyncio.run(act())
    assert 7 in asked, "its own bridge does not count"
    return found, bridges


def test_the_next_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bridges = stood(monkeypatch, 2)
    assert not any(pools.overlap(pools.parse_subnet(found), other) for other in bridges.theirs)
    assert (len(bridges.theirs), bridges.removed, list(bridges.made.values())) == (3, 2, [7])


def test_what_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bridges = stood(monkeypatch, 1, IPAM={"Config": [{"Subnet": "10.9.0.0/24"}]})
    assert (found, bridges.removed) == ("10.9.0.0/24", 0)
