"""The language of .dockerignore, which `ignore` and `include` of develop.watch speak too. Pure.

Patterns are moby's (patternmatcher): Go's filepath.Match plus `**`, the last matching line wins, a folder's name takes
all below it.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from compose_lite.errors import Error


@dataclass(frozen=True, slots=True)
class Pattern:
    text: str
    exception: bool
    regex: re.Pattern[str]


def parse_ignore(text: str) -> tuple[Pattern, ...]:
    """The patterns of a .dockerignore, in their order."""
    found = []
    for raw in text.removeprefix("\ufeff").splitlines():
        line = raw.strip() if not raw.startswith("#") else ""
        if not line:
            continue
        exception = line.startswith("!")
        line = line[1:].strip() if exception else line
        line = posixpath.normpath(line).lstrip("/")
        if line and line != ".":
            found.append(Pattern(line, exception, compile_pattern(line)))
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """`*` and `?` within one folder, `**` across folders, `[a-c]`, `[^a]`, backslash."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pattern.startswith("*", at):
                at += 1
                if pattern.startswith("/", at):
                    at += 1
                    out.append("(?:.*/)?")
                else:
                    out.append(".*")
            else:
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "[" and (end := pattern.find("]", at + 1)) > 0:
            inner = pattern[at:end]
            negated = inner.startswith("^")
            body = inner[1:] if negated else inner
            out.append(("[^" if negated else "[") + body.replace("[", "\\[") + "]")
            at = end + 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL)
    except re.error as error:
        raise Error("ignore-pattern", f"syntax error in pattern: {pattern}", remedy="A class is written [a-z] or [^a-z].") from error


def ignored(path: str, patterns: Sequence[Pattern]) -> bool:
    """Whether the relative path is left out: by a pattern that it or a folder above it matches, the last one wins."""
    parents = [path]
    while "/" in parents[-1]:
        parents.append(parents[-1].rpartition("/")[0])
    out = False
    for pattern in patterns:
        if pattern.exception != out:
            continue
        if any(pattern.regex.match(parent) for parent in parents):
            out = not pattern.exception
    return out
