"""A build's events as BuildKit's plain lines: `#5 [app 2/3] RUN make`, its output, `#5 DONE 0.4s`. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any


class BuildView:
    """Numbers the steps of all builds of one command as they come."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._started: dict[int, float] = {}
        self._pending: dict[int, str] = {}
        self._last = 0

    def text(self, service: str, event: Mapping[str, Any]) -> str:
        """What is to be written for the event."""
        if "failed" in event:
            return self._failure(event["failed"])
        if "step" not in event:
            return f"{event['stream']}" if event.get("stream") else ""
        key = (service, event["step"])
        fresh = key not in self._numbers
        number = self._numbers.setdefault(key, len(self._numbers) + 1)
        head = f"#{number} {event['title']}\n" if fresh and event.get("title") else ""
        if number != self._last and self._last and (head or "log" in event or event.get("state")):
            head = "\n" + (head or f"#{number} ...\n" if "log" in event else head)
        self._last = number
        if "log" in event:
            return head + self._log(number, event)
        state = event.get("state")
        if state == "started":
            self._started[number] = time.monotonic()
            return head
        rest = self._rest(number)
        words = {"cached": "CACHED", "canceled": "CANCELED", "error": f"ERROR: {event.get('error', '')}"}
        word = words.get(str(state)) or f"DONE {event.get('seconds', 0):.1f}s"
        return f"{head}{rest}#{number} {word}\n"

    def _log(self, number: int, event: Mapping[str, Any]) -> str:
        text = self._pending.pop(number, "") + event["log"]
        whole, newline, rest = text.rpartition("\n")
        if rest:
            self._pending[number] = rest
        if not newline:
            return ""
        return "".join(self._line(number, line, "stream" in event) for line in whole.split("\n"))

    def _line(self, number: int, line: str, timed: bool) -> str:
        at = time.monotonic() - self._started.get(number, time.monotonic())
        return f"#{number} {at:.3f} {line}\n" if timed else f"#{number} {line}\n"

    def _rest(self, number: int) -> str:
        rest = self._pending.pop(number, "")
        return self._line(number, rest, True) if rest else ""

    @staticmethod
    def _failure(failed: Mapping[str, Any]) -> str:
        if not failed.get("step"):
            return ""
        return "\n".join(["------", f" > {failed['step']}:", *failed.get("output", ()), "------", ""])


def check_report(found: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """What `build --check` prints, and how many warnings there are."""
    parts, count = [], 0
    for one in found:
        warnings = one["warnings"]
        count += len(warnings)
        many = f"{len(warnings)} warning{'s have' if len(warnings) > 1 else ' has'} been found!"
        name = f"{one['service']}\n\n" if one["service"] else ""
        parts.append(f"{name}Check complete, {many if warnings else 'no warnings found.'}\n")
        parts += [f"\nWARNING: {row['rule']} - {row['url']}\n{row['says']}\n{row['excerpt']}\n" for row in warnings]
    return "".join(parts), count
