"""A project as the text that `config` prints, and as plain values for whoever compares or hashes it. Pure.

Attributes at their zero value are left out, as Docker Compose does; JSON and YAML differ where they differ there (in
JSON a service always has `command` and `entrypoint`, and `x-` keys are kept at the top level only).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from math import isfinite
from typing import Any

from pydantic import BaseModel

from compose_lite.spec.attributes import rules
from compose_lite.spec.document import Timestamp
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.resources import FileObject
from compose_lite.spec.models.service import EnvFile, Hook, InitStep, Service, ThrottleDevice, Ulimit, WeightDevice
from compose_lite.spec.models.values import DURATION, HOSTS, MODE, SIZE, Kind, Model, go_float
from compose_lite.spec.patterns import Branch, compile_patterns
from compose_lite.spec.yamltext import in_yaml_order, yaml_text
from compose_lite.units import format_duration

SECTIONS = ("networks", "volumes", "secrets", "configs", "models")


def render(project: Project, format: str = "yaml") -> str:
    """The canonical model as YAML or JSON, `$` doubled so that it can be loaded again."""
    return as_text(plain(project, format), format).replace("$", "$$")


def as_text(value: Any, format: str) -> str:
    """Plain values in the format, with a line end (the reference leaves it out in JSON)."""
    if format == "json":
        return escaped_json(json.dumps(_for_json(value), indent=2, ensure_ascii=False)) + "\n"
    return yaml_text(value)


def escaped_json(text: str) -> str:
    """What HTML or JavaScript would misread stands as \\u....; it is in strings only."""
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _for_json(value: Any) -> Any:
    """JSON knows neither dates nor numbers without end."""
    if isinstance(value, dict):
        return {key: _for_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    if isinstance(value, Timestamp):
        return f"{value}T00:00:00Z" if len(value) <= 10 else str(value)
    if isinstance(value, float):
        return go_float(value) if not isfinite(value) else int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value


def plain(project: Project, format: str = "yaml") -> dict[str, Any]:
    """The whole project as dicts, lists and scalars."""
    as_json = format == "json"
    found: dict[str, Any] = {"name": project.name} if project.name or as_json else {}
    found["services"] = {name: plain_service(project.services[name], format) for name in in_order(project.services, as_json)}
    for section in SECTIONS:
        if as_json and section == "models":
            continue
        resources = getattr(project, section)
        if resources:
            found[section] = {key: plain_value(resources[key], as_json) for key in in_order(resources, as_json)}
    found |= sorted_keys(ordinary(project.extensions), as_json)
    if not as_json:
        return found
    return {key: _without_empty_lists(found[key], None) if key in project.extensions else found[key] for key in sorted(found)}


def in_order(keys: Iterable[str], as_json: bool) -> list[str]:
    """Keys of a mapping that is the user's, as the reference sorts them in each format."""
    return sorted(keys) if as_json else in_yaml_order(keys)


def model_text(tree: Any, format: str) -> str:
    """A document that is not typed, as text, keys sorted. In JSON an empty list is null, but for those that hold an entry once."""
    value = sorted_keys(ordinary(tree), format == "json")
    return as_text(_without_empty_lists(value, _kept_empty()) if format == "json" else value, format)


@cache
def _kept_empty() -> Branch:
    """Lists that the reference makes anew when it takes out what is there twice; variables are taken from the environment after that."""
    return compile_patterns({path: True for path in rules("once") if path[-1] not in ("environment", "args")})


def _without_empty_lists(value: Any, at: Branch | None) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty_lists(item, at and at.step(key)) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    kept = at is not None and at.rule is not None
    return [_without_empty_lists(item, at and at.any) for item in value] or ([] if kept else None)


def sorted_keys(value: Any, as_json: bool) -> Any:
    """Mappings by key, at every depth."""
    if isinstance(value, dict):
        return {key: sorted_keys(value[key], as_json) for key in in_order(value, as_json)}
    return [sorted_keys(item, as_json) for item in value] if isinstance(value, list) else value


def plain_service(service: Service, format: str = "json") -> dict[str, Any]:
    """One service, attributes in the reference's order, which is the model's."""
    found: dict[str, Any] = plain_value(service, format == "json")
    found.pop("name", None)
    return found


def plain_value(value: Any, as_json: bool) -> Any:
    """A part of the project as plain values."""
    if isinstance(value, Ulimit):
        limits = {"soft": value.soft, "hard": value.hard}
        return value.single or ({key: limit for key, limit in limits.items() if limit} if as_json else limits)
    if isinstance(value, EnvFile) and value.required:
        return value.path
    if isinstance(value, FileObject):
        value = _without_content(value)
    if isinstance(value, Model):
        return _plain_model(value, as_json)
    if isinstance(value, dict):
        return {key: plain_value(value[key], as_json) for key in in_order(value, as_json)}
    if isinstance(value, list):
        return [plain_value(item, as_json) for item in value]
    return value


def _without_content(found: FileObject) -> FileObject:
    """What came out of a variable is not shown."""
    return found.model_copy(update={"content": ""}) if found.environment or not found.content else found


@cache
def _fields(kind: type[Model]) -> list[tuple[str, str | None, bool, bool]]:
    """Per field: name, how it is written, whether zero is shown, whether it is a part that is never None."""
    found = []
    for name, field in kind.model_fields.items():
        if field.exclude:
            continue
        written = next((mark.name for mark in field.metadata if isinstance(mark, Kind)), None) or _inner_kind(field.annotation)
        found.append((name, written, name in kind.shown_when_zero, isinstance(field.default, BaseModel)))
    return found


def _inner_kind(annotation: Any) -> str | None:
    """The mark inside `Duration | None`."""
    for part in getattr(annotation, "__args__", ()):
        for mark in getattr(part, "__metadata__", ()):
            if isinstance(mark, Kind):
                return mark.name
    return None


def _plain_model(value: Model, as_json: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, written, shown, whole in _fields(type(value)):
        item = getattr(value, name)
        if item is None:
            if as_json and name in ("command", "entrypoint") and isinstance(value, Service | Hook | InitStep):
                found[name] = None
            continue
        if isinstance(item, Model):
            inner = plain_value(item, as_json)
            if not whole or as_json or inner:
                found[name] = inner
        elif item or (shown and item is not None):
            found[name] = _written(item, written) if written else _special(name, item, as_json)
    if as_json:  # the one place where the reference forgot its keys' names
        return {key.capitalize(): item for key, item in found.items()} if isinstance(value, WeightDevice | ThrottleDevice) else found
    return {**found, **sorted_keys(ordinary(value.extensions), as_json)} if value.extensions else found


def _special(name: str, item: Any, as_json: bool) -> Any:
    if name == "ssh":
        return [key if path is None else f"{key}: {path}" for key, path in item.items()]
    return plain_value(item, as_json)


def _written(item: Any, kind: str) -> Any:
    if kind == DURATION.name:
        return format_duration(item)
    if kind == SIZE.name:
        return str(item)
    if kind == MODE.name:
        return f"0{item:o}"
    if kind == HOSTS.name:
        return sorted(f"{host}={address}" for host, addresses in item.items() for address in addresses)
    return int(item) if isinstance(item, float) and item.is_integer() else item


def ordinary(value: Any) -> Any:
    """Values of the file without their places."""
    if isinstance(value, dict):
        return {key: ordinary(item) for key, item in value.items()}
    if isinstance(value, list):
        return [ordinary(item) for item in value]
    return value
