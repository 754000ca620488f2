"""env_file and label_file of the services: what they add to environment and labels. Pure but for `read`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compose_lite.errors import Place, SpecError
from compose_lite.spec import dotenv
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service, changed

Read = Callable[[str], str | None]
"""The text of a file, None when there is none."""
Warn = Callable[[str], None]


def with_environment(project: Project, environ: Mapping[str, str], read: Read, warn: Warn) -> Project:
    """Every active service with its env files read into environment; env_file is empty then.

    An entry of `environment` wins over the files, also one without a value.
    """
    services: dict[str, Service] = {}
    for name, service in project.services.items():
        own = {k: environ.get(k) if v is None else v for k, v in service.environment.items()}
        if service.env_file:
            services[name] = changed(service, environment=_from_files(project, service, own, environ, read, warn), env_file=[])
        elif own != service.environment:
            services[name] = changed(service, environment=own)
        else:
            services[name] = service
    return project.model_copy(update={"services": services})


def _from_files(
    project: Project, service: Service, own: dict[str, str | None], environ: Mapping[str, str], read: Read, warn: Warn
) -> dict[str, str | None]:
    def lookup(name: str) -> str | None:
        return environ[name] if name in environ else own.get(name)

    found = {k: v for k, v in own.items() if v is not None}
    for index, file in enumerate(service.env_file):
        where = place(project, ("services", service.name, "env_file", index))
        text = read(file.path)
        if text is None:
            if file.required:
                says = f"env file {file.path} not found: no such file or directory"
                raise SpecError("env-file-missing", says, place=where, remedy="Create it, or say `required: false`.")
            continue
        found = parsed(text, file.path, file.format, lookup, found, warn, where)
    return {**found, **own}


def with_labels(project: Project, read: Read, warn: Warn) -> Project:
    """Every active service with its label files read into labels; label_file is empty then."""
    services = dict(project.services)
    for name, service in project.services.items():
        if not service.label_file:
            continue
        labels: dict[str, str] = {}
        for index, path in enumerate(service.label_file):
            where = place(project, ("services", name, "label_file", index))
            text = read(path)
            if text is None:
                raise SpecError("label-file-missing", f"label file {path} not found: no such file or directory", place=where)
            labels |= parsed(text, path, "", labels.get, {}, warn, where)
        services[name] = changed(service, labels={**labels, **service.labels}, label_file=[])
    return project.model_copy(update={"services": services})


def parsed(
    text: str, path: str, format: str, lookup: Callable[[str], str | None], known: Mapping[str, str], warn: Warn, where: Any
) -> dict[str, str]:
    """known, and what the text adds. Raises SpecError with the line."""
    try:
        if format == "raw":
            return {**known, **dotenv.parse_raw(text, lookup)}
        if format not in ("", ".env"):
            raise SpecError("env-file-format", f'unsupported env_file format "{format}"', place=where, remedy="Say `raw`, or nothing.")
        return dotenv.parse(text, lookup, known, warn)
    except dotenv.DotenvError as problem:
        raise SpecError("env-file", f"failed to read {path}: {problem}", place=Place(path, problem.line)) from None
    except ValueError as problem:
        raise SpecError("env-file", f"failed to read {path}: {problem}", place=Place(path)) from None
