"""What `--format` makes of rows: a table, a JSON document a line, or a Go template. Pure; see cli/gotemplate.py.

A row is a dict of texts by Docker's field names; a callable in it is a method (`{{.Label "x"}}`) and no part of `json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compose_lite.cli import gotemplate
from compose_lite.errors import UsageError, nearest

Row = Mapping[str, Any]
DOCKER, COMPOSE, TOP = (10, 3), (20, 3), (4, 2)
"""(least width of a column, spaces after its longest text) of the tables of docker, of compose and of `compose top`."""


def listing(rows: Sequence[Row], headers: Mapping[str, str], columns: Sequence[str], format: str = "", *, quiet: str = "") -> str:
    """Rows as `--format` says: empty or `table`: these columns. quiet: the one field that `-q` prints.

    headers: field -> its title in a table, for each field that `table {{.Field}}` may name.
    """
    format = format.strip()
    if format in ("", "table"):
        if quiet:
            return "".join(f"{row[quiet]}\n" for row in rows)
        return table([[headers[c] for c in columns], *([str(row[c]) for c in columns] for row in rows)])
    if format == "json":
        return "".join(gotemplate.as_json(gotemplate.Shown(row)) + "\n" for row in rows)
    with_header, text = format.startswith("table "), format.removeprefix("table ").strip()
    template = gotemplate.compile(text.replace("\\t", "\t").replace("\\n", "\n"))
    lines = [template.render(gotemplate.Shown(row)) for row in rows]
    if not with_header:
        return "".join(f"{line}\n" for line in lines)
    title: dict[str, Any] = {**headers, "Label": str}
    return table([line.split("\t") for line in "\n".join([template.render(title), *lines]).split("\n")])


def table(lines: Sequence[Sequence[str]], shape: tuple[int, int] = DOCKER) -> str:
    """Columns as wide as their longest cell; the last cell of a line is never filled up."""
    least, padding = shape
    count = max((len(line) for line in lines), default=0)
    widths = [max([least, *(len(line[n]) + padding for line in lines if n < len(line) - 1)]) for n in range(count)]
    return "".join("".join([*(c.ljust(w) for c, w in zip(line[:-1], widths, strict=False)), *line[-1:]]) + "\n" for line in lines)


def inspected(documents: Sequence[Any], format: str = "") -> str:
    """Documents as `inspect` prints them: one JSON array, or a line by a template for each."""
    if format == "json":
        return gotemplate.as_json(list(documents)) + "\n"
    if format:
        template = gotemplate.compile(format)
        return "".join(template.render(one) + "\n" for one in documents)
    return json.dumps(list(documents), indent=4, ensure_ascii=False) + "\n"


def filters(words: Sequence[str], known: Sequence[str] = ()) -> dict[str, list[str]]:
    """`--filter name=value` words as the API wants them. Raises UsageError. known: the names, when a stranger is refused here."""
    made: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError("filter", f'invalid argument "{word}" for "-f, --filter" flag: invalid filter: a filter is name=value')
        name = name.strip().lower()
        if known and name not in known:
            raise UsageError("filter", f"invalid filter '{name}'", remedy=nearest(name, known) or f"Known are {', '.join(known)}.")
        made.setdefault(name, []).append(value.strip())
    return made


def labelled(labels: Mapping[str, str] | None) -> tuple[str, Callable[[str], str]]:
    """(all labels as one text, the method Label) of a row."""
    found = labels or {}
    return ",".join(f"{k}={v}" for k, v in sorted(found.items())), lambda name: found.get(name, "")


def trimmed(text: str, width: int) -> str:
    """Docker's ellipsis: at most width characters, the last one `…` if some are left out."""
    return text if len(text) <= width else text[: width - 1] + "…" if width > 0 else ""


def print_rows(context: Any, format: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """A listing whose titles are the fields' names: `CreatedAt` is CREATED AT."""
    fields = {name for row in rows for name in row} | set(columns)
    titles = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper() for name in fields}
    context.out.write(listing(rows, titles, columns, format))
