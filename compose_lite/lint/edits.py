"""Edits -> the new text of a file. Pure. What is not edited stays to the byte: comments, layout, line ends."""

from __future__ import annotations

from collections.abc import Iterable

from compose_lite.lint.finding import Edit


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Edits that overlap an earlier one are left out: the next run finds them again."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    spans = sorted({(starts[e.line - 1] + e.column - 1, starts[e.end_line - 1] + e.end_column - 1, e.text) for e in edits})
    parts: list[str] = []
    done = 0
    for begin, end, new in spans:
        if begin < done:
            continue
        parts += [text[done:begin], new]
        done = min(end, len(text))
    return "".join([*parts, text[done:]])
