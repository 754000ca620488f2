"""`extends` and `include`: what a file takes from others. Pure: files are read through what the caller hands in.

A path in another file is relative to that file's folder; it is made relative to ours, so that the last pass can make
all of them absolute at once.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compose_lite.errors import Place, SpecError, nearest
from compose_lite.spec.document import Map, Replaced, Seq, clone, key_place, place_of, take_out
from compose_lite.spec.merge import extend_service

SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


@dataclass(frozen=True, slots=True)
class Base:
    """A file that is extended: its services, with paths made relative, and what its !reset tags take out."""

    services: Map
    replaced: Replaced


OpenBase = Callable[[str, Any], Base]
"""(path as written, place) -> the file, read and canonical."""


def apply_extends(tree: Map, file: str, replaced: Replaced, open_base: OpenBase) -> None:
    """Every service that extends another one becomes whole, in place."""
    services = tree.get("services")
    if services is None and "services" not in tree:
        return
    if not isinstance(services, Map):
        raise SpecError("schema", "services: must be a mapping", place=place_of(tree, ("services",)) or Place(file))
    extending = [name for name, service in services.items() if isinstance(service, Map) and "extends" in service]
    for name in extending:
        services[name] = _extended(name, services, file, replaced, open_base, ())


def _extended(name: str, services: Map, file: str, replaced: Replaced, open_base: OpenBase, trail: tuple[tuple[str, str], ...]) -> Any:
    service = services.get(name)
    if not isinstance(service, Map) or "extends" not in service:
        return service
    place = place_of(service, ("extends",))
    ref, other = _reference(service["extends"], name, place)
    base_replaced: Replaced = {}
    within = services
    if other is not None:
        base = open_base(other, place)
        within, base_replaced = base.services, base.replaced
    if ref not in within:
        where = f" in {other}" if other is not None else ""
        says = f'cannot extend service "{name}" in {file}: service "{ref}" not found{where}'
        raise SpecError("extends-unknown", says, place=place, remedy=nearest(ref, within))
    step = (other or file, name)
    if step in trail:
        _refuse_cycle((*trail, step), place)
    found = _extended(ref, within, file, base_replaced, open_base, (*trail, step))
    if found is None:
        return service
    if not isinstance(found, Map):
        raise SpecError("schema", f"services.{ref}: must be a mapping", place=place_of(within, (ref,)) or place)
    base_service = clone(found)
    take_out(Map({"services": Map({name: base_service})}), replaced)
    merged = extend_service(base_service, service, name)
    merged.pop("extends", None)
    services[name] = merged
    return merged


def _reference(extends: Any, name: str, place: Any) -> tuple[str, str | None]:
    """The service and the file that are extended."""
    if isinstance(extends, str):
        return extends, None
    if isinstance(extends, Map) and isinstance(extends.get("service"), str):
        file = extends.get("file")
        if file is not None and not isinstance(file, str):
            raise SpecError("schema", f"services.{name}.extends.file: must be a string", place=place)
        return extends["service"], file
    raise SpecError("schema", f"services.{name}.extends: `service` is required", place=place)


def _refuse_cycle(trail: tuple[tuple[str, str], ...], place: Any) -> None:
    (file, service), *others = trail
    lines = [f"{service} in {file}", *(f"extends {s} in {f}" for f, s in others)]
    raise SpecError("extends-cycle", "Circular reference: " + ", ".join(lines), place=place)


@dataclass(frozen=True, slots=True)
class Include:
    """One entry of `include`. files: absolute; the first one is the main one, the others override it.

    folder: the project directory of the included files; prefix: the same, relative to the including one's.
    env_files: absolute; empty: the folder's .env, if there is one.
    """

    files: tuple[str, ...]
    folder: str
    prefix: str
    env_files: tuple[str, ...]
    place: Any


Local = Callable[[str, str, Any], str]
"""(path as written, folder, place) -> the absolute path of the file, which may have been fetched."""


def includes(tree: Map, folder: str, warn: Callable[[str], None], local: Local) -> list[Include]:
    """What the document includes. folder: the project directory of the document (absolute)."""
    entries = tree.get("include")
    if entries is None:
        return []
    if not isinstance(entries, Seq):
        says = f"`include` must be a list, got {entries}"
        raise SpecError("schema", says, place=place_of(tree, ("include",)), remedy="Begin each entry with a dash.")
    found = [_include(entry, folder, index, tree, warn, local) for index, entry in enumerate(entries)]
    return [one for one in found if one is not None]


_KEYS = ("path", "project_directory", "env_file")


def _include(entry: Any, folder: str, index: int, tree: Map, warn: Callable[[str], None], local: Local) -> Include | None:
    place = place_of(tree, ("include", index))
    if isinstance(entry, str):
        entry = Map({"path": entry})
    if not isinstance(entry, Map):
        raise SpecError("schema", f"include[{index}] must be a mapping or string", place=place)
    for key in entry:
        if key not in _KEYS:  # the reference takes it without a word
            hint = nearest(key, _KEYS) or ""
            warn(f"{key_place(entry, key) or place}: include[{index}]: unknown key '{key}' is ignored. {hint}".rstrip())
    paths = _texts(entry.get("path"), f"include[{index}].path", place)
    if not paths:
        warn(f"{place}: include[{index}] names no path, so it includes nothing")
        return None
    files = tuple(local(path, folder, place) for path in paths)
    directory = entry.get("project_directory")
    own = _join(folder, directory) if isinstance(directory, str) and directory else posixpath.dirname(files[0])
    env_files = tuple(_join(folder, f) for f in _texts(entry.get("env_file"), f"include[{index}].env_file", place))
    absolute = isinstance(directory, str) and directory.startswith("/")
    return Include(files, own, own if absolute else posixpath.relpath(own, folder), env_files, place)


def _texts(value: Any, path: str, place: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, Seq) and all(isinstance(item, str) for item in value):
        return list(value)
    raise SpecError("schema", f"{path} must be a list or string", place=place)


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def check_include_cycle(included: tuple[str, ...], file: str, place: Any) -> None:
    """Raises SpecError when the file is being included already."""
    if file in included:
        steps = "".join(f"\n include {step}" for step in (*included[1:], file))
        raise SpecError("include-cycle", f"include cycle detected:\n{included[0]}{steps}", place=place)


def import_resources(imported: Mapping[str, Any], tree: Map) -> None:
    """Takes what an included model declares; the same name twice is a conflict unless it is the same thing."""
    for section in SECTIONS:
        source = imported.get(section)
        if not isinstance(source, Map):
            continue
        own = tree.get(section)
        if section in tree and not isinstance(own, Map) and (own is not None or section == "services"):
            raise SpecError("schema", f"{section}: must be a mapping", place=place_of(tree, (section,)))
        if own is None:
            tree[section] = Map()
        target = tree[section]
        for name, resource in source.items():
            if name in target and target[name] != resource:
                says = f"{section}.{name} conflicts with imported resource"
                remedy = "Change it in an override file (compose.override.yaml) or in a second `path` of the include."
                raise SpecError("include-conflict", says, place=key_place(target, name), remedy=remedy)
            if name not in target:
                target.put(name, resource, source)
