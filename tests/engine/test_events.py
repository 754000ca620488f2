"""Event documents, filters and times."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compose_lite.engine.events import Bus, document, matches, parse_time

DIE = document("container", "die", "abc123", {"name": "web", "image": "busybox:1", "exitCode": "1", "tier": "front"}, 1_500_000_000)
HEALTH = document("container", "health_status: healthy", "abc123", {"name": "web"}, 0)
CONNECT = document("network", "connect", "net1", {"name": "bridge", "container": "abc123"}, 0)


def test_the_legacy_fields_stand_on_container_events() -> None:
    assert (DIE["status"], DIE["id"], DIE["from"], DIE["time"], DIE["timeNano"]) == ("die", "abc123", "busybox:1", 1, 1_500_000_000)
    assert "status" not in CONNECT


@pytest.mark.parametrize(
    ("event", "filters", "agrees"),
    [
        (DIE, {}, True),
        (DIE, {"event": ["die", "start"]}, True),
        (DIE, {"event": ["start"]}, False),
        (HEALTH, {"event": ["health_status"]}, True),
        (DIE, {"container": ["web"]}, True),
        (DIE, {"container": ["abc"]}, True),
        (CONNECT, {"container": ["abc"]}, True),
        (CONNECT, {"container": ["zzz"]}, False),
        (DIE, {"type": ["network"]}, False),
        (DIE, {"label": ["tier=front"], "image": ["busybox"]}, True),
        (DIE, {"label": ["tier=front", "tier=back"]}, False),
    ],
)
def test_filters(event: dict[str, Any], filters: dict[str, list[str]], agrees: bool) -> None:
    assert matches(event, filters) is agrees


def test_the_past_is_replayed_until_a_time() -> None:
    now = iter((10, 20, 30, *[40] * 9))
    bus = Bus(clock=lambda: next(now))
    for action in ("create", "start", "die"):
        bus.publish("container", action, "a", {})

    async def listen(since: int | None) -> list[str]:
        return [event["Action"] async for event in bus.listen({}, since=since, until=30)]

    assert asyncio.run(listen(20)) == ["start", "die"]
    assert asyncio.run(listen(None)) == ["create", "start", "die"]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("", None),
        ("12", 12 * 10**9),
        ("12.5", 12_500_000_000),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1m", 40 * 10**9),
        ("1970-01-02", 86400 * 10**9),
    ],
)
def test_times(text: str, ns: int | None) -> None:
    assert parse_time(text, 100 * 10**9) == ns
