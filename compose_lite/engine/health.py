"""Healthchecks: the policy (pure, on top) and the task that probes (below).

First probe one interval after the start; within start_period and still starting, start_interval counts and failures do not;
one success is healthy, `retries` failures in a row are unhealthy. While a container is starting the very first probe comes
at once and further ones follow quickly: a check that already succeeds is noticed when it does, failures still count by Docker's clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from compose_lite.units import rfc3339

Document = dict[str, Any]
STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
KEPT, OUTPUT_LIMIT = 5, 4096
EAGER_FIRST, EAGER_MOST = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """Seconds."""

    argv: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 5.0


def check_of(config: Document) -> Check | None:
    """The check of a container's Config; None when it has none."""
    health = config.get("Healthcheck") or {}
    test = health.get("Test") or []
    if not test or test[0] in ("NONE", "") or len(test) < 2:
        return None
    argv = (*(config.get("Shell") or ["/bin/sh", "-c"]), test[1]) if test[0] == "CMD-SHELL" else tuple(test[1:])

    def seconds(key: str, default: float) -> float:
        return (health.get(key) or 0) / 1e9 or default

    return Check(
        tuple(argv),
        seconds("Interval", 30.0),
        seconds("Timeout", 30.0),
        health.get("Retries") or 3,
        seconds("StartPeriod", 0.0),
        seconds("StartInterval", 5.0),
    )


def fresh() -> Document:
    return {"Status": STARTING, "FailingStreak": 0, "Log": []}


def after(health: Document, check: Check, result: Document, since_start: float) -> Document:
    """The health after one probe's result."""
    log = [*health["Log"], result][-KEPT:]
    if result["ExitCode"] == 0:
        return {"Status": HEALTHY, "FailingStreak": 0, "Log": log}
    if health["Status"] == STARTING and since_start < check.start_period:
        return {**health, "Log": log}
    streak = health["FailingStreak"] + 1
    status = UNHEALTHY if streak >= check.retries else health["Status"]
    return {"Status": status, "FailingStreak": streak, "Log": log}


def wait(health: Document, check: Check, since_start: float) -> float:
    """Seconds from the end of a probe to the next one that counts."""
    if health["Status"] == STARTING and since_start < check.start_period:
        return min(check.start_interval, check.interval)
    return check.interval


def result(started: int, ended: int, exit_code: int, output: bytes) -> Document:
    text = output[:OUTPUT_LIMIT].decode("utf-8", "replace")
    return {"Start": rfc3339(started), "End": rfc3339(ended), "ExitCode": exit_code, "Output": text}


Probe = Callable[[Check], Awaitable[tuple[int, bytes]]]


def _nobody(found: Document, count: int) -> None:
    pass


async def watch(
    check: Check,
    probe: Probe,
    get: Callable[[], Document],
    put: Callable[[Document], None],
    tell: Callable[[Document, int], None] = _nobody,
) -> None:
    """Probes until cancelled. get and put: the container's health; put tells the world. tell: every probe and its number, before that."""
    count = 0
    born = time.monotonic()
    due = born + wait(get(), check, 0.0)
    eager = EAGER_FIRST
    while True:
        starting = get()["Status"] == STARTING
        pause = max(0.0, due - time.monotonic())
        counts = not starting or eager >= pause
        await asyncio.sleep(pause if counts else eager)
        eager = min(eager * 2, EAGER_MOST)
        started = time.time_ns()
        code, output = await probe(check)
        found = result(started, time.time_ns(), code, output)
        count += 1
        tell(found, count)
        if code == 0 or counts:
            put(after(get(), check, found, time.monotonic() - born))
            due = time.monotonic() + wait(get(), check, time.monotonic() - born)
