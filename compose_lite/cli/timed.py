"""`up --timing`: the times that converge and the images took, put together and written. Asks the engine for the phases of each start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from compose_lite.errors import ApiError
from compose_lite.graph.gantt import Bar, gantt
from compose_lite.project.converge import Converging
from compose_lite.project.plan import StartContainer
from compose_lite.project.report import Report
from compose_lite.project.timing import Span, as_json, as_text, critical, rows, told, whole


def _svg(spans: Sequence[Span]) -> str:
    path = set(critical(spans))
    bars = [
        Bar(s.what, s.phase, s.start, s.end, i in path, ", ".join(f"{n} {t * 1000:.0f} ms" for n, t in s.parts.items()))
        for i, s in rows(spans)
    ]
    return gantt(f"up: {whole(spans) * 1000:.0f} ms", bars)


FORMS: dict[str, Callable[[Sequence[Span]], str]] = {"text": as_text, "json": as_json, "svg": _svg}


@dataclass(slots=True)
class Listening:
    """A report that notes when images came, and passes everything on."""

    to: Report
    began: dict[str, float] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        if kind == "Image":
            began = self.began.setdefault(name, time.monotonic())
            if done:
                self.spans.append(Span("", f"image {name}", "pull" if status == "Pulled" else "build", began, time.monotonic()))
        self.to.event(kind, name, status, done=done, failed=failed, detail=detail)

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        self.to.waiting(kind, name, on, probe)

    def output(self, name: str, text: str) -> None:
        self.to.output(name, text)

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        self.to.build(service, event)

    def warn(self, text: str) -> None:
        self.to.warn(text)


@dataclass(slots=True)
class Timing:
    """When the command's parts began and ended (time.monotonic): (phase, start, end), one after the other, before the plan is run."""

    parts: list[Span] = field(default_factory=list)
    images: list[Span] = field(default_factory=list)
    waits: list[Span] = field(default_factory=list)

    def part(self, phase: str, began: float) -> None:
        self.parts.append(Span("", "(command)", phase, began, time.monotonic()))

    async def spans(self, work: Converging) -> list[Span]:
        """Everything, each with what it came after."""
        found: list[Span] = []
        for part in self.parts:
            found.append(Span("", part.what, part.phase, part.start, part.end, (len(found) - 1,) if found else ()))
        before = (len(found) - 1,) if found else ()
        place: dict[int, int] = {}
        last: dict[str, int] = {}
        for index, (step, after) in enumerate(work.spans):
            said, when = told(step), work.times.get(index)
            if said is None or when is None:
                continue
            place[index] = len(found)
            earlier = tuple(place[n] for n in after if n in place) or before
            parts = await _phases(work, step) if isinstance(step, StartContainer) else {}
            last[said[1]] = len(found)
            found.append(Span(*said, *when, earlier, parts))
        end = max(range(len(found)), key=lambda n: found[n].end, default=-1)
        for wait in self.waits:
            earlier = (last.get(wait.what, end),) if end >= 0 else ()
            found.append(Span(wait.service, wait.what, wait.phase, wait.start, wait.end, earlier))
        return found + self.images


async def _phases(work: Converging, step: StartContainer) -> dict[str, float]:
    """Of our engine; nothing of another one."""
    with suppress(ApiError):
        found: dict[str, float] = (await work.engine.extension("GET", f"containers/{step.id or work.ids[step.name]}/facts"))["Took"]
        return found
    return {}
