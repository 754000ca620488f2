"""Restart policies and their back-off, as lists of pairs."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.engine.restart import check, next_wait, starts_again, starts_with_engine
from compose_lite.errors import EngineError


@pytest.mark.parametrize(
    ("previous", "ran_for", "wait"), [(0, 0, 0.1), (0.1, 0, 0.2), (0.2, 9.9, 0.4), (51.2, 0, 60), (60, 0, 60), (60, 10, 0.1)]
)
def test_back_off(previous: float, ran_for: float, wait: float) -> None:
    assert next_wait(previous, ran_for) == wait


ALWAYS, UNLESS, FAILURE = {"Name": "always"}, {"Name": "unless-stopped"}, {"Name": "on-failure"}
TWICE = {"Name": "on-failure", "MaximumRetryCount": 2}


@pytest.mark.parametrize(
    ("policy", "status", "count", "by_hand", "again"),
    [
        ({}, 1, 0, False, False),
        ({"Name": "no"}, 1, 0, False, False),
        (ALWAYS, 0, 100, False, True),
        (ALWAYS, 0, 0, True, False),
        (UNLESS, 0, 0, False, True),
        (FAILURE, 0, 0, False, False),
        (FAILURE, 1, 50, False, True),
        (TWICE, 1, 1, False, True),
        (TWICE, 1, 2, False, False),
    ],
)
def test_who_is_started_again(policy: dict[str, Any], status: int, count: int, by_hand: bool, again: bool) -> None:
    assert starts_again(policy, status, count, by_hand) is again


@pytest.mark.parametrize(
    ("policy", "was_running", "by_hand", "starts"),
    [
        (ALWAYS, False, True, True),
        (UNLESS, False, True, False),
        (UNLESS, True, False, True),
        (FAILURE, True, False, True),
        ({}, True, False, False),
    ],
)
def test_who_starts_after_a_reboot(policy: dict[str, Any], was_running: bool, by_hand: bool, starts: bool) -> None:
    assert starts_with_engine(policy, was_running, by_hand) is starts


@pytest.mark.parametrize(
    "policy", [{"Name": "sometimes"}, {"Name": "always", "MaximumRetryCount": 1}, {"Name": "on-failure", "MaximumRetryCount": -1}]
)
def test_bad_policies_are_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as caught:
        check(policy)
    assert caught.value.http_status == 400
