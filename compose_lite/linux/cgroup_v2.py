"""cgroups(7), version 2: OCI resources as files of the one tree, and device rules as a BPF program (bpf(2)).

The same functions as cgroup_v1.py. Values are converted as runc and crun do: shares 2..262144 to weight 1..10000, memory+swap to swap.
"""

from __future__ import annotations

import ctypes
import os

from compose_lite.linux.cgroup_v1 import pairs
from compose_lite.linux.syscall import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    Setting = tuple[str, str, str, str]
    Reader = Callable[[str, str], str]

CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def _bytes(value: Any) -> str:
    return "max" if int(value) < 0 else str(int(value))


def _pids(value: Any) -> str:
    return str(int(value)) if int(value) > 0 else "max"


def _weight(shares: Any) -> str:
    return str(1 + (min(max(int(shares), 2), 262_144) - 2) * 9999 // 262_142)


def _io_weight(weight: Any) -> str:
    """blkio's 10..1000 as io's 1..10000."""
    return f"default {1 + (min(max(int(weight), 10), 1000) - 10) * 9999 // 990}"


TABLE: tuple[tuple[str, str, tuple[str, str], str, Callable[[Any], str]], ...] = (
    ("memory limit", "memory", ("memory", "limit"), "memory.max", _bytes),
    ("memory reservation", "memory", ("memory", "reservation"), "memory.low", _bytes),
    ("cpu shares", "cpu", ("cpu", "shares"), "cpu.weight", _weight),
    ("cpuset", "cpuset", ("cpu", "cpus"), "cpuset.cpus", str),
    ("cpuset memory nodes", "cpuset", ("cpu", "mems"), "cpuset.mems", str),
    ("pids limit", "pids", ("pids", "limit"), "pids.max", _pids),
    ("block io weight", "io", ("blockIO", "weight"), "io.weight", _io_weight),
)
# What version 2 has no file for: they are asked for by version 1's, which are missing, so that they count as what cannot be kept.
_MISSING: tuple[tuple[str, str, tuple[str, str], str], ...] = (
    ("memory swappiness", "memory", ("memory", "swappiness"), "memory.swappiness"),
    ("disabled oom killer", "memory", ("memory", "disableOOMKiller"), "memory.oom_control"),
    ("cpu realtime period", "cpu", ("cpu", "realtimePeriod"), "cpu.rt_period_us"),
    ("cpu realtime runtime", "cpu", ("cpu", "realtimeRuntime"), "cpu.rt_runtime_us"),
)
_THROTTLE = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)
OTHER_NAMES = {"io.weight": "io.bfq.weight"}


def settings(resources: Mapping[str, Any]) -> Iterator[Setting]:
    """What to write where, in order; limits that are not asked for are left out."""
    memory, cpu, block = (resources.get(section) or {} for section in ("memory", "cpu", "blockIO"))
    swap, limit = memory.get("swap"), memory.get("limit")
    if swap:
        unlimited = swap < 0 or not limit or limit < 0
        yield "memory and swap limit", "memory", "memory.swap.max", "max" if unlimited else str(max(swap - limit, 0))
    for words, controller, (section, key), file, form in TABLE:
        value = (resources.get(section) or {}).get(key)
        if value not in (None, "", 0):
            yield words, controller, file, form(value)
    for words, controller, (section, key), file in _MISSING:
        value = (resources.get(section) or {}).get(key)
        if value or (value == 0 and key == "swappiness"):
            yield words, controller, file, str(int(value))
    quota, period = cpu.get("quota"), cpu.get("period")
    if quota or period:
        yield "cpu limit", "cpu", "cpu.max", f"{quota if quota and quota > 0 else 'max'} {period or 100_000}"
    for one in block.get("weightDevice") or ():
        yield "block io weight of a device", "io", "io.weight", f"{one['major']}:{one['minor']} {_io_weight(one['weight']).split()[1]}"
    for key, word in _THROTTLE:
        for one in block.get(key) or ():
            yield f"block io throttle {word}", "io", "io.max", f"{one['major']}:{one['minor']} {word}={one['rate']}"
    for one in resources.get("hugepageLimits") or ():
        yield "huge page limit", "hugetlb", f"hugetlb.{one['pageSize']}.max", str(one["limit"])
    for file, value in (resources.get("unified") or {}).items():
        yield file, file.partition(".")[0], file, str(value)


def oom_kills(read: Reader) -> int:
    return int(pairs(read("", "memory.events")).get("oom_kill", "0"))


def usage(read: Reader) -> dict[str, Any]:
    """What the group has used, in the words of cgroups.Group.stats."""
    cpu = {key: int(value) for key, value in pairs(read("", "cpu.stat")).items()}
    memory = {key: int(value) for key, value in pairs(read("", "memory.stat")).items()}
    most, pids = read("", "memory.max").strip(), read("", "pids.max").strip()
    return {
        "cpu": {
            "total_ns": cpu.get("usage_usec", 0) * 1000,
            "user_ns": cpu.get("user_usec", 0) * 1000,
            "system_ns": cpu.get("system_usec", 0) * 1000,
            "per_cpu_ns": [],
            "periods": cpu.get("nr_periods", 0),
            "throttled_periods": cpu.get("nr_throttled", 0),
            "throttled_ns": cpu.get("throttled_usec", 0) * 1000,
        },
        "memory": {
            "usage": int(read("", "memory.current") or 0),
            "max_usage": int(read("", "memory.peak") or 0),
            "limit": 0 if most in ("", "max") else int(most),
            "failures": int(pairs(read("", "memory.events")).get("max", "0")),
            "inactive_file": memory.get("inactive_file", 0),
            "stat": memory,
        },
        "pids": {"current": int(read("", "pids.current") or 0), "limit": 0 if pids in ("", "max") else int(pids)},
        "block_io": _block(read("", "io.stat")),
    }


def _block(text: str) -> dict[str, list[tuple[int, int, str, int]]]:
    """`8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...` lines in version 1's words."""
    words = {"rbytes": ("bytes", "Read"), "wbytes": ("bytes", "Write"), "rios": ("operations", "Read"), "wios": ("operations", "Write")}
    found: dict[str, list[tuple[int, int, str, int]]] = {"bytes": [], "operations": []}
    for line in text.splitlines():
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        for field in fields:
            key, _, value = field.partition("=")
            if key in words:
                into, operation = words[key]
                found[into].append((int(major), int(minor), operation, int(value)))
    return found


# Device rules

_MKNOD, _READ, _WRITE = 1, 2, 4
_ACCESS = {"m": _MKNOD, "r": _READ, "w": _WRITE}
_KIND = {"b": 1, "c": 2}
_PROG_LOAD, _PROG_ATTACH, _CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE, _ALLOW_MULTI = 5, 8, 15, 6, 2
_LDX_W, _MOV32, _MOV32_K, _AND32_K, _RSH32_K, _JNE_K, _JEQ_K, _EXIT = 0x61, 0xBC, 0xB4, 0x54, 0x74, 0x55, 0x15, 0x95


def _instruction(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return bytes((code, src << 4 | dst)) + offset.to_bytes(2, "little", signed=True) + (value & 0xFFFFFFFF).to_bytes(4, "little")


def device_program(rules: Sequence[Mapping[str, Any]]) -> bytes:
    """The rules as BPF: read from the last one back, the first that matches decides; nothing matches: refused.

    Registers: r2 kind of device, r3 access wanted, r4 major, r5 minor. An allowing rule matches when it has all that is
    wanted, a denying one when it has any of it.
    """
    program = [
        _instruction(_LDX_W, 2, 1, 0),
        _instruction(_MOV32, 3, 2),
        _instruction(_AND32_K, 2, value=0xFFFF),
        _instruction(_RSH32_K, 3, value=16),
        _instruction(_LDX_W, 4, 1, 4),
        _instruction(_LDX_W, 5, 1, 8),
    ]
    for rule in reversed(rules):
        program += _rule(rule)
        if (rule.get("type") or "a") == "a" and len(_rule(rule)) == 2:
            return b"".join(program)
    program += [_instruction(_MOV32_K, 0, value=0), _instruction(_EXIT)]
    return b"".join(program)


def _rule(rule: Mapping[str, Any]) -> list[bytes]:
    kind, allow = rule.get("type") or "a", bool(rule.get("allow"))
    access = 0
    for letter in rule.get("access") or "rwm":
        access |= _ACCESS.get(letter, 0)
    tests: list[tuple[int, int, int]] = []  # code, register, value: jumps over the verdict
    if kind != "a":
        tests.append((_JNE_K, 2, _KIND[kind]))
    extra: list[bytes] = []
    if access != 7:
        extra = [_instruction(_MOV32, 1, 3), _instruction(_AND32_K, 1, value=~access if allow else access)]
    verdict = [_instruction(_MOV32_K, 0, value=int(allow)), _instruction(_EXIT)]
    for register, key in ((4, "major"), (5, "minor")):
        if rule.get(key) not in (None, -1):
            tests.append((_JNE_K, register, int(rule[key])))
    last = [(_JNE_K if allow else _JEQ_K, 1, 0)] if extra else []
    total = len(tests) + len(extra) + len(last) + len(verdict)
    made: list[bytes] = []
    for code, register, value in tests:
        made.append(_instruction(code, register, offset=total - len(made) - 1, value=value))
    made += extra
    for code, register, value in last:
        made.append(_instruction(code, register, offset=total - len(made) - 1, value=value))
    return made + verdict


def attach_device_program(folder: str, program: bytes) -> None:
    """Loads it and attaches it to the group, where it stays for the group's life."""

    class _Load(ctypes.Structure):
        _fields_ = (
            ("kind", ctypes.c_uint32), ("count", ctypes.c_uint32), ("instructions", ctypes.c_void_p), ("license", ctypes.c_char_p),
            ("log_level", ctypes.c_uint32), ("log_size", ctypes.c_uint32), ("log", ctypes.c_void_p), ("version", ctypes.c_uint32),
            ("flags", ctypes.c_uint32),
        )  # fmt: skip

    class _Attach(ctypes.Structure):
        _fields_ = (("target", ctypes.c_uint32), ("program", ctypes.c_uint32), ("kind", ctypes.c_uint32), ("flags", ctypes.c_uint32))

    held = ctypes.create_string_buffer(program, len(program))
    load = _Load(kind=_CGROUP_DEVICE_PROGRAM, count=len(program) // 8, instructions=ctypes.addressof(held), license=b"Apache")
    loaded = syscall("bpf", _PROG_LOAD, ctypes.byref(load), ctypes.sizeof(load))
    try:
        group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attach = _Attach(target=group, program=loaded, kind=_CGROUP_DEVICE, flags=_ALLOW_MULTI)
            syscall("bpf", _PROG_ATTACH, ctypes.byref(attach), ctypes.sizeof(attach))
        finally:
            os.close(group)
    finally:
        os.close(loaded)
