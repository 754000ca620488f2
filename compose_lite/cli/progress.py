"""Events of a running plan as live lines on a terminal, plain lines in a pipe, JSON, or nothing. Writes to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

from compose_lite.cli.buildblock import BLUE, GREEN, RED, RESET, BuildBlock
from compose_lite.cli.buildview import BuildView
from compose_lite.cli.context import Context
from compose_lite.cli.tables import trimmed

_COLOURS = {"done": GREEN, "failed": RED, "working": BLUE}
_SIGNS = {"done": "✔", "failed": "✘"}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TICK = 0.1  # seconds between two drawings while something is under way


class Plain:
    """One line a change of state."""

    def __init__(self, out: TextIO, build_out: TextIO | None = None, *, prefix: str = "") -> None:
        self.out, self.prefix = out, prefix
        self._last: dict[str, str] = {}
        self._builds = BuildView()
        self._build_out = build_out or out

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        if self._last.get(kind + name) != status:
            self._last[kind + name] = status
            self.out.write(f"{self.prefix} {f'{kind} {name}'.strip()}  {f'{status} {detail}'.rstrip()}\n")
            self.out.flush()

    def deed(self, name: str, what: str, status: str, *, done: bool = False) -> None:
        """Something done once with a container: `web-1 copy web-1:/x to . Copying`."""
        self.out.write(f"{self.prefix} {name} {what} {status}\n")
        self.out.flush()

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        """A line where something else is waited for than before; that one more probe said the same is none."""
        if self._last.get(f"waiting {name}") != on:
            self._last[f"waiting {name}"] = on
            self._last.pop(kind + name, None)
            self.event(kind, name, "Waiting", detail=probed(on, probe))

    def above(self, text: str, out: TextIO) -> None:
        """Output of containers: it goes above what is redrawn in place."""
        out.write(text)

    def output(self, name: str, text: str) -> None:
        self.out.write("".join(f"{name}  | {line}\n" for line in text.splitlines()))
        self.out.flush()

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        self._build_out.write(self._builds.text(service, event))
        self._build_out.flush()

    def warn(self, text: str) -> None:
        self.out.write(f"WARN: {text}\n")

    def close(self) -> None:
        pass


class Json(Plain):
    """One object a change of state."""

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        row: dict[str, object] = {"dry-run": True} if self.prefix else {}
        row |= {"id": f"{kind} {name}".rstrip(), "status": status, **({"text": detail} if detail else {})}
        self._line({**row, **({"error": True} if failed else {})})

    def deed(self, name: str, what: str, status: str, *, done: bool = False) -> None:
        self._line({**({"dry-run": True} if self.prefix else {}), "id": name, "text": what, "status": status})

    def output(self, name: str, text: str) -> None:
        for line in text.splitlines():
            self._line({"id": name, "text": line})

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        self._line({"id": f"Build {service}".rstrip(), **event})

    def warn(self, text: str) -> None:
        self._line({"warning": True, "text": text})

    def _line(self, row: dict[str, object]) -> None:
        self.out.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")
        self.out.flush()


class Quiet(Plain):
    """Only warnings."""

    def deed(self, name: str, what: str, status: str, *, done: bool = False) -> None:
        pass

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        pass

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        pass

    def output(self, name: str, text: str) -> None:
        pass

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        pass


@dataclass(slots=True)
class _Row:
    state: str  # done, failed or working
    status: str
    detail: str
    since: float
    at: float

    def took(self, now: float) -> str:
        return f"{(now if self.state == 'working' else self.at) - self.since:.1f}s"


class Live(Plain):
    """A block of lines on a terminal, redrawn in place; after `close` plain lines. Above it, while they run, builds' own block."""

    def __init__(
        self,
        out: TextIO,
        build_out: TextIO | None = None,
        *,
        colour: bool,
        size: Callable[[], tuple[int, int]],
        prefix: str = "",
        title: str = "Running",
    ) -> None:
        super().__init__(out, build_out, prefix=prefix)
        self._rows: dict[str, _Row] = {}
        self._block, self._below = BuildBlock(), ""
        self._drawn = 0
        self._over = self._ticking = False
        self._title, self._colour, self._size = title, colour, size
        self._width, self._height = size()

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        if self._over:
            super().event(kind, name, status, done=done, failed=failed, detail=detail)
            return
        now = time.monotonic()
        key = f"{kind} {name}".rstrip()
        since = self._rows[key].since if key in self._rows else now
        self._rows[key] = _Row("failed" if failed else "done" if done else "working", status, detail, since, now)
        if self._block and not self._block.busy and not any(r.status == "Building" for r in self._rows.values()):
            self._leave_block()
        self._draw()

    def deed(self, name: str, what: str, status: str, *, done: bool = False) -> None:
        self.event(name, what, status, done=done)

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        if self._over:
            super().waiting(kind, name, on, probe)
        else:
            self.event(kind, name, "Waiting", detail=probed(on, probe))

    def _schedule(self) -> None:
        """Time goes on in the block while something is under way."""
        if self._ticking or self._over or not (self._block.busy or any(row.state == "working" for row in self._rows.values())):
            return
        with contextlib.suppress(RuntimeError):  # no event loop: nothing waits then
            asyncio.get_running_loop().call_later(_TICK, self._tick)
            self._ticking = True

    def _tick(self) -> None:
        self._ticking = False
        if not self._over:
            self._draw()

    def output(self, name: str, text: str) -> None:
        self._erase()
        super().output(name, text)
        self._draw()

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        if self._over or not self._build_out.isatty():
            super().build(service, event)
        elif "step" in event:
            self._block.hear(service, event, time.monotonic())
            if not self._ticking:  # else the next tick shows it: a step may write thousands of lines a second
                self._draw()
        else:
            self._below += self._builds.text(service, event)

    def _leave_block(self) -> None:
        """The builds' lines as they are stay where they stand; what comes next goes below, first what a failed step has said."""
        self._erase()
        if self._block:
            self._write(self._block.lines(self._width - 1, 0, time.monotonic(), colour=self._colour))
        self.out.write(self._below)
        self._block, self._below = BuildBlock(), ""

    def warn(self, text: str) -> None:
        self._erase()
        super().warn(text)
        self._draw()

    def above(self, text: str, out: TextIO) -> None:
        drawn = bool(self._drawn)
        self._erase()
        self.out.flush()
        out.write(text)
        if drawn:
            out.flush()
            self._draw()

    def _erase(self) -> None:
        if self._drawn:
            self.out.write(f"\033[{self._drawn}A\033[J")
            self._drawn = 0

    def _write(self, lines: Sequence[str]) -> None:
        self.out.write("".join(line + "\n" for line in lines))
        self.out.flush()

    def _draw(self) -> None:
        if self._over or not (self._rows or self._block):
            return
        self._erase()
        now, (self._width, self._height) = time.monotonic(), self._size()
        room = self._height - 1
        lines = (
            self._block.lines(self._width - 1, room - min(len(self._rows) + 1, room // 2), now, colour=self._colour) if self._block else []
        )
        lines += self._running(now, room - len(lines))
        self._write(lines)
        self._drawn = len(lines)
        self._schedule()

    def _running(self, now: float, height: int) -> list[str]:
        """The rows below their heading, in at most height lines: names, what they do, and since when, each in a column."""
        done = sum(row.state == "done" for row in self._rows.values())
        if self._block and done == len(self._rows) - sum(row.status == "Building" for row in self._rows.values()):
            return []  # the builds' own block says it
        shown = list(self._rows.items())
        if len(shown) > height - 1:
            shown = [one for one in shown if one[1].state != "done"][: height - 1] or shown[1 - height :]
        shown = [(f"{self.prefix.strip()}  {key}" if self.prefix else key, row) for key, row in shown]
        longest, wide = max((len(key) for key, _ in shown), default=0), max((len(row.status) for _, row in shown), default=0)
        lines = [f"[+] {self._title} {done}/{len(self._rows)}"]
        for key, row in shown:
            colour = _COLOURS[row.state] if self._colour else ""
            reset, sign = RESET if colour else "", _SIGNS.get(row.state) or _SPINNER[int(now / _TICK) % len(_SPINNER)]
            room = self._width - len(row.took(now)) - 9  # a line that wraps would not be erased whole
            name = trimmed(key, max(room - wide, 8)).ljust(min(longest, max(room - wide, 8)))
            status = trimmed(row.status, max(room - len(name), 8))
            detail = trimmed(row.detail, max(room - len(name) - max(wide, len(status)), 0))
            gap = " " * max(room - len(name) - len(status) - len(detail), 0)
            lines.append(f" {colour}{sign}{reset} {name}  {colour}{status}{reset} {detail}{gap}  {row.took(now)}")
        return lines

    def close(self) -> None:
        if self._block or self._below:
            self._block.cancel()
            self._leave_block()
            self._draw()
        self._drawn = 0
        self._over = True


def _size(out: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal, as it is now."""
    found = os.get_terminal_size(out.fileno()) if out.isatty() else os.terminal_size((80, 24))
    return found.columns or 80, found.lines or 24


def probed(on: str, probe: int) -> str:
    """`probe 3: connection refused`."""
    return f"probe {probe}: {on}" if probe else on


def progress(context: Context, *, quiet: bool = False, build_out: TextIO | None = None, title: str = "Running") -> Plain:
    """The right one for the terminal, --progress and --ansi. build_out: where builds are shown, stderr unless said. title: of the block."""
    out = context.out if context.environ.get("COMPOSE_STATUS_STDOUT", "").lower() in ("1", "true") else context.err
    kind, terminal = context.options.progress, out.isatty()
    prefix = " DRY-RUN MODE - " if context.options.dry_run else ""
    if quiet or kind == "quiet":
        return Quiet(out)
    if kind in ("json", "rawjson"):
        return Json(out, build_out, prefix=prefix)
    dumb = context.environ.get("TERM", "dumb") == "dumb" or bool(context.environ.get("CI"))
    ansi = context.options.ansi
    if kind == "tty" or (kind == "auto" and (ansi == "always" or (terminal and not dumb and ansi != "never"))):
        colour = ansi != "never" and not context.environ.get("NO_COLOR")
        return Live(out, build_out, colour=colour, size=partial(_size, out), prefix=prefix, title=title)
    return Plain(out, build_out, prefix=prefix)
