"""`config --explain`: where a value came from, through every file, `extends`, `include`, override and variable.

Reads through spec/load.py, which tells of every document; what is told is put together here. Decides nothing about values:
the value is that of the loaded project, and a step is what a document says at that path.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import indent
from typing import Any

from compose_lite.errors import Place, SpecError, nearest
from compose_lite.spec.discover import read_text
from compose_lite.spec.document import Map, Path, Replaced, Seq, Tag, dotted, key_place, place_of
from compose_lite.spec.interpolate import variables
from compose_lite.spec.load import LoadOptions, Statement, load
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.values import go_text
from compose_lite.spec.remote import is_elsewhere, parse
from compose_lite.spec.render import ordinary, plain
from compose_lite.spec.yamltext import yaml_text

Read = Callable[[str], str | None]
WIDTH = 100
"""Characters of a line; a longer mapping or list is shown as a block."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was said about the value. written: as in the file; notes: what came of it.

    takes: the `!reset` or `!override` that takes out what was said before; only: there is nothing else to it.
    holds: nobody took it out.
    """

    place: Place
    role: str
    written: str
    notes: tuple[str, ...] = ()
    takes: Tag | None = None
    only: bool = False
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """steps: from the weakest to the strongest. standing: where what holds is written, None for a default.

    unsaid: why there is a value without any step. aside: what else is to be known. removed: there is no value, as this takes it out.
    """

    path: str
    value: Any
    steps: tuple[Step, ...]
    standing: Place | None
    unsaid: str
    aside: str = ""
    removed: Tag | None = None


def explain(options: LoadOptions, wanted: str) -> Explanation:
    """Raises SpecError for a path that the project does not have."""
    heard: list[Statement] = []
    off = _off(load(replace(options, all_resources=True)).project, wanted)
    options = replace(options, services=(off,) if off else options.services)
    project = load(replace(options, heard=heard.append, all_resources=True)).project
    story = _Story(heard, options, read_text)
    try:
        path, value = find(plain(project), wanted)
    except SpecError:
        if removed := _removed(story, wanted):
            return removed
        raise
    before = load(replace(options, resolve_env=False, all_resources=True)).project
    steps = [*story.from_files(before, path), *_without_taken(list(story.of(path)))]
    profiles = ", ".join(project.services[off].profiles) if off else ""
    aside = f"service '{off}' is not active: it is of profile {profiles}" if profiles else ""
    return Explanation(dotted(path), value, tuple(steps), place(project, path), _unsaid(options, path), aside)


def _removed(story: _Story, wanted: str) -> Explanation | None:
    """Of a value that was said and taken out again; of what stands in a list the list is told of."""
    path = story.known(wanted.partition("[")[0])
    steps = _without_taken(list(story.of(path))) if path else []
    taken = [step.takes for step in steps if step.takes]
    if not taken or not any(not step.only for step in steps):
        return None
    return Explanation(dotted(path), None, tuple(steps), None, "", removed=taken[-1])


def _without_taken(steps: list[Step]) -> list[Step]:
    """Each with a note of what took it out, if anything did."""
    found: list[Step] = []
    later: Tag | None = None
    for step in reversed(steps):
        if later and not step.only:
            step = replace(step, notes=(*step.notes, f"taken out by {later}"), holds=False)
        found.append(replace(step, holds=step.holds and not step.only))
        later = step.takes or later
    return found[::-1]


def _off(project: Project, wanted: str) -> str:
    """The service that the path leads into, if it is one that is not active."""
    names = [name for name in project.disabled_services if f"{wanted}.".startswith((f"services.{name}.", f"services.{name}["))]
    return max(names, key=len, default="")


def _unsaid(options: LoadOptions, path: Path) -> str:
    """Why there is a value that no file gives, or one that is stronger than all files."""
    if path != ("name",):
        return "no file says so: it is a default"
    if options.project_name:
        return "it is given by --project-name"
    return "it is given by COMPOSE_PROJECT_NAME" if options.environ.get("COMPOSE_PROJECT_NAME") else "it is the name of the folder"


def find(tree: Any, wanted: str) -> tuple[Path, Any]:
    """`services.web.labels.com.example.x`, `services.web.ports[0]`: the path and the value there; keys may hold dots."""
    words = [word for word in re.split(r"\.|(?=\[\d+\])", wanted) if word]
    path: list[str | int] = []
    at = tree
    while words:
        step: str | int | None = None
        taken = 1
        if isinstance(at, list):
            digits = words[0].strip("[]")
            step = int(digits) if digits.isdigit() and int(digits) < len(at) else None
        elif isinstance(at, dict):
            for taken in range(len(words), 0, -1):
                if ".".join(words[:taken]) in at:
                    step = ".".join(words[:taken])
                    break
        if step is None:
            raise _nothing_there(tuple(path), at, ".".join(words).replace(".[", "["))
        path.append(step)
        at = at[step]
        words = words[taken:]
    return tuple(path), at


def _nothing_there(path: Path, at: Any, rest: str) -> SpecError:
    where = f" in {dotted(path)}" if path else ""
    known = list(at) if isinstance(at, dict) else []
    rest = rest if len(path) > 2 else rest.split(".")[0].split("[")[0] or rest  # the user's own keys may hold dots
    hint = nearest(rest.split(".")[0], known) or (f"There is: {', '.join(map(str, known[:12]))}." if known else None)
    return SpecError("explain-path", f"there is no {rest}{where}", remedy=hint)


@dataclass(frozen=True, slots=True)
class _Story:
    heard: Sequence[Statement]
    options: LoadOptions
    read: Read

    def of(self, path: Path) -> Iterator[Step]:
        """What the documents say, an extended service before the one that extends it."""
        for statement in self._each():
            if statement.role != "extends":
                role = "" if statement.role == "file" else "included"
                yield from self._said(statement, path, role, ())

    def known(self, wanted: str) -> Path:
        """The path as the documents have it; what several services have is asked of any of them, since they extend each other."""
        words = wanted.split(".")
        path: Path = ()
        trees: list[Any] = [part for s in self._each() for part in (s.raw, _tree(s.replaced))]
        while words:
            taken = next((n for n in range(len(words), 0, -1) if any(_at(t, (".".join(words[:n]),)) is not _MISSING for t in trees)), 0)
            if not taken:
                return ()
            step = ".".join(words[:taken])
            path, words = (*path, step), words[taken:]
            below = [_at(tree, (step,)) for tree in trees]
            if len(path) == 2 and path[0] == "services":
                below = [service for tree in trees if isinstance(tree, dict) for service in tree.values()]
            trees = [tree for tree in below if tree is not _MISSING]
        return path

    def _each(self) -> Iterator[Statement]:
        """Every document once: a base is read again by each service that extends it."""
        seen: set[tuple[str, str, int]] = set()
        for statement in self.heard:
            line = next((pair[0].line for pair in statement.raw.marks.values() if pair and pair[0] is not None), 0)
            key = (statement.file, statement.role, line)
            if statement.role != "extends" or key not in seen:
                yield statement
            seen.add(key)

    def _said(self, statement: Statement, path: Path, role: str, trail: tuple[tuple[str, str], ...]) -> Iterator[Step]:
        if path[0] == "services" and len(path) > 1:
            name = str(path[1])
            yield from self._base(statement, name, path, (*trail, (statement.file, name)))
        step = _in_document(statement, path, role)
        where, tag = next(((taken, tag) for taken, tag in statement.replaced.items() if path[: len(taken)] == taken), ((), None))
        if step is None and tag:
            yield Step(tag.place, role, f"{where[-1] if where else ''}: {tag.word}", ("takes out what was said before",), tag, only=True)
        elif step is not None:
            yield replace(step, notes=tuple(self._notes(statement, path, step)), takes=tag)

    def _base(self, statement: Statement, name: str, path: Path, trail: tuple[tuple[str, str], ...]) -> Iterator[Step]:
        """What the service that this one extends says."""
        services = statement.value.get("services")
        service = services.get(name) if isinstance(services, Map) else None
        extends = service.get("extends") if isinstance(service, Map) else None
        if extends is None:
            return
        other = extends.get("file") if isinstance(extends, Map) else None
        base = extends.get("service") if isinstance(extends, Map) else extends
        role = f"service '{base}', which '{name}' extends"
        there: Path = ("services", str(base), *path[2:])
        if other is None:
            if (statement.file, str(base)) not in trail:
                yield from self._said(statement, there, role, trail)
            return
        remote = parse(other) if is_elsewhere(other) else None
        fetch = self.options.fetch
        file = fetch(remote, None) if remote and fetch else posixpath.normpath(posixpath.join(statement.folder, other))
        for one in self._each():
            if one.role == "extends" and one.file == file and (file, str(base)) not in trail:
                yield from self._said(one, there, role, trail)

    def _notes(self, statement: Statement, path: Path, step: Step) -> Iterator[str]:
        raw, value = _at(statement.raw, path), _at(statement.value, path)
        for taken, tag in statement.replaced.items():
            if path[: len(taken)] == taken:
                yield f"{tag} takes out what was said before"
            elif taken[: len(path)] == path:
                yield f"{tag} takes out {dotted(taken[len(path) :])} of what was said before"
        if raw is None and path[0] == "services" and path[2:3] == ("environment",) and len(path) == 4:
            yield self.origin(str(path[3]), statement)
        for variable in {v.name: v for v in variables({"": raw})}.values():
            default = f"; otherwise {variable.default!r}" if variable.default else ""
            yield self.origin(variable.name, statement) + default
        if raw != value:
            yield _said("gives", value, " ")

    def origin(self, name: str, statement: Statement) -> str:
        """Where a variable's value is from."""
        value = statement.environ.get(name)
        if value is None:
            return f"{name} is not set"
        if name in self.options.environ:
            return f"{name} is {value!r} in the environment of the command"
        for file in statement.env_files:
            line = _line_of(name, self.read(file) or "")
            if line:
                return f"{name} is {value!r} by {file}:{line}"
        return f"{name} is {value!r}, the project's name" if name == "COMPOSE_PROJECT_NAME" else f"{name} is {value!r}"

    def from_files(self, project: Project, path: Path) -> Iterator[Step]:
        """What env files and label files of a service say: all else is stronger."""
        if len(path) != 4 or path[0] != "services" or path[1] not in project.services:
            return
        service = project.services[str(path[1])]
        files = {"environment": [e.path for e in service.env_file], "labels": service.label_file}.get(str(path[2]), [])
        role = "env_file" if path[2] == "environment" else "label_file"
        for file in files:
            text = self.read(file) or ""
            line = _line_of(str(path[3]), text)
            if line:
                yield Step(Place(file, line, 1), role, text.splitlines()[line - 1].strip())


def _in_document(statement: Statement, path: Path, role: str) -> Step | None:
    """What the document says at the path; for what is in a list, what it says of the list."""
    cut = next((n for n, step in enumerate(path) if isinstance(step, int)), len(path))
    path = path[:cut]
    raw = _at(statement.raw, path)
    if raw is _MISSING:
        return None
    owner = _at(statement.raw, path[:-1])
    where = key_place(owner, str(path[-1])) or place_of(statement.raw, path) or Place(statement.file)
    return Step(where, role, _said(str(path[-1]), raw))


_MISSING = object()


def _tree(replaced: Replaced) -> Map:
    """A mapping that has these paths."""
    tree = Map()
    for path in replaced:
        at = tree
        for step in path:
            at = at.setdefault(str(step), Map())
    return tree


def _at(tree: Any, path: Path) -> Any:
    """The value as the document has it, in lists of `K=V` too; _MISSING where it says nothing."""
    at = tree
    for step in path:
        if isinstance(at, Map) and isinstance(step, str) and step in at:
            at = at[step]
        elif isinstance(at, Seq) and isinstance(step, int):
            return at
        elif isinstance(at, Seq):
            entries = [e for e in at if isinstance(e, str) and (e == step or e.startswith((f"{step}=", f"{step}:")))]
            if not entries:
                return _MISSING
            text = entries[-1][len(str(step)) + 1 :]
            at = text if entries[-1] != step else None
        else:
            return _MISSING
    return at


def _line_of(name: str, text: str) -> int:
    """The last line that sets the name; 0 when none does."""
    found = list(re.finditer(rf"(?m)^[ \t]*(?:export[ \t]+)?{re.escape(name)}[ \t]*(?:[=:]|$)", text))
    return text.count("\n", 0, found[-1].start()) + 1 if found else 0


def _said(what: str, value: Any, colon: str = ": ") -> str:
    """On one line, or as a block where that would be long."""
    line = f"{what}{colon}{shown(value)}"
    if len(line) <= WIDTH or not isinstance(value, dict | list):
        return line
    return f"{what}:\n" + indent(yaml_text(ordinary(value)).rstrip("\n"), "  ")


def shown(value: Any) -> str:
    """A value on one line."""
    if value is _MISSING or value is None:
        return "null"
    if isinstance(value, dict | list):
        return json.dumps(ordinary(value), ensure_ascii=False, default=str)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else go_text(value)


def as_text(found: Explanation, cwd: str) -> str:
    """The value, then the steps from the weakest to the strongest."""
    lines = [f"{found.path} has no value" if found.removed else _said(found.path, found.value)]
    holding = [step for step in found.steps if step.holds]
    for number, step in enumerate(found.steps, 1):
        lines.append(f"{number}. {_near(step.place, cwd)}" + (f"  ({step.role})" if step.role else ""))
        lines.append(indent(step.written, "   "))
        lines += ["   - " + indent(note.replace(cwd.rstrip("/") + "/", ""), "     ").lstrip() for note in step.notes]
    if found.removed:
        lines.append(f"nothing holds: {found.removed.word} at {_near(found.removed.place, cwd)} takes it out")
    elif not holding:
        lines.append(found.unsaid)
    elif len(found.steps) == 1:
        pass  # it stands above
    elif len(holding) > 1 and (isinstance(found.value, dict | list) or "[" in found.path):
        lines.append("what several say is put together")
    else:
        last = "the last one holds" if holding[-1] is found.steps[-1] else "what holds"
        lines.append(f"{last}: {_near(holding[-1].place, cwd)}")
    if "[" in found.path and found.standing is not None:
        lines.append(f"this entry is written at {_near(found.standing, cwd)}")
    if found.aside:
        lines.append(found.aside)
    return "".join(f"{line}\n" for line in lines)


def as_json(found: Explanation) -> str:
    steps = [
        {
            "file": s.place.file,
            "line": s.place.line,
            "column": s.place.column,
            "role": s.role or "file",
            "written": s.written,
            "notes": s.notes,
            "holds": s.holds,
        }
        for s in found.steps
    ]
    made = {"path": found.path, "value": ordinary(found.value), "steps": steps}
    if found.removed:
        at = found.removed.place
        made["removed"] = {"tag": found.removed.word, "file": at.file, "line": at.line, "column": at.column}
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _near(at: Place, cwd: str) -> Place:
    inside = at.file.startswith(cwd.rstrip("/") + "/")
    return Place(posixpath.relpath(at.file, cwd) if inside else at.file, at.line, at.column)
