"""Pulls and pushes: one amount of all layers, an error that the report has heard of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from compose_lite.errors import ApiError
from compose_lite.project import transfers
from compose_lite.project.report import Silent


def test_amounts_are_of_all_layers_so_far() -> None:
    amounts = transfers.Amounts()
    said = [
        amounts.hear({"id": id, "status": "Downloading", "progressDetail": detail})
        for id, detail in (
            ("a", {"current": 1000, "total": 4000}),
            ("b", {"current": 500_000, "total": 1_000_000}),
            ("b", {}),
            ("a", {"current": 4000, "total": 4000}),
        )
    ]
    assert said == ["1kB / 4kB", "501kB / 1MB", "", "504kB / 1MB"]
    assert amounts.hear({"status": "Pulling from library/busybox", "id": "latest"}) == ""


class Heard(Silent):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        self.events.append((status, detail))


class Registry:
    dry = False

    def __init__(self, *events: dict[str, Any], fails: str = "") -> None:
        self.events, self.fails = events, fails

    async def push(self, reference: str) -> AsyncIterator[dict[str, Any]]:
        for event in self.events:
            yield event
        if self.fails:
            raise ApiError(self.fails, http_status=500)


def test_a_push_is_told_from_beginning_to_end() -> None:
    heard = Heard()
    anyio.run(transfers.push, Registry({"id": "a", "progressDetail": {"current": 1, "total": 2}}), "x", heard)
    assert heard.events == [("Pushing", ""), ("Pushing", "1B / 2B"), ("Pushed", "")]


def test_a_failure_is_told_and_raised() -> None:
    heard = Heard()
    with pytest.raises(ApiError, match="denied"):
        anyio.run(transfers.push, Registry(fails="denied"), "x", heard)
    assert heard.events == [("Pushing", ""), ("Error", "denied")]
