"""`$VAR`, `${VAR:-default}` and their kin in the values of a Compose file. Pure: variables come in as a function.

Grammar (spec: 12-interpolation): `$$` is a dollar; `$NAME`, `${NAME}`; `${NAME op word}` with op one of `:-` `-` `:+` `+`
`:?` `?`; word may hold further expressions and balanced braces, but no line break. Any other `$` stays as it is.
After that, strings where a field says so become numbers or booleans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from compose_lite.errors import SpecError
from compose_lite.spec.attributes import rules
from compose_lite.spec.document import Map, Seq, place_at
from compose_lite.spec.models.values import boolean, short_float
from compose_lite.spec.patterns import Branch, compile_patterns

Lookup = Callable[[str], str | None]
Warn = Callable[[str], None]

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATOR = re.compile(r":?[-+?]")


class InvalidTemplate(ValueError):
    """An expression that is none: `${`, `${1a}`."""


class MissingVariable(ValueError):
    """`${NAME:?message}` without a value."""


def substitute(text: str, lookup: Lookup, warn: Warn | None = None) -> str:
    """The text with its variables replaced. warn hears of each variable that is not set."""
    at = text.find("$")
    if at < 0:
        return text
    parts: list[str] = []
    done = 0
    while at >= 0:
        parts.append(text[done:at])
        value, done = _expression(text, at, lookup, warn)
        parts.append(value)
        at = text.find("$", done)
    parts.append(text[done:])
    return "".join(parts)


def _expression(text: str, at: int, lookup: Lookup, warn: Warn | None) -> tuple[str, int]:
    """The value of the expression at text[at] == "$" and where it ends."""
    following = text[at + 1 : at + 2]
    if following == "$":
        return "$", at + 2
    if following == "{":
        name, operator, word, end = _braced(text, at)
        return (_unset(name, lookup, warn) if not operator else _operate(name, operator, word, lookup, warn)), end
    found = _NAME.match(text, at + 1)
    return (_unset(found[0], lookup, warn), found.end()) if found else ("$", at + 1)


def _braced(text: str, at: int) -> tuple[str, str, str, int]:
    """Name, operator and word of `${...}` at text[at], and where it ends."""
    name = _NAME.match(text, at + 2)
    if not name:
        raise InvalidTemplate(text)
    if text[name.end() : name.end() + 1] == "}":
        return name[0], "", "", name.end() + 1
    operator = _OPERATOR.match(text, name.end())
    if not operator:
        raise InvalidTemplate(text)
    depth = 1
    for end in range(operator.end(), len(text)):
        char = text[end]
        if char == "\n":
            break
        depth += (char == "{") - (char == "}")
        if not depth:
            return name[0], operator[0], text[operator.end() : end], end + 1
    raise InvalidTemplate(text)


def _unset(name: str, lookup: Lookup, warn: Warn | None) -> str:
    value = lookup(name)
    if value is None:
        if warn:
            warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
        return ""
    return value


def _operate(name: str, operator: str, word: str, lookup: Lookup, warn: Warn | None) -> str:
    value = lookup(name)
    empty_counts = operator[0] == ":"
    absent = value is None or (empty_counts and not value)
    kind = operator[-1]
    used = absent if kind in "-?" else not absent
    if not used:  # its word is not looked at, as in Compose 5: a variable that is missing there is not needed
        return value or ""
    other = substitute(word, lookup, warn)
    if kind == "?":
        raise MissingVariable(f"required variable {name} is missing a value" + (f": {other}" if other else ""))
    return other


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a file mentions."""

    name: str
    default: str = ""
    alternate: str = ""
    required: bool = False


def variables(value: Any) -> Iterator[Variable]:
    """All variables that the strings of a tree mention, in the words of defaults too."""
    if isinstance(value, dict):
        for child in value.values():
            yield from variables(child)
    elif isinstance(value, list):
        for child in value:
            yield from variables(child)
    elif isinstance(value, str):
        yield from _mentioned(value)


def _mentioned(text: str) -> Iterator[Variable]:
    at = text.find("$")
    while at >= 0:
        following = text[at + 1 : at + 2]
        done = at + (2 if following == "$" else 1)
        if following == "{":
            try:
                name, operator, word, done = _braced(text, at)
            except InvalidTemplate:
                pass
            else:
                kind = operator[-1:]
                yield Variable(name, word if kind == "-" else "", word if kind == "+" else "", kind == "?")
                if kind in ("-", "+"):
                    yield from _mentioned(word)
        elif found := _NAME.match(text, at + 1):
            yield Variable(found[0])
            done = found.end()
        at = text.find("$", done)


def _to_int(text: str, _: Warn | None) -> int:
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise ValueError(f'"{text}" is not a whole number: invalid syntax')
    return int(text)


def _to_float(text: str, _: Warn | None) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a number: invalid syntax') from None


def _to_short_float(text: str, warn: Warn | None) -> float:
    return short_float(_to_float(text, warn))


def _to_bool(text: str, warn: Warn | None) -> bool:
    truth, warning = boolean(text)
    if warning and warn:
        warn(warning)
    return truth


WORDS: dict[str, Callable[[str, Warn | None], Any]] = {"int": _to_int, "float": _to_float, "float32": _to_short_float, "bool": _to_bool}
CASTS = {path: WORDS[word] for path, word in rules("cast").items()}
"""What a string at a path becomes: the models' fields say it."""
_CASTS = compile_patterns(CASTS)


class _At(Exception):
    """A problem on its way up, collecting its path."""

    def __init__(self, problem: ValueError, step: str, mark: Any) -> None:
        super().__init__(problem)
        self.problem, self.path, self.mark = problem, [step], mark


def interpolate(tree: Map, lookup: Lookup, warn: Warn | None = None) -> None:
    """Replaces variables in all strings of the tree, in place. Raises SpecError with path and place."""
    try:
        _walk_map(tree, _CASTS, lookup, warn)
    except _At as at:
        raise _error(at) from None


def _error(at: _At) -> SpecError:
    path = "".join(step if step.startswith("[") else f".{step}" for step in reversed(at.path)).removeprefix(".")
    place = place_at(at.mark)
    if isinstance(at.problem, InvalidTemplate):
        says = f"invalid interpolation format for {path}: {at.problem}"
        return SpecError("interpolation", says, place=place, remedy="You may need to escape any $ with another $.")
    if isinstance(at.problem, MissingVariable):
        return SpecError("interpolation", f"error while interpolating {path}: {at.problem}", place=place)
    return SpecError("interpolation", f"error while interpolating {path}: failed to cast to expected type: {at.problem}", place=place)


def _walk_map(tree: Map, casts: Branch | None, lookup: Lookup, warn: Warn | None) -> None:
    for key, value in tree.items():
        kind = value.__class__
        if kind is str:
            branch = casts.step(key) if casts is not None else None
            if "$" not in value and (branch is None or branch.rule is None):
                continue
            try:
                text = substitute(value, lookup, warn)
                tree[key] = branch.rule(text, warn) if branch is not None and branch.rule else text
            except ValueError as problem:
                raise _At(problem, key, tree.marks[key][1] if key in tree.marks else None) from None
        elif kind is Map or kind is Seq:
            below = casts.step(key) if casts is not None else None
            try:
                (_walk_map if kind is Map else _walk_seq)(value, below, lookup, warn)
            except _At as at:
                at.path.append(key)
                raise


def _walk_seq(items: Seq, casts: Branch | None, lookup: Lookup, warn: Warn | None) -> None:
    below = casts.any if casts is not None else None
    for index, value in enumerate(items):
        kind = value.__class__
        if kind is str:
            if "$" in value:
                try:
                    items[index] = substitute(value, lookup, warn)
                except ValueError as problem:
                    raise _At(problem, f"[{index}]", items.mark(index)) from None
        elif kind is Map or kind is Seq:
            try:
                (_walk_map if kind is Map else _walk_seq)(value, below, lookup, warn)
            except _At as at:
                at.path.append(f"[{index}]")
                raise
