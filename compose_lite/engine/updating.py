"""POST /containers/{id}/update: the HostConfig that comes of it. Pure; words and rules are Docker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compose_lite.engine import creation, ociconfig
from compose_lite.errors import EngineError

Document = dict[str, Any]
KEYS = frozenset(
    "BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems Memory MemoryReservation"
    " MemorySwap NanoCpus PidsLimit".split()
)
_QUOTA = (("CpuPeriod", "CPU Period"), ("CpuQuota", "CPU Quota"))


def updated(id: str, host: Mapping[str, Any], wish: Mapping[str, Any]) -> tuple[Document, list[str]]:
    """The new HostConfig, and warnings. What is 0 or empty in the wish stays. EngineError when it cannot be."""
    changes = {key: wish[key] for key in KEYS if wish.get(key)}
    _check_against(id, host, changes)
    policy = dict(wish.get("RestartPolicy") or {})
    if policy.get("Name"):
        if host["AutoRemove"] and policy["Name"] != "no":
            raise _refused(id, "Restart policy cannot be updated because AutoRemove is enabled for the container", 409)
        changes["RestartPolicy"] = {"MaximumRetryCount": 0, **policy}
    made = {**host, **changes}
    return made, creation.check_host_config(made)


def _check_against(id: str, host: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """What the limits that are set already do not allow."""
    for key, words in _QUOTA:
        if changes.get("NanoCpus") and host[key]:
            raise _refused(id, f"Conflicting options: Nano CPUs cannot be updated as {words} has already been set")
        if changes.get(key) and host["NanoCpus"]:
            raise _refused(id, f"Conflicting options: {words} cannot be updated as NanoCPUs has already been set")
    swap = host["MemorySwap"] or host["Memory"] * 2
    if changes.get("Memory", 0) > swap and swap >= 0 and not changes.get("MemorySwap"):
        says = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        raise _refused(id, says)


def limits(host: Mapping[str, Any], wish: Mapping[str, Any], disks: Mapping[str, tuple[int, int]]) -> Document:
    """OCI resources for the running group: all limits of the new HostConfig, and those that the wish takes away."""
    found = ociconfig.resources(host, (), True, disks)
    del found["devices"]
    if (wish.get("PidsLimit") or 0) < 0:
        found["pids"] = {"limit": -1}
    return found


def _refused(id: str, says: str, status: int = 400) -> EngineError:
    return EngineError(f"Cannot update container {id}: {says}", http_status=status)
