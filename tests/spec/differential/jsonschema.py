"""The keywords of JSON Schema that compose-spec.json uses, and no others. Written apart from ours, so that it can contradict it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
SCHEMA: Schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


def resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def kinds(schema: Schema) -> list[str]:
    wanted = schema.get("type", [])
    return [wanted] if isinstance(wanted, str) else wanted


def is_of(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and kind == "integer":
        return value.is_integer()
    types: dict[str, Any] = {
        "string": str, "integer": int, "number": (int, float), "null": type(None), "object": dict, "array": list, "boolean": (),
    }  # fmt: skip
    return isinstance(value, types[kind])


def same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def problems(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """What is wrong with the value; empty when it is valid."""
    schema = resolved(schema)
    if "oneOf" in schema:
        matching = sum(next(problems(value, one, path), None) is None for one in schema["oneOf"])
        if matching != 1:
            yield f"{path}: {matching} forms match"
        return
    wanted = kinds(schema)
    if wanted and not any(is_of(kind, value) for kind in wanted):
        yield f"{path}: is no {wanted}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: is none of {schema['enum']}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: does not match {schema['pattern']}"
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path}: is out of range"
    if isinstance(value, dict):
        yield from _mapping(value, schema, path)
    if isinstance(value, list):
        yield from _list(value, schema, path)


def _mapping(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{path}: has no {key}"
    for key, item in value.items():
        rules = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        rules += [rule for pattern, rule in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        if not rules and schema.get("additionalProperties", True) is False:
            yield f"{path}.{key}: is not known"
        for rule in rules:
            yield from problems(item, rule, f"{path}.{key}")


def _list(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    for index, item in enumerate(value):
        yield from problems(item, schema.get("items", {}), f"{path}[{index}]")
        if schema.get("uniqueItems") and any(same(item, other) for other in value[:index]):
            yield f"{path}[{index}]: is there twice"
