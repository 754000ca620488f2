"""cgroups(7), version 1: OCI resources as files of the controllers, device rules, the freezer, and what a group has used.

One table: limit's words, controller, path in the OCI `resources`, file, format. No file is written here but by `cgroups.py`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    Setting = tuple[str, str, str, str]  # words, controller, file, value
    Reader = Callable[[str, str], str]  # controller, file → content, "" when there is none


def _number(value: Any) -> str:
    return str(int(value))


def _pids(value: Any) -> str:
    return str(int(value)) if int(value) > 0 else "max"


def _flag(value: Any) -> str:
    return "1" if value else ""


def _ranges(value: Any) -> str:
    return str(value)


# A quota is only valid against its period, and memory+swap may not be below memory: the order is theirs.
TABLE: tuple[tuple[str, str, tuple[str, str], str, Callable[[Any], str]], ...] = (
    ("memory limit", "memory", ("memory", "limit"), "memory.limit_in_bytes", _number),
    ("memory and swap limit", "memory", ("memory", "swap"), "memory.memsw.limit_in_bytes", _number),
    ("memory reservation", "memory", ("memory", "reservation"), "memory.soft_limit_in_bytes", _number),
    ("memory swappiness", "memory", ("memory", "swappiness"), "memory.swappiness", _number),
    ("disabled oom killer", "memory", ("memory", "disableOOMKiller"), "memory.oom_control", _flag),
    ("cpu shares", "cpu", ("cpu", "shares"), "cpu.shares", _number),
    ("cpu period", "cpu", ("cpu", "period"), "cpu.cfs_period_us", _number),
    ("cpu limit", "cpu", ("cpu", "quota"), "cpu.cfs_quota_us", _number),
    ("cpu realtime period", "cpu", ("cpu", "realtimePeriod"), "cpu.rt_period_us", _number),
    ("cpu realtime runtime", "cpu", ("cpu", "realtimeRuntime"), "cpu.rt_runtime_us", _number),
    ("cpuset", "cpuset", ("cpu", "cpus"), "cpuset.cpus", _ranges),
    ("cpuset memory nodes", "cpuset", ("cpu", "mems"), "cpuset.mems", _ranges),
    ("pids limit", "pids", ("pids", "limit"), "pids.max", _pids),
    ("block io weight", "blkio", ("blockIO", "weight"), "blkio.weight", _number),
)
_THROTTLE = (
    ("throttleReadBpsDevice", "rbps", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "wbps", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "riops", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "wiops", "blkio.throttle.write_iops_device"),
)
# What a group may have of it is taken from its parent's.
SHARED_OUT = "cpu.rt_runtime_us"
# Where the kernel has the BFQ scheduler's file instead.
OTHER_NAMES = {"blkio.weight": "blkio.bfq.weight", "blkio.weight_device": "blkio.bfq.weight_device"}


def settings(resources: Mapping[str, Any]) -> Iterator[Setting]:
    """What to write where, in order; limits that are not asked for are left out."""
    for words, controller, (section, key), file, form in TABLE:
        value = (resources.get(section) or {}).get(key)
        if value not in (None, "", 0) or (key == "swappiness" and value == 0):
            text = form(value)
            if text:
                yield words, controller, file, text
    block = resources.get("blockIO") or {}
    for one in block.get("weightDevice") or ():
        yield "block io weight of a device", "blkio", "blkio.weight_device", f"{one['major']}:{one['minor']} {one['weight']}"
    for key, word, file in _THROTTLE:
        for one in block.get(key) or ():
            yield f"block io throttle {word}", "blkio", file, f"{one['major']}:{one['minor']} {one['rate']}"
    for one in resources.get("hugepageLimits") or ():
        yield "huge page limit", "hugetlb", f"hugetlb.{one['pageSize']}.limit_in_bytes", str(one["limit"])


def device_rules(rules: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(file, line) for each rule, in order: the last one that matches decides."""
    for rule in rules:
        file = "devices.allow" if rule.get("allow") else "devices.deny"
        kind = rule.get("type") or "a"
        if kind == "a":
            yield file, "a"
            continue
        numbers = ":".join("*" if rule.get(key) in (None, -1) else str(rule[key]) for key in ("major", "minor"))
        yield file, f"{kind} {numbers} {rule.get('access') or 'rwm'}"


def oom_kills(read: Reader) -> int:
    return int(pairs(read("memory", "memory.oom_control")).get("oom_kill", "0"))


def pairs(text: str) -> dict[str, str]:
    """`key value` lines."""
    return dict(line.split(None, 1) for line in text.splitlines() if " " in line)


def usage(read: Reader) -> dict[str, Any]:
    """What the group has used, in the words of cgroups.Group.stats."""
    ticks = 10_000_000  # USER_HZ is 100
    cpu = pairs(read("cpuacct", "cpuacct.stat"))
    throttling = pairs(read("cpu", "cpu.stat"))
    memory = {key: int(value) for key, value in pairs(read("memory", "memory.stat")).items()}
    limit = read("pids", "pids.max").strip()
    return {
        "cpu": {
            "total_ns": int(read("cpuacct", "cpuacct.usage") or 0),
            "user_ns": int(cpu.get("user", 0)) * ticks,
            "system_ns": int(cpu.get("system", 0)) * ticks,
            "per_cpu_ns": [int(one) for one in read("cpuacct", "cpuacct.usage_percpu").split()],
            "periods": int(throttling.get("nr_periods", 0)),
            "throttled_periods": int(throttling.get("nr_throttled", 0)),
            "throttled_ns": int(throttling.get("throttled_time", 0)),
        },
        "memory": {
            "usage": int(read("memory", "memory.usage_in_bytes") or 0),
            "max_usage": int(read("memory", "memory.max_usage_in_bytes") or 0),
            "limit": int(read("memory", "memory.limit_in_bytes") or 0),
            "failures": int(read("memory", "memory.failcnt") or 0),
            "inactive_file": memory.get("total_inactive_file", 0),
            "stat": memory,
        },
        "pids": {"current": int(read("pids", "pids.current") or 0), "limit": 0 if limit in ("", "max") else int(limit)},
        "block_io": {
            "bytes": _block(read("blkio", "blkio.throttle.io_service_bytes_recursive") or read("blkio", "blkio.throttle.io_service_bytes")),
            "operations": _block(read("blkio", "blkio.throttle.io_serviced_recursive") or read("blkio", "blkio.throttle.io_serviced")),
        },
    }


def _block(text: str) -> list[tuple[int, int, str, int]]:
    """`8:0 Read 4096` lines as (major, minor, operation, value)."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:
            major, _, minor = words[0].partition(":")
            found.append((int(major), int(minor), words[1], int(words[2])))
    return found
