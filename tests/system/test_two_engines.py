"""Two engines on one machine (jobs with run folders of their own) do not take each other's subnets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.linux.netlink import Route
from tests.system.engines import Engine

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = "services: {a: {image: 'rootfs:/', command: sleep 600, init: true}}\n"


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    made = Engine(tmp_path / "one"), Engine(tmp_path / "two")
    for engine in made:
        engine.spec(SPEC)
    yield made
    for engine in made:
        engine.close()


def subnet(engine: Engine) -> str:
    (network,) = json.loads(engine.run("network", "inspect", f"{engine.env['COMPOSE_PROJECT_NAME']}_default"))
    return str(network["IPAM"]["Config"][0]["Subnet"])


def test_a_network_that_nobody_has_used_yet_moves_out_of_the_way(engines: tuple[Engine, Engine]) -> None:
    first, second = engines
    first.run("create")  # both choose while neither has a bridge that would show the other its subnet
    second.run("create")
    first.run("start")
    second.run("start")
    assert subnet(first) != subnet(second)
    assert first.rows()["a"]["State"] == second.rows()["a"]["State"] == "running"


def test_both_choose_at_the_same_moment(engines: tuple[Engine, Engine]) -> None:
    """Each network has a subnet of its own, and each container reaches its gateway."""
    names = [f"n{n}" for n in range(4)]
    web = "{image: 'rootfs:/', command: sleep 600, init: true, networks: [%s]}"
    for engine in engines:
        engine.spec(
            "services:\n" + "".join(f"  s{n}: {web % n}\n" for n in names) + "networks:\n" + "".join(f"  {n}: {{}}\n" for n in names)
        )
    for _ in range(3):
        ups = [engine.start("up", "-d") for engine in engines]
        assert [up.communicate(timeout=120)[0] or up.returncode for up in ups] == [0, 0]
        found = []
        for engine in engines:
            for name in names:
                (network,) = json.loads(engine.run("network", "inspect", f"{engine.env['COMPOSE_PROJECT_NAME']}_{name}"))
                found.append(network["IPAM"]["Config"][0]["Subnet"])
        assert len(set(found)) == len(found) == 8
        with Route() as route:
            routed = [f"{address}/{prefix}" for _, address, prefix in route.routes()]
        assert all(routed.count(subnet) == 1 for subnet in found)
        for engine in engines:
            engine.run("down", "-t", "0")
