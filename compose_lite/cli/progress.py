"""Events of a running plan as live lines on a terminal, plain lines in a pipe, JSON, or nothing. Writes to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, TextIO

from compose_lite.cli.buildview import BuildView
from compose_lite.cli.context import Context
from compose_lite.cli.tables import trimmed

_RESET, _GREEN, _RED, _BLUE = "\033[0m", "\033[32m", "\033[31m", "\033[34m"
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
            self.out.write(f"{self.prefix} {f'{kind} {name}'.rstrip()}  {f'{status} {detail}'.rstrip()}\n")
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

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        pass

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        pass

    def output(self, name: str, text: str) -> None:
        pass

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        pass


class Live(Plain):
    """A block of lines on a terminal, redrawn in place; after `close` plain lines."""

    def __init__(self, out: TextIO, build_out: TextIO | None = None, *, colour: bool, size: tuple[int, int], prefix: str = "") -> None:
        super().__init__(out, build_out, prefix=prefix)
        self._rows: dict[str, tuple[str, str, str, float, float]] = {}
        self._drawn = 0
        self._over = self._ticking = False
        self._colour, (self._width, self._height) = colour, size

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        if self._over:
            super().event(kind, name, status, done=done, failed=failed, detail=detail)
            return
        now = time.monotonic()
        key = f"{kind} {name}".rstrip()
        since = self._rows[key][3] if key in self._rows else now
        state = "failed" if failed else "done" if done else "working"
        self._rows[key] = (state, status, detail, since, now)
        self._draw()
        self._schedule()

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        if self._over:
            super().waiting(kind, name, on, probe)
        else:
            self.event(kind, name, "Waiting", detail=probed(on, probe))

    def _schedule(self) -> None:
        """Time goes on in the block while something is under way."""
        if self._ticking or self._over or all(row[0] != "working" for row in self._rows.values()):
            return
        with contextlib.suppress(RuntimeError):  # no event loop: nothing waits then
            asyncio.get_running_loop().call_later(_TICK, self._tick)
            self._ticking = True

    def _tick(self) -> None:
        self._ticking = False
        if not self._over:
            self._draw()
            self._schedule()

    def output(self, name: str, text: str) -> None:
        self._erase()
        super().output(name, text)
        self._draw()

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        self._erase()
        super().build(service, event)
        self._draw()

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

    def _draw(self) -> None:
        if self._over or not self._rows:
            return
        self._erase()
        done = sum(r[0] == "done" for r in self._rows.values())
        lines = [f"{self.prefix}[+] Running {done}/{len(self._rows)}"]
        shown = list(self._rows.items())
        if len(shown) > self._height - 2:
            shown = [r for r in shown if r[1][0] != "done"][: self._height - 2] or shown[-(self._height - 2) :]
        for key, (state, status, detail, since, now) in shown:
            colour = {"done": _GREEN, "failed": _RED, "working": _BLUE}[state] if self._colour else ""
            sign = _SIGNS.get(state) or _SPINNER[int(time.monotonic() / _TICK) % len(_SPINNER)]
            reset, took = _RESET if colour else "", f"{(time.monotonic() if state == 'working' else now) - since:.1f}s"
            room = self._width - len(took) - 9  # a line that wraps would not be erased whole
            key = trimmed(key, max(room - len(status), 8))
            status, detail = trimmed(status, max(room - len(key), 8)), trimmed(detail, max(room - len(key) - len(status), 0))
            lines.append(f" {colour}{sign}{reset} {key}  {colour}{status}{reset} {detail}  {took}")
        self.out.write("".join(line + "\n" for line in lines))
        self.out.flush()
        self._drawn = len(lines)

    def close(self) -> None:
        self._drawn = 0
        self._over = True


def probed(on: str, probe: int) -> str:
    """`probe 3: connection refused`."""
    return f"probe {probe}: {on}" if probe else on


def progress(context: Context, *, quiet: bool = False, build_out: TextIO | None = None) -> Plain:
    """The right one for the terminal, --progress and --ansi. build_out: where builds are shown, stderr unless said."""
    out = context.out if context.environ.get("COMPOSE_STATUS_STDOUT", "").lower() in ("1", "true") else context.err
    kind, terminal = context.options.progress, out.isatty()
    prefix = " DRY-RUN MODE - " if context.options.dry_run else ""
    if quiet or kind == "quiet":
        return Quiet(out)
    if kind in ("json", "rawjson"):
        return Json(out, build_out, prefix=prefix)
    dumb = context.environ.get("TERM", "dumb") == "dumb" or bool(context.environ.get("CI"))
    if kind == "tty" or (kind == "auto" and terminal and not dumb and context.options.ansi != "never"):
        size = os.get_terminal_size(out.fileno()) if terminal else os.terminal_size((80, 24))
        colour = context.options.ansi != "never" and not context.environ.get("NO_COLOR")
        return Live(out, build_out, colour=colour, size=(size.columns or 80, size.lines or 24), prefix=prefix)
    return Plain(out, build_out, prefix=prefix)
