"""The compiled filter is run here by a small BPF machine and compared with what the section says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.linux import seccomp
from compose_lite.linux.syscall_numbers import numbers

X86_64, I386 = 0xC000003E, 0x40000003
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ARCHES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
OPERATORS = {
    "SCMP_CMP_EQ": lambda a, v, w: a == v,
    "SCMP_CMP_NE": lambda a, v, w: a != v,
    "SCMP_CMP_LT": lambda a, v, w: a < v,
    "SCMP_CMP_LE": lambda a, v, w: a <= v,
    "SCMP_CMP_GT": lambda a, v, w: a > v,
    "SCMP_CMP_GE": lambda a, v, w: a >= v,
    "SCMP_CMP_MASKED_EQ": lambda a, v, w: a & v == w,
}


def run(program: bytes, arch: int, number: int, args: tuple[int, ...] = ()) -> int:
    data = struct.pack("<IIQ6Q", number, arch, 0, *(args + (0,) * 6)[:6])
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        op, true, false, value = code[at]
        at += 1
        if op == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif op == 0x54:
            accumulator &= value
        elif op == 0x05:
            at += value
        elif op == 0x06:
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value}[op]
            at += true if holds else false


def section(*syscalls: dict[str, object], default: str = "SCMP_ACT_ERRNO") -> dict[str, object]:
    return {"defaultAction": default, "architectures": ARCHES, "syscalls": list(syscalls)}


def allow(*names: str, args: list[dict[str, object]] | None = None) -> dict[str, object]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": args or []}


def test_every_entry_point_follows_the_list() -> None:
    listed = sorted(numbers()["x86_64"])[::2]
    program = seccomp.compile_filter(section(allow(*listed)), "x86_64")
    for arch, audit, bit in (("x86_64", X86_64, 0), ("x86", I386, 0), ("x32", X86_64, 0x40000000)):
        for name, number in numbers()[arch].items():
            expected = ALLOW if name in listed else ERRNO | 1
            found = run(program, audit, number | bit)
            assert found == expected or (found == ERRNO | 38 and name not in listed), (arch, name)


def test_unlisted_architecture_kills_and_newer_calls_do_not_exist() -> None:
    program = seccomp.compile_filter(section(allow("read", "openat2")), "x86_64")
    assert run(program, 0xC00000B7, 0) == KILL
    assert run(program, X86_64, 437) == ALLOW
    assert run(program, X86_64, 438) == ERRNO | 38
    assert run(program, X86_64, 1) == ERRNO | 1
    native_only = seccomp.compile_filter({"defaultAction": "SCMP_ACT_ALLOW"}, "x86_64")
    assert run(native_only, I386, 3) == KILL
    assert run(native_only, X86_64, 0x40000000) == KILL


@given(
    st.sampled_from(sorted(OPERATORS)),
    st.sampled_from([0, 1, 0x20000, 0x7E020000, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1]),
    st.sampled_from([0, 1, 0x20000, 1 << 32]),
    st.sampled_from([0, 1, 2, 0x20000, 0x20001, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 64) - 1]),
)
def test_conditions(operator: str, value: int, second: int, argument: int) -> None:
    rule = allow("clone", args=[{"index": 2, "op": operator, "value": value, "valueTwo": second}])
    program = seccomp.compile_filter(section(rule, allow("read", "write")), "x86_64")
    expected = ALLOW if OPERATORS[operator](argument, value, second) else ERRNO | 1
    assert run(program, X86_64, numbers()["x86_64"]["clone"], (0, 0, argument)) == expected


def test_one_argument_twice_is_either_and_two_arguments_are_both() -> None:
    either = allow("personality", args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": n} for n in (0, 8)])
    both = allow("socket", args=[{"index": 0, "op": "SCMP_CMP_NE", "value": 40}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 1}])
    program = seccomp.compile_filter(section(either, both), "x86_64")
    assert [run(program, X86_64, 135, (n,)) for n in (0, 8, 9)] == [ALLOW, ALLOW, ERRNO | 1]
    assert [run(program, X86_64, 41, pair) for pair in ((2, 1), (40, 1), (2, 2))] == [ALLOW, ERRNO | 1, ERRNO | 1]


def test_errno_and_denying_rules() -> None:
    deny = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17}
    program = seccomp.compile_filter(section(deny, default="SCMP_ACT_ALLOW"), "x86_64")
    assert run(program, X86_64, 83) == ERRNO | 17
    assert run(program, X86_64, 84) == run(program, X86_64, 9999) == ALLOW


@pytest.mark.parametrize(
    "bad",
    [
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000},
        section(allow("read", args=[{"index": 0, "op": "SCMP_CMP_MAYBE", "value": 0}])),
        section(allow("read", args=[{"index": 6, "op": "SCMP_CMP_EQ", "value": 0}])),
    ],
)
def test_what_is_not_understood_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        seccomp.compile_filter(bad, "x86_64")
