"""The build context: what `.dockerignore` leaves of a folder, and which of it a COPY's source means.

Patterns are read in compose_lite/ignore.py. Only the walk reads the disk; nothing here follows a symbolic link out of the context.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from compose_lite.ignore import Pattern, compile_pattern, ignored
from compose_lite.ignore import parse_ignore as parse_ignore


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
