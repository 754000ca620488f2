"""Warnings of limits that cannot be kept: each once, by Docker's name for it."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.engine import limits, ociconfig
from compose_lite.linux import cgroup_v1, cgroup_v2

MISSING = "Your kernel does not support "
TABLE: tuple[tuple[dict[str, Any], dict[str, str], list[str]], ...] = (
    ({}, {}, []),
    ({"BlkioWeight": 300}, {"block io weight": ""}, ["Block I/O weight or the cgroup is not mounted. Weight discarded."]),
    ({}, {"block io weight of a device": ""}, ["Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."]),
    ({}, {"memory swappiness": ""}, ["memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."]),
    ({}, {"disabled oom killer": ""}, ["OomKillDisable. OomKillDisable discarded."]),
    ({}, {"cpu realtime period": "", "cpu realtime runtime": ""}, ["CPU real-time scheduler. CPU real-time period/runtime discarded."]),
    ({}, {"cpu period": "", "cpu limit": ""}, ["CPU CFS scheduler. CPU period/quota discarded."]),
    (
        {},
        {"memory limit": "memory", "memory and swap limit": "memory"},
        [
            "memory limit capabilities or the cgroup is not mounted. Limitation discarded."
            " (no cgroup of ours has the controller memory: docs/rootless.md)"
        ],
    ),
    ({}, {"memory and swap limit": ""}, ["swap limit capabilities or the cgroup is not mounted. Memory limited without swap."]),
    (
        {},
        {"cpuset": "cpuset", "cpuset memory nodes": "cpuset"},
        ["cpuset or the cgroup is not mounted. Cpuset discarded. (no cgroup of ours has the controller cpuset: docs/rootless.md)"],
    ),
    ({"KernelMemory": 1 << 26}, {}, ["kernel memory limit capabilities. Limitation discarded."]),
    ({"KernelMemory": 0, "KernelMemoryTCP": 1}, {}, ["kernel memory TCP limit capabilities. Limitation discarded."]),
)


@pytest.mark.parametrize(("host", "unkept", "said"), TABLE)
def test_warnings(host: dict[str, Any], unkept: dict[str, str], said: list[str]) -> None:
    assert limits.warnings(unkept, host) == [MISSING + one for one in said]


HOST = {
    "Memory": 1 << 26, "MemorySwap": 1 << 27, "MemoryReservation": 1 << 25, "MemorySwappiness": 50, "OomKillDisable": True,
    "CpuShares": 512, "CpuQuota": 50_000, "CpuPeriod": 100_000, "CpuRealtimeRuntime": 1000, "CpuRealtimePeriod": 10_000,
    "CpusetCpus": "0", "CpusetMems": "0", "PidsLimit": 50, "BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/x", "Weight": 300}],
    **{f"BlkioDevice{way}": [{"Path": "/dev/x", "Rate": 1}] for way in ("ReadBps", "WriteBps", "ReadIOps", "WriteIOps")},
}  # fmt: skip


@pytest.mark.parametrize("table", [cgroup_v1, cgroup_v2])
def test_every_limit_has_its_sentence(table: Any) -> None:
    """None is told by its bare words, whatever the version calls it."""
    words = {one[0] for one in table.settings(ociconfig.resources(HOST, (), False, {"/dev/x": (8, 0)}))}
    assert words <= set(limits._SAYS)
    told = limits.warnings(dict.fromkeys(words, ""), HOST)
    assert len(told) == len({limits._SAYS[one] for one in words - {"memory and swap limit"}})


def test_facts() -> None:
    assert limits.facts({}) == dict.fromkeys(limits._FACTS, True)
    assert {name for name, held in limits.facts({"memory limit": "", "cpuset": "cpuset"}).items() if not held} == {"MemoryLimit", "CPUSet"}
    for table in (cgroup_v1, cgroup_v2):
        assert set(limits._FACTS.values()) <= {one[0] for one in table.settings(limits.EVERYTHING)}


def test_a_start_says_what_the_creation_did_not_know() -> None:
    said = limits.warnings({"memory and swap limit": ""}, {})
    unmet = ["memory and swap limit: no such file", "pids limit: pids.max: Invalid argument"]
    assert limits.unsaid(unmet, said) == ["pids limit: pids.max: Invalid argument"]
    assert limits.unsaid(unmet[:1], []) == unmet[:1]
