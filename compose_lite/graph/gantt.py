"""Bars over time as an SVG drawing, self-contained; those of the critical path stand out. Pure.

Draws values, knows nothing of where they come from: a bar is a row's label, a phase, a start and an end in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ROW, BAR, EDGE, CHART, CHAR = 22, 15, 20, 900, 7.3
STYLE = """
text { font: 12px ui-monospace, monospace; fill: #1c2530; } .small { font-size: 10.5px; fill: #5a6774; }
.title { font-size: 15px; font-weight: bold; } .bar { fill: #9db7d5; } .critical { fill: #e07b39; } .grid { stroke: #d9dfe6; }
.paper { fill: #ffffff; }
@media (prefers-color-scheme: dark) { text { fill: #dde5ee; } .small { fill: #9aa8b6; } .paper { fill: #12181f; } .bar { fill: #40648c; }
.grid { stroke: #2b3643; } }"""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    phase: str
    start: float
    end: float
    critical: bool = False
    note: str = ""


def gantt(title: str, bars: Sequence[Bar]) -> str:
    """One line a label, in the order in which they first come."""
    lines = list(dict.fromkeys(bar.label for bar in bars))
    begin, end = min((b.start for b in bars), default=0.0), max((b.end for b in bars), default=1.0)
    span = max(end - begin, 1e-6)
    left = EDGE + max((len(line) for line in lines), default=0) * CHAR + 12
    top, height = EDGE + 44.0, EDGE + 44.0 + len(lines) * ROW + EDGE

    def x(seconds: float) -> float:
        return left + (seconds - begin) / span * CHART

    width = left + CHART + EDGE + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text class="title" x="{EDGE}" y="{EDGE + 8}">{escape(title)}</text>',
    ]
    for tick in ticks(span):
        at = x(begin + tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{top - 8:.1f}" x2="{at:.1f}" y2="{height - EDGE:.1f}"/>')
        parts.append(f'<text class="small" x="{at:.1f}" y="{top - 12:.1f}" text-anchor="middle">{seconds_text(tick)}</text>')
    for number, line in enumerate(lines):
        parts.append(f'<text x="{EDGE}" y="{top + number * ROW + BAR - 3:.1f}">{escape(line)}</text>')
    for bar in bars:
        parts += _bar(bar, x(bar.start), max(x(bar.end) - x(bar.start), 1.5), top + lines.index(bar.label) * ROW)
    return "\n".join([*parts, "</svg>", ""])


def _bar(bar: Bar, left: float, width: float, top: float) -> list[str]:
    said = f"{bar.label}: {bar.phase}, {seconds_text(bar.end - bar.start)}" + (f" ({bar.note})" if bar.note else "")
    kind = "bar critical" if bar.critical else "bar"
    parts = [
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BAR}" rx="2"><title>{escape(said)}</title></rect>'
    ]
    if len(bar.phase) * 6.4 + 6 < width:
        parts.append(f'<text class="small" x="{left + 4:.1f}" y="{top + BAR - 4:.1f}">{escape(bar.phase)}</text>')
    return parts


def ticks(span: float) -> list[float]:
    """About eight round moments."""
    step = 0.001
    for factor in (1, 2, 5) * 9:
        if span / (step * factor) <= 9:
            step *= factor
            break
        step *= 10 if factor == 5 else 1
    return [round(step * number, 6) for number in range(int(span / step) + 1)]


def seconds_text(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 10 else f"{seconds * 1000:.0f} ms"
