"""seccomp(2): an OCI seccomp section compiled to a BPF program that finds the call's number by a binary search.

Fails closed: an action, operator or architecture it does not know is an error, and an entry point (architecture) that the
section does not list kills the process. Calls newer than all that the section names get ENOSYS instead of its error, so that a libc
falls back (as runc does). Names that no table knows are skipped, as libseccomp does. Runs in the engine, never in the zygote.
"""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compose_lite.linux.syscall_numbers import X32_BIT, numbers

_LOAD, _JEQ, _JGT, _JGE, _JA, _AND, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x05, 0x54, 0x06
_AT_NUMBER, _AT_ARCH, _AT_ARGS = 0, 4, 16
_KILL_PROCESS, _ERRNO, _EPERM, _ENOSYS, _MOST_ERRNO = 0x80000000, 0x00050000, 1, 38, 4095
_ACTIONS = {
    "SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0, "SCMP_ACT_KILL_PROCESS": _KILL_PROCESS, "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": 0x7FF00000, "SCMP_ACT_LOG": 0x7FFC0000, "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
# OCI name: table, AUDIT_ARCH_*
_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": ("x86_64", 0xC000003E), "SCMP_ARCH_X86": ("x86", 0x40000003), "SCMP_ARCH_X32": ("x32", 0xC000003E),
    "SCMP_ARCH_AARCH64": ("arm64", 0xC00000B7),
}  # fmt: skip
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
# Known to the OCI, without a table here: their entry points are closed.
_CLOSED = tuple("SCMP_ARCH_" + family for family in ("ARM", "MIPS", "PPC", "S390", "PARISC", "RISCV64", "LOONGARCH64"))

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value
Condition = tuple[int, str, int, int]  # argument, operator, value, second value
Rule = tuple[tuple[Condition, ...], int]  # all of these → verdict


def compile_base64(section: Mapping[str, Any]) -> str:
    return base64.b64encode(compile_filter(section)).decode()


def compile_filter(section: Mapping[str, Any], machine: str = "") -> bytes:
    """The program as struct sock_filter[]. ValueError for what it does not understand."""
    default = _verdict(section["defaultAction"], section.get("defaultErrnoRet"))
    wanted = list(section.get("architectures") or [])
    native = _NATIVE.get(machine or os.uname().machine)
    if native is None:
        raise ValueError(f"no seccomp call table for {machine or os.uname().machine}")
    for name in wanted:
        if name not in _ARCHITECTURES and not name.startswith(_CLOSED):
            raise ValueError(f"unknown seccomp architecture {name!r}")
    tables, programs = numbers(), {}
    rules = _rules(section.get("syscalls") or ())
    for name in dict.fromkeys([native, *wanted]):
        if name in _ARCHITECTURES:
            table, audit = _ARCHITECTURES[name]
            programs[name] = (audit, _calls(rules, tables[table], default))
    return b"".join(struct.pack("<HBBI", *one) for one in _whole(programs, default))


def _verdict(action: str, errno: int | None) -> int:
    if action not in _ACTIONS:
        raise ValueError(f"unknown seccomp action {action!r}")
    if action not in _WITH_ERRNO:
        return _ACTIONS[action]
    number = _EPERM if errno is None else int(errno)
    if not 0 <= number <= _MOST_ERRNO:
        raise ValueError(f"seccomp errno {number} is out of range")
    return _ACTIONS[action] | number


def _rules(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[Rule]]:
    """Call → its rules, in order. Two conditions on one argument are alternatives (runc), on several all must hold."""
    found: dict[str, list[Rule]] = {}
    for entry in entries:
        verdict = _verdict(entry["action"], entry.get("errnoRet"))
        conditions = [_condition(one) for one in entry.get("args") or ()]
        indexes = [one[0] for one in conditions]
        alternatives = [(one,) for one in conditions] if len(set(indexes)) < len(indexes) else [tuple(conditions)]
        for name in entry.get("names") or [entry["name"]]:
            found.setdefault(name, []).extend((one, verdict) for one in alternatives)
    return found


def _condition(entry: Mapping[str, Any]) -> Condition:
    index, operator = int(entry["index"]), entry["op"]
    if operator not in _TESTS or not 0 <= index <= 5:
        raise ValueError(f"unknown seccomp condition {dict(entry)!r}")
    return index, operator, int(entry.get("value") or 0), int(entry.get("valueTwo") or 0)


def _calls(rules: Mapping[str, list[Rule]], table: Mapping[str, int], default: int) -> list[tuple[int, tuple[Rule, ...]]]:
    """(first number, rules) of each range of calls that are treated alike, ascending from 0."""
    by_number = {table[name]: _effective(found, default) for name, found in rules.items() if name in table}
    newest = max(by_number, default=-1)
    beyond = ((), default) if default in (_ACTIONS["SCMP_ACT_ALLOW"], _ACTIONS["SCMP_ACT_LOG"]) or newest < 0 else ((), _ERRNO | _ENOSYS)
    ranges: list[tuple[int, tuple[Rule, ...]]] = []
    for number in range(newest + 2):
        treated = (beyond,) if number > newest else by_number.get(number, (((), default),))
        if not ranges or ranges[-1][1] != treated:
            ranges.append((number, treated))
    return ranges


def _effective(rules: Sequence[Rule], default: int) -> tuple[Rule, ...]:
    """Up to the first one without a condition, or the default; a condition before it that says the same is dropped."""
    last = next((one for one in rules if not one[0]), ((), default))
    tested = [one for one in rules if one[0] and one[1] != last[1]]
    return (*tested, last)


def _whole(programs: Mapping[str, tuple[int, list[tuple[int, tuple[Rule, ...]]]]], default: int) -> list[Instruction]:
    x32 = _tree(programs["SCMP_ARCH_X32"][1], X32_BIT) if "SCMP_ARCH_X32" in programs else [(_RETURN, 0, 0, _KILL_PROCESS)]
    made: list[Instruction] = [(_LOAD, 0, 0, _AT_ARCH)]
    for name, (audit, ranges) in programs.items():
        if name == "SCMP_ARCH_X32":
            continue
        body = [(_LOAD, 0, 0, _AT_NUMBER)]
        if name == "SCMP_ARCH_X86_64":
            # x32 calls come in by x86_64's door, with bit 30 of the number set
            body += _branch(_JGE, X32_BIT, _tree(ranges, 0), x32)
        else:
            body += _tree(ranges, 0)
        made += [(_JEQ, 1, 0, audit), (_JA, 0, 0, len(body)), *body]
    made.append((_RETURN, 0, 0, _KILL_PROCESS))
    return made


def _branch(code: int, value: int, otherwise: list[Instruction], then: list[Instruction]) -> list[Instruction]:
    """`then` when the test holds, placed after `otherwise`; a jump of more than 255 takes one more instruction."""
    if len(otherwise) <= 255:
        return [(code, len(otherwise), 0, value), *otherwise, *then]
    return [(code, 0, 1, value), (_JA, 0, 0, len(otherwise)), *otherwise, *then]


def _tree(ranges: list[tuple[int, tuple[Rule, ...]]], offset: int) -> list[Instruction]:
    if len(ranges) == 1:
        return _treatment(ranges[0][1])
    middle = len(ranges) // 2
    return _branch(_JGE, ranges[middle][0] + offset, _tree(ranges[:middle], offset), _tree(ranges[middle:], offset))


def _treatment(rules: Iterable[Rule]) -> list[Instruction]:
    made: list[Instruction] = []
    for conditions, verdict in rules:
        block: list[tuple[int, str | int, str | int, int]] = []
        for index, operator, value, second in conditions:
            block += _TESTS[operator](_AT_ARGS + 8 * index, value, second)
            block.append((-1, "here", "", 0))  # where this condition's `ok` goes
        made += [*_resolve(block), (_RETURN, 0, 0, verdict)]
    return made


def _resolve(block: list[tuple[int, str | int, str | int, int]]) -> list[Instruction]:
    """Symbolic jumps to distances: `ok` is the end of the condition, `no` is behind the verdict that follows the block."""
    length = sum(1 for one in block if one[0] != -1)
    made: list[Instruction] = []
    for at, (code, true, false, value) in enumerate(block):
        if code == -1:
            continue
        ahead = next(i for i in range(at, len(block)) if block[i][0] == -1) - at - 1
        reach = {"ok": ahead, "no": length - len(made), "": 0}
        made.append((code, _distance(true, reach), _distance(false, reach), value))
    return made


def _distance(target: str | int, reach: Mapping[str, int]) -> int:
    return target if isinstance(target, int) else reach[target]


Test = list[tuple[int, str | int, str | int, int]]


def _halves(value: int) -> tuple[int, int]:
    return value >> 32 & 0xFFFFFFFF, value & 0xFFFFFFFF


def _equal(at: int, value: int, second: int) -> Test:
    high, low = _halves(value)
    return [(_LOAD, 0, 0, at + 4), (_JEQ, 0, "no", high), (_LOAD, 0, 0, at), (_JEQ, "ok", "no", low)]


def _unequal(at: int, value: int, second: int) -> Test:
    high, low = _halves(value)
    return [(_LOAD, 0, 0, at + 4), (_JEQ, 0, "ok", high), (_LOAD, 0, 0, at), (_JEQ, "no", "ok", low)]


def _masked_equal(at: int, value: int, second: int) -> Test:
    (mask_high, mask_low), (high, low) = _halves(value), _halves(second)
    return [
        (_LOAD, 0, 0, at + 4), (_AND, 0, 0, mask_high), (_JEQ, 0, "no", high),
        (_LOAD, 0, 0, at), (_AND, 0, 0, mask_low), (_JEQ, "ok", "no", low),
    ]  # fmt: skip


def _above(last: int, yes: str, no: str) -> Any:
    def test(at: int, value: int, second: int) -> Test:
        high, low = _halves(value)
        return [(_LOAD, 0, 0, at + 4), (_JGT, yes, 0, high), (_JEQ, 0, no, high), (_LOAD, 0, 0, at), (last, yes, no, low)]

    return test


_TESTS = {
    "SCMP_CMP_EQ": _equal,
    "SCMP_CMP_NE": _unequal,
    "SCMP_CMP_MASKED_EQ": _masked_equal,
    "SCMP_CMP_GT": _above(_JGT, "ok", "no"),
    "SCMP_CMP_GE": _above(_JGE, "ok", "no"),
    "SCMP_CMP_LE": _above(_JGT, "no", "ok"),
    "SCMP_CMP_LT": _above(_JGE, "no", "ok"),
}
