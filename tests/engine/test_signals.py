"""Which first process of a container notices which signal."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose_lite.engine.signals import reacts

SLEEP = "Name:\tsleep\nNSpid:\t4711\t1\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"
TERM = f"{1 << 14:016x}"


@pytest.mark.parametrize(
    ("status", "number", "found"),
    [
        (SLEEP, 15, False),
        (SLEEP, 9, True),
        (SLEEP.replace("SigCgt:\t0000000000000000", f"SigCgt:\t{TERM}"), 15, True),
        (SLEEP.replace("SigCgt:\t0000000000000000", f"SigCgt:\t{TERM}"), 2, False),
        (SLEEP.replace("SigBlk:\t0000000000000000", f"SigBlk:\t{TERM}"), 15, True),
        (SLEEP.replace("4711\t1", "4711"), 15, True),  # the machine's own pid namespace
        (SLEEP.replace("4711\t1", "4711\t7"), 15, True),  # another container's
        (SLEEP.replace("4711\t1", "4711").replace("SigIgn:\t0000000000000000", f"SigIgn:\t{TERM}"), 15, False),
        ("", 15, None),
    ],
)
def test_reacts(status: str, number: int, found: bool | None) -> None:
    assert reacts(status, number) is found


def test_the_kernel_writes_what_is_read() -> None:
    assert reacts(Path("/proc/self/status").read_text(), 9) is True
