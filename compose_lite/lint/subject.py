"""What the rules look at: the loaded project, and its files as they were written. Pure.

Files are read by the caller. Text is asked for by place: a value that came by a variable is seen as it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from compose_lite.errors import Place
from compose_lite.lint.finding import Edit
from compose_lite.spec.document import Map, Seq, key_place, parse
from compose_lite.spec.models.project import Project, place


@dataclass(frozen=True, slots=True)
class Source:
    """One file. documents: its trees, unmerged and not interpolated."""

    file: str
    lines: tuple[str, ...]
    documents: tuple[Map, ...]

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Subject:
    """own: the project's own files; `sources` has those too that it includes and extends, which others may use as well."""

    project: Project
    sources: Mapping[str, Source]
    own: tuple[str, ...]

    def place(self, *path: str | int) -> Place | None:
        """Where the value is written, else what is around it."""
        return next((p for n in range(len(path), 0, -1) if (p := place(self.project, path[:n]))), None)

    def written(self, at: Place) -> str:
        """The line from there on, as it stands in the file."""
        source = self.sources.get(at.file)
        return source.line(at.line)[max(at.column - 1, 0) :] if source else ""

    def own_sources(self) -> Iterator[Source]:
        return (self.sources[file] for file in self.own if file in self.sources)


def source_of(file: str, content: bytes) -> Source:
    """Raises SpecError for what is no YAML."""
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    return Source(file, tuple(lines), tuple(d.value for d in parse(file, content) if isinstance(d.value, Map)))


def files_of(project: Project) -> list[str]:
    """Every file that a value of the project comes from, its own first."""
    found = dict.fromkeys(project.compose_files)
    for name in _marked(project._tree):
        found.setdefault(name)
    return [file for file in found if file != "-"]


def _marked(value: Any) -> Iterator[str]:
    if isinstance(value, Map):
        for pair in value.marks.values():
            if pair is not None and pair[0] is not None:
                yield pair[0].name
        for child in value.values():
            yield from _marked(child)
    elif isinstance(value, Seq):
        for mark in value.marks:
            if mark is not None:
                yield mark.name
        for child in value:
            yield from _marked(child)


def block(source: Source, owner: Map, key: str) -> Edit | None:
    """The lines of an entry of a mapping in block style; None where it cannot be cut out by lines (`{a: 1, b: 2}`)."""
    at = key_place(owner, key)
    if at is None or source.line(at.line)[: at.column - 1].strip():
        return None
    end = at.line + 1
    last = at.line
    while end <= len(source.lines):
        text = source.line(end)
        depth = len(text) - len(text.lstrip(" "))
        body = text.strip()
        if body and not body.startswith("#"):
            if depth < at.column - 1 or (depth == at.column - 1 and not body.startswith("- ")) or body in ("---", "..."):
                break
            last = end
        elif body and depth >= at.column:
            last = end  # a comment inside the entry
        end += 1
    if last == len(source.lines):
        return Edit(source.file, at.line, 1, last, len(source.line(last)) + 1)
    return Edit(source.file, at.line, 1, last + 1, 1)


def anchors(source: Source) -> Iterator[tuple[str, yaml.Token]]:
    """(name, token) of each anchor that no alias of its document names."""
    open_anchors: dict[str, yaml.Token] = {}
    for token in yaml.scan("\n".join(source.lines), Loader=yaml.SafeLoader):
        if isinstance(token, yaml.DocumentStartToken):
            yield from open_anchors.items()
            open_anchors = {}
        elif isinstance(token, yaml.AnchorToken):
            if token.value in open_anchors:  # named anew: the earlier one can be reached no more
                yield token.value, open_anchors[token.value]
            open_anchors[token.value] = token
        elif isinstance(token, yaml.AliasToken):
            open_anchors.pop(token.value, None)
    yield from open_anchors.items()
