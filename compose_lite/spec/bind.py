"""A canonical document -> the typed Project. Pure.

A value that fits the form but means nothing (`mem_limit: plenty`) is refused here, with its path and place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from compose_lite.errors import SpecError
from compose_lite.spec.document import Map, Path, dotted, place_of
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.resources import FileObject, LanguageModel, Network, Volume
from compose_lite.spec.models.service import Service
from compose_lite.spec.models.values import Model
from compose_lite.spec.normalize import CONTENT
from compose_lite.spec.shellwords import dropped_words

M = TypeVar("M", bound=Model)
Warn = Callable[[str], None]


def bind(tree: Map, warn: Warn, **about: Any) -> Project:
    """The project of the document; all its services are active. about: working_dir, compose_files, ..."""
    context = {"warn": warn}
    services: dict[str, Service] = {}
    for name, service in _section(tree, "services"):
        service["name"] = name
        services[name] = _bound(Service, service, ("services", name), tree, context)
        _warn_of_shell(services[name], service, warn)
    project = Project(
        **about,
        services=services,
        networks={k: _bound(Network, v, ("networks", k), tree, context) for k, v in _section(tree, "networks")},
        volumes={k: _bound(Volume, v, ("volumes", k), tree, context) for k, v in _section(tree, "volumes")},
        secrets={k: _file_object(v, ("secrets", k), tree, context) for k, v in _section(tree, "secrets")},
        configs={k: _file_object(v, ("configs", k), tree, context) for k, v in _section(tree, "configs")},
        models={k: _bound(LanguageModel, v, ("models", k), tree, context) for k, v in _section(tree, "models")},
        **{key: value for key, value in tree.items() if key.startswith("x-")},
    )
    project._tree = tree
    return project


def _section(tree: Map, section: str) -> list[tuple[str, Map]]:
    found = tree.get(section)
    return [(k, Map() if v is None else v) for k, v in found.items()] if isinstance(found, Map) else []


def _bound(kind: type[M], value: Map, path: Path, tree: Map, context: dict[str, Any]) -> M:
    try:
        return kind.model_validate(value, context=context)
    except ValidationError as error:
        raise _meaningless(error, path, tree) from None


def _file_object(value: Map, path: Path, tree: Map, context: dict[str, Any]) -> FileObject:
    content = value.get(CONTENT)
    plain = Map({k: v for k, v in value.items() if k != CONTENT})
    found = _bound(FileObject, plain, path, tree, context)
    return found if content is None else found.model_copy(update={"content": content})


def _meaningless(error: ValidationError, path: Path, tree: Map) -> SpecError:
    first = error.errors(include_url=False)[0]
    inner = tuple(step for step in first["loc"] if not str(step).startswith("function-"))
    whole = (*path, *inner)
    place = next((p for n in range(len(whole), 0, -1) if (p := place_of(tree, whole[:n]))), None)
    says = first["msg"].removeprefix("Value error, ")
    return SpecError("value", f"{dotted(whole)}: {says}", place=place)


def _warn_of_shell(service: Service, written: Map, warn: Warn) -> None:
    """No shell runs a command: what follows `&&`, `|` or `>` is dropped. Nobody means that."""
    for attribute in ("command", "entrypoint"):
        text = written.get(attribute)
        lost = dropped_words(text) if isinstance(text, str) else ""
        if lost:
            warn(f'services.{service.name}.{attribute}: no shell runs it, so "{lost}" is dropped; write ["sh", "-c", "..."] instead')
