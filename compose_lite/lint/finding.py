"""What a rule says: a finding with its place, and the edit that would put it right. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from compose_lite.errors import Place

LEVELS = ("error", "warning", "note")
"""error: the project does not load. warning: will hurt. note: worth a look; does not make `lint` fail."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the text of a file from (line, column) up to (end_line, end_column), all counted from 1, by `text`."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """code: names the page docs/lint/<code>.md. edit: what `--fix` does; the project it makes is the same."""

    code: str
    place: Place | None
    says: str
    remedy: str
    level: str = "warning"
    edit: Edit | None = None
