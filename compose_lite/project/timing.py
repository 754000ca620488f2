"""Where the time of an `up` went: spans of work, the critical path through them, and its forms (text, JSON). Pure.

A span begins when what it comes after is done. The critical path goes from the last end back along the latest of those: only what
is on it makes the whole faster. graph/gantt.py draws it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose_lite.project.plan import (
    AwaitCondition,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Keep,
    PreStart,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    Rollout,
    StartContainer,
    StopContainer,
)


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds. what: a service's container, a network, an image; after: indices of earlier spans. parts: seconds by phase, in order."""

    service: str
    what: str
    phase: str
    start: float
    end: float
    after: tuple[int, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def took(self) -> float:
        return self.end - self.start


def told(step: object) -> tuple[str, str, str] | None:
    """(service, what, phase) of a step; None for one that does nothing."""
    match step:
        case CreateNetwork(name):
            return "", f"network {name}", "create"
        case RemoveNetwork(name):
            return "", f"network {name}", "remove"
        case CreateVolume(name):
            return "", f"volume {name}", "create"
        case RemoveVolume(name):
            return "", f"volume {name}", "remove"
        case CreateContainer():
            return step.service, step.name, "recreate" if step.replaces else "create"
        case StopContainer():
            return step.service, step.name, "stop"
        case RemoveContainer():
            return step.service, step.name, "remove"
        case StartContainer():
            return step.service, step.name, "start"
        case AwaitCondition():
            condition = step.condition.removeprefix("service_").replace("_", " ")
            return step.service, step.service, f"wait for {step.needed}: {condition}"
        case PreStart():
            return step.service, step.service, "pre_start"
        case Rollout():
            return step.service, step.service, f"replace {len(step.replacements)}"
        case Keep():
            return None
    return "", type(step).__name__, "work"


def critical(spans: Sequence[Span]) -> list[int]:
    """Indices of the spans that the last end waited for, the first of them first."""
    if not spans:
        return []
    at = max(range(len(spans)), key=lambda index: (spans[index].end, index))
    path = [at]
    while earlier := [index for index in spans[at].after if index < len(spans)]:
        at = max(earlier, key=lambda index: spans[index].end)
        path.append(at)
    return path[::-1]


def whole(spans: Sequence[Span]) -> float:
    return max((s.end for s in spans), default=0.0) - min((s.start for s in spans), default=0.0)


def rows(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """By service in the order of its first span, then by time."""
    first: dict[str, float] = {}
    for span in spans:
        group = span.service or span.what
        first[group] = min(first.get(group, span.start), span.start)
    return sorted(
        enumerate(spans), key=lambda row: (first[row[1].service or row[1].what], row[1].service or row[1].what, row[1].start, row[0])
    )


def as_text(spans: Sequence[Span]) -> str:
    """A line a span, `*` before those of the critical path."""
    path, begin = set(critical(spans)), min((s.start for s in spans), default=0.0)
    cells = [("", "", "PHASE", "FROM", "TOOK", "")]
    for index, span in rows(spans):
        parts = ", ".join(f"{name} {_ms(seconds)}" for name, seconds in span.parts.items() if seconds >= 0.001)
        cells.append(("*" if index in path else "", span.what, span.phase, _ms(span.start - begin), _ms(span.took), parts))
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    lines = [
        f"{row[0]:<1} {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}  {row[5]}".rstrip()
        for row in cells
    ]
    on = sum(spans[index].took for index in path)
    lines.append(f"{_ms(whole(spans))} in all; {_ms(on)} of it on the critical path (*)")
    return "".join(f"{line}\n" for line in lines)


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 10 else f"{seconds * 1000:.0f} ms"


def as_json(spans: Sequence[Span]) -> str:
    path, begin = set(critical(spans)), min((s.start for s in spans), default=0.0)
    found: list[dict[str, Any]] = [
        {
            "service": s.service,
            "what": s.what,
            "phase": s.phase,
            "start": round(s.start - begin, 6),
            "took": round(s.took, 6),
            "critical": index in path,
            "after": list(s.after),
            "parts": {name: round(seconds, 6) for name, seconds in s.parts.items()},
        }
        for index, s in enumerate(spans)
    ]
    return json.dumps({"took": round(whole(spans), 6), "spans": found, "critical": critical(spans)}, indent=2, ensure_ascii=False) + "\n"
