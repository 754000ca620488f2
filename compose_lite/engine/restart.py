"""Restart policies and their back-off. Pure: never reads a clock, never sleeps (containers.py waits).

First wait 100 ms, doubled each time, at most 60 s; a run of 10 s or longer starts over with 100 ms (Docker's numbers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compose_lite.errors import EngineError

FIRST, MOST, LONG_RUN = 0.1, 60.0, 10.0
POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


def next_wait(previous: float, ran_for: float) -> float:
    """Seconds to wait before the next automatic start; previous 0: there was none before."""
    if not previous or ran_for >= LONG_RUN:
        return FIRST
    return min(previous * 2, MOST)


def starts_again(policy: Mapping[str, Any], status: int, count: int, stopped_by_hand: bool) -> bool:
    """Whether a container that ended with this status, after so many automatic starts, is started again."""
    name = policy.get("Name") or "no"
    if stopped_by_hand or name == "no":
        return False
    if name == "on-failure":
        most = int(policy.get("MaximumRetryCount") or 0)
        return status != 0 and (most == 0 or count < most)
    return True


def starts_with_engine(policy: Mapping[str, Any], was_running: bool, stopped_by_hand: bool) -> bool:
    """Whether a stopped container is started when an engine finds it after a reboot."""
    name = policy.get("Name") or "no"
    if name == "always":
        return was_running or stopped_by_hand
    return name in ("unless-stopped", "on-failure") and was_running and not stopped_by_hand


def check(policy: Mapping[str, Any]) -> None:
    """Refuses what Docker refuses, in its words."""
    name, most = policy.get("Name") or "", int(policy.get("MaximumRetryCount") or 0)
    if name not in POLICIES:
        raise EngineError(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            http_status=400,
        )
    if most < 0:
        raise EngineError("invalid restart policy: maximum retry count cannot be negative", http_status=400)
    if most and name != "on-failure":
        raise EngineError("invalid restart policy: maximum retry count can only be used with 'on-failure'", http_status=400)
