"""The form of a Compose file: which keys there are and what kinds of value they take, as JSON Schema. Pure.

The fields of the models say it (attributes.py); SCHEMA is put together of that. `check_form` is compiled from it, and
schemas/compose-lite.schema.json is written from it for editors (`python -m compose_lite.spec.schema`). It describes files
as people write them, short forms included; what goes beyond form (references, conflicts) is check.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from compose_lite.errors import Place, SpecError, nearest
from compose_lite.spec.attributes import block_of, resolved
from compose_lite.spec.document import Map, Path, Seq, Timestamp, dotted, key_place, place_of
from compose_lite.spec.models import resources, service
from compose_lite.spec.models.forms import (
    COUNT,
    NAME,
    SCALAR,
    STRING,
    STRINGS,
    TEXTS,
    UNIQUE,
    Block,
    Schema,
    array,
    keyed,
    one_of,
    or_null,
    ref,
)

INCLUDE: Schema = one_of(
    STRING,
    {"type": "object", "properties": {"path": TEXTS, "env_file": TEXTS, "project_directory": STRING}, "additionalProperties": False},
)
SCHEMA: Schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": "https://compose-lite.dev/schemas/compose-lite.schema.json",
    "title": "Compose file as compose-lite reads it",
    "type": "object",
    "properties": {
        "version": {"type": "string", "deprecated": True, "description": "Obsolete, of no effect."},
        "name": {**STRING, "description": "Name of the project."},
        "include": {**array(INCLUDE), "description": "Other Compose files that belong to it."},
        "services": {**keyed(NAME, ref("service")), "description": "What runs."},
        "models": {**keyed(NAME, ref("model"), strict=False), "description": "Language models that services use."},
        "networks": {**keyed(NAME, ref("network"), strict=False), "description": "Networks that services join."},
        "volumes": {**keyed(NAME, ref("volume")), "description": "Volumes that services mount."},
        "secrets": {**keyed(NAME, ref("secret")), "description": "Secrets that services may read."},
        "configs": {**keyed(NAME, ref("config")), "description": "Configuration files that services may read."},
    },
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "definitions": {
        "service": block_of(service.Service),
        "model": block_of(resources.LanguageModel),
        "network": resolved(or_null(Block(resources.Network))),
        "volume": resolved(or_null(Block(resources.Volume))),
        "secret": block_of(resources.FileObject, ("content",)),
        "config": block_of(resources.FileObject, ("driver", "driver_opts")),
        "hook": block_of(service.Hook),
        "files": array(one_of(STRING, block_of(service.FileReference))),
        "hosts": one_of(keyed(".+", one_of(STRING, STRINGS)), UNIQUE),
        "key_values": one_of(keyed(".+", SCALAR), UNIQUE),
        "strings": UNIQUE,
        "ulimits": keyed("^[a-z]+$", one_of(COUNT, block_of(service.Ulimit)), strict=False),
    },
}


class _Problem(Exception):
    """What is wrong with a value; the path is collected on the way up, innermost first."""

    def __init__(self, says: str, key: str | None = None, known: tuple[str, ...] = ()) -> None:
        super().__init__(says)
        self.says, self.key, self.known = says, key, known
        self.path: list[str | int] = []


Checker = Callable[[Any], None]
Rule = dict[type, Checker | None]
"""Class of a value -> its checker, None where every value of the class is fine. A class not in it is refused."""

_CLASSES: dict[str, tuple[type, ...]] = {
    "object": (Map,),
    "array": (Seq,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SPOKEN = {Map: "mapping", Seq: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
_ANYTHING: Rule = dict.fromkeys([one for classes in _CLASSES.values() for one in classes] + [Timestamp])


class _Compiler:
    """Schema -> Rule. References are compiled once."""

    def __init__(self, definitions: Schema) -> None:
        self.definitions = definitions
        self.done: dict[str, Rule] = {}

    def rule(self, schema: Schema) -> Rule:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in self.done:
                self.done[name] = {}
                self.done[name].update(self.rule(self.definitions[name]))
            return self.done[name]
        if "oneOf" in schema:  # the choices differ in kind
            return {kind: check for choice in schema["oneOf"] for kind, check in self.rule(choice).items()}
        if not schema:
            return _ANYTHING
        found: Rule = {}
        kinds = schema["type"]
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            found.update({one: self.checker(kind, one, schema) for one in _CLASSES[kind]})
        return found

    def checker(self, kind: str, one: type, schema: Schema) -> Checker | None:
        if kind == "object":
            return self.mapping(schema)
        if kind == "array":
            return _list_checker(self.rule(schema["items"]), schema.get("uniqueItems", False))
        if kind == "string" and ("enum" in schema or "pattern" in schema):
            return _text_checker(schema.get("enum"), schema.get("pattern"))
        if kind in ("integer", "number") and ("minimum" in schema or "maximum" in schema or (kind == "integer" and one is float)):
            return _number_checker(kind == "integer", schema.get("minimum"), schema.get("maximum"))
        return None

    def mapping(self, schema: Schema) -> Checker | None:
        known = {key: self.rule(value) for key, value in schema.get("properties", {}).items()}
        patterns = [(re.compile(p).search, self.rule(v)) for p, v in schema.get("patternProperties", {}).items()]
        if not known and not patterns:
            return None
        return _mapping_checker(known, patterns, schema.get("additionalProperties", True), tuple(schema.get("required", ())))


def _mapping_checker(known: dict[str, Rule], patterns: list[Any], free: bool, required: tuple[str, ...]) -> Checker:
    def check(value: Map) -> None:
        for key, child in value.items():
            rule = known.get(key)
            if rule is None:
                rule = next((r for matches, r in patterns if matches(key)), None)
                if rule is None:
                    if free:
                        continue
                    unknown = [k for k in value if k not in known and not any(m(k) for m, _ in patterns)]
                    words = ", ".join(f"'{k}'" for k in unknown)
                    raise _Problem(f"additional properties {words} not allowed", key, tuple(known))
            try:
                checker = rule[child.__class__]
                if checker is not None:
                    checker(child)
            except KeyError:
                problem = _wrong_kind(rule, child)
                problem.path.append(key)
                raise problem from None
            except _Problem as problem:
                problem.path.append(key)
                raise
        for key in required:
            if key not in value:
                raise _Problem(f"missing property '{key}'")

    return check


def _list_checker(rule: Rule, unique: bool) -> Checker:
    def check(items: Seq) -> None:
        for index, item in enumerate(items):
            try:
                checker = rule[item.__class__]
                if checker is not None:
                    checker(item)
            except KeyError:
                problem = _wrong_kind(rule, item)
                problem.path.append(index)
                raise problem from None
            except _Problem as problem:
                problem.path.append(index)
                raise
        if unique and len(items) > 1:
            _check_unique(items)

    return check


def _check_unique(items: Seq) -> None:
    simple = [(item.__class__, item) for item in items if not isinstance(item, dict | list)]
    if len(simple) == len(items) and len(set(simple)) == len(simple):
        return
    for second, item in enumerate(items):
        for first in range(second):
            if items[first] == item and items[first].__class__ is item.__class__:
                problem = _Problem(f"items at {first} and {second} are equal")
                problem.path.append(second)
                raise problem


def _text_checker(words: list[str] | None, pattern: str | None) -> Checker:
    matches = re.compile(pattern).search if pattern else None

    def check(text: str) -> None:
        if words is not None and text not in words:
            raise _Problem(f"value must be one of {', '.join(repr(w) for w in words)}", text, tuple(words))
        if matches and not matches(text):
            raise _Problem(f"'{text}' does not match pattern '{pattern}'")

    return check


def _number_checker(whole: bool, low: int | None, high: int | None) -> Checker:
    def check(number: float) -> None:
        if whole and isinstance(number, float) and not number.is_integer():
            raise _Problem("must be a whole number")
        if low is not None and number < low:
            raise _Problem(f"must be greater than or equal to {low}")
        if high is not None and number > high:
            raise _Problem(f"must be less than or equal to {high}")

    return check


def _wrong_kind(rule: Rule, value: Any) -> _Problem:
    wanted = sorted({_SPOKEN[kind] for kind in rule if kind in _SPOKEN})
    words = wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
    if isinstance(value, Timestamp):
        return _Problem(f"must be a {words}, not a date: put {value} in quotes")
    return _Problem(f"must be a {words}, not {_a(_SPOKEN[value.__class__])}")


def _a(word: str) -> str:
    return word if word == "null" else f"a {word}"


_CHECK = _Compiler(SCHEMA["definitions"]).rule(SCHEMA)[Map]


def check_form(tree: Map, file: str) -> None:
    """Raises SpecError at the first value that is not of the form that SCHEMA says."""
    try:
        assert _CHECK is not None
        _CHECK(tree)
    except _Problem as problem:
        raise _form_error(tree, file, problem) from None


def _form_error(tree: Map, file: str, problem: _Problem) -> SpecError:
    path: Path = tuple(reversed(problem.path))
    owner: Any = tree
    for step in path:
        owner = owner[step]
    place = key_place(owner, problem.key) if problem.key is not None and isinstance(owner, Map) else None
    remedy = nearest(problem.key, problem.known) if problem.key is not None else None
    if remedy is None and problem.key is not None and isinstance(owner, Map) and problem.known:
        remedy = "Own keys begin with x-."
    says = f"{dotted(path) or 'the top level'}: {problem.says}"
    return SpecError("schema", says, place=place or place_of(tree, path) or Place(file), remedy=remedy)


def as_json() -> str:
    """The text of schemas/compose-lite.schema.json."""
    import json

    return json.dumps(SCHEMA, indent=2, sort_keys=False) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_json())
