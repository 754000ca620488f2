"""The critical path, and that the forms say the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from compose_lite.graph.gantt import Bar, gantt, ticks
from compose_lite.project.timing import Span, as_json, as_text, critical, whole

SPANS = (
    Span("", "network n", "create", 0.0, 0.1),
    Span("db", "db-1", "create", 0.1, 0.2, (0,)),
    Span("web", "web-1", "create", 0.1, 0.3, (0,)),
    Span("db", "db-1", "start", 0.3, 0.5, (1, 2), {"network": 0.15}),
    Span("web", "web", "wait for db: healthy", 0.5, 2.0, (3,)),
    Span("job", "job-1", "start", 0.3, 0.4, (2,)),
)


def test_critical_path() -> None:
    assert critical(SPANS) == [0, 2, 3, 4]
    assert critical(()) == []


def test_text_and_json() -> None:
    text = as_text(SPANS)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("*")] == ["network", "db-1", "web-1", "web"]
    assert "network 150 ms" in text
    assert text.endswith("2000 ms in all; 2000 ms of it on the critical path (*)\n")
    assert [s["critical"] for s in json.loads(as_json(SPANS))["spans"]] == [True, False, True, True, True, False]


def test_svg() -> None:
    drawn = gantt("a < b", [Bar("web", "start", 0, 1, True), Bar("web", "wait", 1, 3), Bar("db", "start", 0, 0)])
    assert "a &lt; b" in drawn
    assert drawn.count('class="bar critical"') == 1
    assert drawn.count("<text x=") == 2


@given(st.floats(0.0005, 5000))
def test_ticks_are_few_and_within(span: float) -> None:
    found = ticks(span)
    assert 1 <= len(found) <= 11
    assert all(0 <= tick <= span * 1.001 for tick in found)


def test_whole() -> None:
    assert whole(SPANS) == 2.0
