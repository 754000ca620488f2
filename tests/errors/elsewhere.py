"""Errors whose examples are run on a real engine, and those that no test runs, with why and what else tests them."""

from __future__ import annotations

from tests.system.error_situations import SITUATIONS

RUN_BY_SYSTEM_TESTS = frozenset(SITUATIONS)
"""tests/system/test_error_pages.py runs them on a real engine."""

REASONS: dict[str, str] = {
    "container-pause": "a cgroup that does not freeze",
    "monitor-gone": "a monitor that was killed: another one or the engine has its container before a command sees it (test_kill9.py)",
}
