"""Builds as BuildKit draws them on a terminal: a line a step with its time, the last lines of what runs below it.

A value that hears events and gives lines; who draws them (cli/progress.py) gives it the size and the time. Pure.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compose_lite.cli.tables import trimmed

RESET, GREEN, RED, BLUE, YELLOW = "\033[0m", "\033[32m", "\033[31m", "\033[34m", "\033[33m"
_COLOURS = {"error": RED, "canceled": YELLOW, "cached": BLUE, "done": BLUE}
_LOG_LINES = 6  # of each step that runs
_CONTROL = re.compile(r"\033\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What would move the cursor or change colours: CSI sequences (ECMA-48) and control characters."""


@dataclass(slots=True)
class _Step:
    title: str
    since: float
    state: str = "running"
    took: float = 0.0
    notes: list[str] = field(default_factory=list)
    output: deque[str] = field(default_factory=lambda: deque([""], maxlen=_LOG_LINES + 1))

    def hear(self, text: str) -> None:
        first, *more = text.split("\n")
        self.output[-1] += first
        self.output.extend(more)

    def lines(self) -> Iterator[tuple[str, str]]:
        """(text, time) each; the output only while it runs."""
        word = {"cached": "CACHED ", "error": "ERROR ", "canceled": "CANCELED "}.get(self.state, "")
        yield f" => {word}{self.title}", f"{self.took:.1f}s"
        yield from ((f" => => {note}", "") for note in self.notes)
        if self.state == "running":
            yield from ((f" => => # {printable(line)}", "") for line in [line for line in self.output if line][-_LOG_LINES:])


class BuildBlock:
    """All steps of the builds that are under way."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str], _Step] = {}
        self._began = 0.0

    def __bool__(self) -> bool:
        return bool(self._steps)

    @property
    def busy(self) -> bool:
        return any(step.state == "running" for step in self._steps.values())

    def hear(self, service: str, event: Mapping[str, Any], now: float) -> None:
        """event: of a build's stream, one that has a `step`. now: seconds of a monotonic clock."""
        key = service, event["step"]
        step = self._steps.get(key)
        if step is None:
            if not event.get("title"):
                return  # the end of one that was drawn and left
            if not self._steps:
                self._began = now
            step = self._steps[key] = _Step(str(event["title"]), now)
        if "log" in event:
            if "stream" in event:
                step.hear(event["log"])
            else:
                step.notes += [line.removesuffix(" done") for line in event["log"].splitlines()]
        elif event.get("state") == "started":
            step.state, step.since = "running", now
        elif state := event.get("state"):
            step.state, step.took = str(state), float(event.get("seconds", now - step.since))

    def cancel(self) -> None:
        """Nobody will tell of the end of what runs."""
        for step in self._steps.values():
            if step.state == "running":
                step.state = "canceled"

    def lines(self, width: int, height: int, now: float, *, colour: bool) -> list[str]:
        """At most height lines of at most width characters: steps that ended longest ago make room first. height 0: all."""
        steps = list(self._steps.values())
        for step in steps:
            if step.state == "running":
                step.took = now - step.since
        ended = sum(step.state != "running" for step in steps)
        head = f"[+] Building {now - self._began:.1f}s ({ended}/{len(steps)}){'' if self.busy else ' FINISHED'}"
        shown = [(step, list(step.lines())) for step in steps]
        if height:
            room = height - 1
            while len(shown) > 1 and sum(len(lines) for _, lines in shown) > room:
                shown.remove(next((one for one in shown if one[0].state != "running"), shown[0]))
            if shown:
                shown = [*shown[:-1], (shown[-1][0], shown[-1][1][: max(room - sum(len(lines) for _, lines in shown[:-1]), 1)])]
        found = [trimmed(head, width)]
        for step, lines in shown:
            tint = _COLOURS.get(step.state, "") if colour else ""
            found += [f"{tint}{_row(text, time, width)}{RESET if tint else ''}" for text, time in lines]
        return found


def _row(text: str, time: str, width: int) -> str:
    if not time:
        return trimmed(text, width)
    room = max(width - len(time) - 1, 1)
    return f"{trimmed(text, room):<{room}} {time}"


def printable(text: str) -> str:
    """A line of a program's output as it would stand on a terminal of its own: what `\\r` wrote over is gone, colours too."""
    return _CONTROL.sub("", text.rstrip("\r").rpartition("\r")[2].expandtabs())
