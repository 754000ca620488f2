"""The build context: what `.dockerignore` leaves of a folder, and which of it a COPY's source means.

Patterns are moby's (patternmatcher): Go's filepath.Match plus `**`, the last matching line wins, a folder's name takes
all below it. Only the walk reads the disk; nothing here follows a symbolic link out of the context.
"""

from __future__ import annotations

import functools
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


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
    return re.compile("".join(out) + r"\Z", re.DOTALL)


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


def walk(root: Path, patterns: Sequence[Pattern] = ()) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(relative path, entry) of what is in the context, folders before their contents, by name."""
    exceptions = any(pattern.exception for pattern in patterns)

    def members(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = prefix + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            out = bool(patterns) and ignored(path, patterns)
            if out and not (is_folder and exceptions):
                continue
            if not out:
                yield path, entry
            if is_folder:
                below = members(entry.path, path + "/")
                if not out:
                    yield from below
                    continue
                first = next(below, None)  # an ignored folder is there again as soon as something in it is
                if first is not None:
                    yield path, entry
                    yield first
                    yield from below

    return members(os.fspath(root), "")


def has_wildcard(source: str) -> bool:
    return any(char in source for char in "*?[")


def normalize_source(source: str) -> str:
    """A source as a path in the context: neither `/` nor `..` leads out of it."""
    return posixpath.normpath("/" + source).lstrip("/")


def select(source: str, paths: Sequence[str]) -> list[str]:
    """Those of the context's paths that a source with wildcards names, each component by itself."""
    wanted = normalize_source(source).split("/")
    compiled = [compile_pattern(part.replace("**", "*")) for part in wanted]
    return [
        path
        for path in paths
        if path.count("/") == len(wanted) - 1 and all(regex.match(part) for regex, part in zip(compiled, path.split("/"), strict=True))
    ]
