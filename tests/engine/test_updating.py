"""What `update` makes of a HostConfig. Words are those of Docker 28."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.engine import creation, updating
from compose_lite.errors import EngineError


def host(**wish: Any) -> dict[str, Any]:
    return creation.host_config_of({"HostConfig": wish}, 2)[0]


@pytest.mark.parametrize(
    ("before", "wish", "after"),
    [
        ({}, {"CpuShares": 512, "Memory": 0, "CpusetCpus": ""}, {"CpuShares": 512}),
        ({"Memory": 1 << 26}, {"Memory": 1 << 27}, {"Memory": 1 << 27}),
        ({"Memory": 1 << 26}, {"Memory": 1 << 28, "MemorySwap": -1}, {"Memory": 1 << 28, "MemorySwap": -1}),
        ({"PidsLimit": 5}, {"PidsLimit": -1}, {"PidsLimit": None}),
        (
            {},
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        ),
        ({"CpuShares": 7}, {"RestartPolicy": {"Name": ""}}, {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "CpuShares": 7}),
        ({"AutoRemove": True}, {"RestartPolicy": {"Name": "no"}, "CpuShares": 9}, {"CpuShares": 9}),
        ({}, {"Privileged": True, "CpuShares": 9}, {"Privileged": False}),
    ],
)
def test_what_is_given_is_changed(before: dict[str, Any], wish: dict[str, Any], after: dict[str, Any]) -> None:
    made, _ = updating.updated("c", host(**before), wish)
    assert {key: made[key] for key in after} == after


@pytest.mark.parametrize(
    ("before", "wish", "says"),
    [
        ({"Memory": 1 << 26}, {"Memory": 1 << 28}, "Cannot update container c: Memory limit should be smaller than already set memoryswap"),
        ({}, {"Memory": 1 << 26}, "Memory limit should be smaller than already set memoryswap"),
        ({"Memory": 1 << 26}, {"Memory": 1 << 20}, "Minimum memory limit allowed is 6MB"),
        ({"NanoCpus": 10**9}, {"CpuQuota": 20000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        ({"CpuPeriod": 20000}, {"NanoCpus": 10**9}, "Nano CPUs cannot be updated as CPU Period has already been set"),
        ({"AutoRemove": True}, {"RestartPolicy": {"Name": "always"}}, "because AutoRemove is enabled"),
        ({}, {"RestartPolicy": {"Name": "often"}}, "unknown policy"),
    ],
)
def test_what_cannot_be(before: dict[str, Any], wish: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        updating.updated("c", host(**before), wish)


def test_a_limit_that_is_taken_away_is_written() -> None:
    made, _ = updating.updated("c", host(PidsLimit=5), {"PidsLimit": -1})
    assert updating.limits(made, {"PidsLimit": -1}, {})["pids"] == {"limit": -1}
    assert "pids" not in updating.limits(made, {}, {})


def test_memory_and_swap_are_twice_the_memory_unless_said() -> None:
    assert host(Memory=1 << 26)["MemorySwap"] == 1 << 27
    assert host(Memory=1 << 26, MemorySwap=-1)["MemorySwap"] == -1
    assert host()["MemorySwap"] == 0
