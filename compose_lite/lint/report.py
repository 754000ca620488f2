"""Findings -> text, JSON, GitHub's annotations, SARIF 2.1.0. Pure.

GitHub: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
SARIF: https://docs.oasis-open.org/sarif/sarif/v2.1.0/.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from compose_lite import __version__
from compose_lite.errors import Place
from compose_lite.lint.finding import LEVELS, Finding
from compose_lite.lint.rules import RULES
from compose_lite.lint.subject import Source

Sources = Mapping[str, Source]


def message(finding: Finding) -> str:
    return f"{finding.says}. {finding.remedy}" if finding.remedy else finding.says


def near(place: Place | None, cwd: str) -> Place:
    """The place with a file name as short as it goes from here."""
    if place is None:
        return Place("")
    inside = place.file.startswith(cwd.rstrip("/") + "/")
    return Place(posixpath.relpath(place.file, cwd) if inside else place.file, place.line, place.column)


def text(findings: Sequence[Finding], sources: Sources, cwd: str) -> str:
    """One finding a paragraph: place, level, what and what to do, the line with a caret."""
    lines: list[str] = []
    for finding in findings:
        at = near(finding.place, cwd)
        head = f"{at}: " if at.file else ""
        lines.append(f"{head}{finding.level}: {message(finding)} [{finding.code}]")
        source = sources.get(finding.place.file) if finding.place else None
        written = source.line(at.line) if source else ""
        if written.strip():
            lines += [f"    {written.rstrip()}", f"    {' ' * (at.column - 1)}^"]
    if findings:
        counts = [(sum(f.level == level for f in findings), level) for level in LEVELS]
        lines.append(", ".join(f"{n} {level}{'s' if n != 1 else ''}" for n, level in counts if n))
    return "".join(f"{line}\n" for line in lines)


def as_json(findings: Sequence[Finding], sources: Sources, cwd: str) -> str:
    rows = []
    for finding in findings:
        at = near(finding.place, cwd)
        row = {"code": finding.code, "level": finding.level, "file": at.file, "line": at.line, "column": at.column}
        rows.append({**row, "message": finding.says, "remedy": finding.remedy, "fixable": finding.edit is not None})
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def github(findings: Sequence[Finding], sources: Sources, cwd: str) -> str:
    lines = []
    for finding in findings:
        at = near(finding.place, cwd)
        level = {"note": "notice"}.get(finding.level, finding.level)
        where = {"file": at.file, "line": at.line, "col": at.column, "title": finding.code}
        traits = ",".join(f"{key}={_escaped(str(value), property=True)}" for key, value in where.items() if value)
        lines.append(f"::{level} {traits}::{_escaped(message(finding))}\n")
    return "".join(lines)


def _escaped(value: str, *, property: bool = False) -> str:
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if property else [])]
    for sign, code in pairs:
        value = value.replace(sign, code)
    return value


def sarif(findings: Sequence[Finding], sources: Sources, cwd: str) -> str:
    rules = [
        {
            "id": rule.code,
            "shortDescription": {"text": rule.about},
            "help": {"text": f"{rule.remedy} See docs/lint/{rule.code}.md."},
            "defaultConfiguration": {"level": rule.level},
        }
        for rule in RULES
    ]
    results = []
    for finding in findings:
        result: dict[str, object] = {"ruleId": finding.code, "level": finding.level, "message": {"text": message(finding)}}
        at = near(finding.place, cwd)
        if at.file:
            uri = quote(at.file) if not at.file.startswith("/") else f"file://{quote(at.file)}"
            physical: dict[str, object] = {"artifactLocation": {"uri": uri}}
            if at.line:
                physical["region"] = {"startLine": at.line, "startColumn": max(at.column, 1)}
            result["locations"] = [{"physicalLocation": physical}]
        results.append(result)
    driver = {"name": "compose-lite", "version": __version__, "rules": rules}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Sequence[Finding], Sources, str], str]] = {"text": text, "json": as_json, "github": github, "sarif": sarif}
