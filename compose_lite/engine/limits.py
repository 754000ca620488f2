"""Limits that this machine cannot keep, as warnings of a container's creation and facts of GET /info. Pure.

Each limit once, in Docker's words, since programs look for them; where the kernel could and only no group of ours has the controller,
that is added. What Docker refuses for (`NanoCpus`, real-time CPU) is a warning too: a container without its limit runs better than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# The words of linux/cgroup_v1.py and cgroup_v2.py -> what the kernel lacks, and what becomes of the wish.
_SAYS: dict[str, tuple[str, str]] = {
    "memory limit": ("memory limit capabilities or the cgroup is not mounted", "Limitation discarded"),
    "memory and swap limit": ("swap limit capabilities or the cgroup is not mounted", "Memory limited without swap"),
    "memory reservation": ("memory soft limit capabilities or the cgroup is not mounted", "Limitation discarded"),
    "memory swappiness": ("memory swappiness capabilities or the cgroup is not mounted", "Memory swappiness discarded"),
    "disabled oom killer": ("OomKillDisable", "OomKillDisable discarded"),
    "cpu shares": ("CPU shares or the cgroup is not mounted", "Shares discarded"),
    "cpu period": ("CPU CFS scheduler", "CPU period/quota discarded"),
    "cpu limit": ("CPU CFS scheduler", "CPU period/quota discarded"),
    "cpu realtime period": ("CPU real-time scheduler", "CPU real-time period/runtime discarded"),
    "cpu realtime runtime": ("CPU real-time scheduler", "CPU real-time period/runtime discarded"),
    "cpuset": ("cpuset or the cgroup is not mounted", "Cpuset discarded"),
    "cpuset memory nodes": ("cpuset or the cgroup is not mounted", "Cpuset discarded"),
    "pids limit": ("PIDs limit capabilities or the cgroup is not mounted", "PIDs limit discarded"),
    "block io weight": ("Block I/O weight or the cgroup is not mounted", "Weight discarded"),
    "block io weight of a device": ("Block I/O weight_device or the cgroup is not mounted", "Weight-device discarded"),
    "block io throttle rbps": ("BPS Block I/O read limit or the cgroup is not mounted", "Block I/O BPS read limit discarded"),
    "block io throttle wbps": ("BPS Block I/O write limit or the cgroup is not mounted", "Block I/O BPS write limit discarded"),
    "block io throttle riops": ("IOPS Block read limit or the cgroup is not mounted", "Block I/O IOPS read limit discarded"),
    "block io throttle wiops": ("IOPS Block write limit or the cgroup is not mounted", "Block I/O IOPS write limit discarded"),
}
_KERNEL_MEMORY = {
    "KernelMemory": ("kernel memory limit capabilities", "Limitation discarded"),
    "KernelMemoryTCP": ("kernel memory TCP limit capabilities", "Limitation discarded"),
}
# Everything that GET /info tells of: its fields by the words of the limits that they are about.
_FACTS = {
    "MemoryLimit": "memory limit",
    "SwapLimit": "memory and swap limit",
    "CpuCfsPeriod": "cpu limit",
    "CpuCfsQuota": "cpu limit",
    "CPUShares": "cpu shares",
    "CPUSet": "cpuset",
    "PidsLimit": "pids limit",
    "OomKillDisable": "disabled oom killer",
}
EVERYTHING: dict[str, Any] = {
    "memory": {"limit": 1, "swap": 1, "disableOOMKiller": True},
    "cpu": {"shares": 2, "quota": 1000, "period": 1000, "cpus": "0"},
    "pids": {"limit": 1},
}
"""Resources of which `unkept` tells what `facts` wants to know."""


def warnings(unkept: Mapping[str, str], host: Mapping[str, Any]) -> list[str]:
    """unkept: as linux/cgroups.py has it. What is asked for and exists nowhere any more (kernel memory) is said too."""
    if "memory limit" in unkept:  # of its swap there is nothing to say then
        unkept = {words: why for words, why in unkept.items() if words != "memory and swap limit"}
    found = [_sentence(*_SAYS.get(words, (words, "Limitation discarded")), why) for words, why in unkept.items()]
    found += [_sentence(*says, "") for key, says in _KERNEL_MEMORY.items() if (host.get(key) or 0) > 0]
    return list(dict.fromkeys(found))


def unsaid(unmet: Iterable[str], said: Iterable[str]) -> list[str]:
    """Of what a start could not set (`memory limit: why`), that of which the creation's warnings had nothing."""
    known = tuple(said)

    def is_said(words: str) -> bool:
        what = _SAYS.get(words, (words, ""))[0]
        return any(f"does not support {what}." in sentence for sentence in known)

    return [limit for limit in unmet if not is_said(limit.partition(":")[0])]


def _sentence(what: str, outcome: str, controller: str) -> str:
    why = f" (no cgroup of ours has the controller {controller}: docs/rootless.md)" if controller else ""
    return f"Your kernel does not support {what}. {outcome}.{why}"


def facts(unkept: Iterable[str]) -> dict[str, bool]:
    lost = set(unkept)
    return {field: words not in lost for field, words in _FACTS.items()}
