"""The policy of healthchecks as pairs of values, and the task on a clock that does not wait."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from compose_lite.engine import health
from compose_lite.engine.execs import read_out
from compose_lite.engine.health import HEALTHY, STARTING, UNHEALTHY, Check


@pytest.mark.parametrize(
    ("test", "argv"),
    [
        (["CMD", "a", "b"], ("a", "b")),
        (["CMD-SHELL", "a b"], ("/bin/sh", "-c", "a b")),
        (["NONE"], None),
        ([], None),
        (["CMD"], None),
    ],
)
def test_checks(test: list[str], argv: tuple[str, ...] | None) -> None:
    found = health.check_of({"Healthcheck": {"Test": test}})
    assert (found and found.argv) == argv


def test_times_and_defaults() -> None:
    assert health.check_of({"Healthcheck": {"Test": ["CMD", "a"]}}) == Check(("a",), 30, 30, 3, 0, 5)
    given = {
        "Test": ["CMD-SHELL", "a"],
        "Interval": 10**9,
        "Timeout": 2 * 10**9,
        "Retries": 9,
        "StartPeriod": 10**8,
        "StartInterval": 10**7,
    }
    assert health.check_of({"Healthcheck": given, "Shell": ["/bin/ash", "-c"]}) == Check(("/bin/ash", "-c", "a"), 1, 2, 9, 0.1, 0.01)


def after(results: list[int], check: Check, since: float = 100.0) -> dict[str, Any]:
    found = health.fresh()
    for code in results:
        found = health.after(found, check, health.result(0, 1, code, b"out"), since)
    return found


@pytest.mark.parametrize(
    ("results", "since", "status", "streak"),
    [
        ([], 0, STARTING, 0),
        ([0], 0, HEALTHY, 0),
        ([1, 1], 100, STARTING, 2),
        ([1, 1, 1], 100, UNHEALTHY, 3),
        ([1, 1, 0, 1, 1], 100, HEALTHY, 2),
        ([1, 1, 1, 0], 100, HEALTHY, 0),
        ([0, 1, 1, 1], 100, UNHEALTHY, 3),
        ([1] * 9, 5, STARTING, 0),  # in the start period failures do not count
        ([0, 1, 1, 1], 5, UNHEALTHY, 3),  # but once it was healthy they do
    ],
)
def test_statuses(results: list[int], since: float, status: str, streak: int) -> None:
    found = after(results, Check(("a",), start_period=10), since)
    assert (found["Status"], found["FailingStreak"]) == (status, streak)


def test_five_results_are_kept_and_output_is_cut() -> None:
    assert len(after([0] * 9, Check(("a",)))["Log"]) == 5
    assert health.result(0, 1, 0, b"x" * 10_000)["Output"] == "x" * 4096
    assert health.result(0, 1, 0, b"\xff")["Output"] == "\ufffd"


def test_the_start_interval_counts_in_the_start_period_alone() -> None:
    check = Check(("a",), interval=30, start_period=10, start_interval=1)
    assert health.wait(health.fresh(), check, 5) == 1
    assert health.wait(health.fresh(), check, 11) == 30
    assert health.wait(after([0], check), check, 5) == 30


def test_a_check_that_succeeds_early_is_noticed_early_and_failures_wait_for_dockers_clock() -> None:
    async def scenario() -> list[str]:
        state, told = health.fresh(), []
        answers = iter([1, 1, 1])

        async def probe(check: Check) -> tuple[int, bytes]:
            return next(answers, 0), b""

        def put(found: dict[str, Any]) -> None:
            nonlocal state
            state = found
            told.append(found["Status"])

        task = asyncio.ensure_future(health.watch(Check(("a",), interval=30, retries=1), probe, lambda: state, put))
        async with asyncio.timeout(5):
            while not told:
                await asyncio.sleep(0.01)
        task.cancel()
        return told

    assert asyncio.run(scenario()) == [HEALTHY]


def test_what_an_ended_probe_has_said_is_there_though_a_child_of_it_holds_the_pipe() -> None:
    """Its end used to be noticed a tenth of a second later then, and when the process that started it was slow to end."""
    reading, writing = os.pipe()
    try:
        os.write(writing, b"said")
        said: list[bytes] = []
        read_out(reading, said.append)
        assert said == [b"said"]
    finally:
        os.close(reading)
        os.close(writing)
