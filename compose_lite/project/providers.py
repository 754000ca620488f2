"""Services that a program provides instead of a container (`provider:`): which program, its words, what it answers.

`PROGRAM compose --project-name=NAME up|down --OPTION=VALUE... SERVICE`; it writes a JSON object a line: info, debug,
error, setenv. What it sets reaches the services that depend on it as `<SERVICE>_<NAME>`.
https://github.com/docker/compose/blob/main/docs/extension.md
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream

from compose_lite.errors import ProjectError
from compose_lite.project.report import Report
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service, changed

Document = dict[str, Any]
_PLUGIN_FOLDERS = ("/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins",
                   "/usr/libexec/docker/cli-plugins")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Say:
    """One line of a provider. kind: info, debug, error or setenv."""

    kind: str
    text: str


def read_line(line: str) -> Say | None:
    """A line of its output; None for an empty one. Raises ValueError."""
    if not line.strip():
        return None
    found = json.loads(line)
    kind = found.get("type") if isinstance(found, dict) else None
    if kind not in ("info", "debug", "error", "setenv"):
        raise ValueError(f"unknown message type {kind!r}")
    return Say(kind, str(found.get("message") or ""))


def words(project: str, service: Service, action: str, metadata: Mapping[str, Any]) -> list[str]:
    """The program's arguments. metadata: what it says it takes; without it all options are passed. Pure; raises ProjectError."""
    assert service.provider
    known = {p.get("name"): p for p in (metadata.get(action) or {}).get("parameters") or ()}
    options = service.provider.options
    for name, parameter in known.items():
        if metadata and parameter.get("required") and name not in options:
            says = f'required parameter "{name}" is missing from provider "{service.provider.type}" definition'
            raise ProjectError("provider-parameter", says, remedy=f"Say it under services.{service.name}.provider.options.")
    said = [f"--{key}={value}" for key, values in options.items() if not metadata or key in known for value in values]
    return ["compose", f"--project-name={project}", action, *said, service.name]


def program(service: Service, environ: Mapping[str, str]) -> str | None:
    """A docker plugin `docker-TYPE`, else TYPE on the PATH or as a path."""
    assert service.provider
    return plugin(service.provider.type, environ) or shutil.which(service.provider.type, path=environ.get("PATH"))


def plugin(kind: str, environ: Mapping[str, str]) -> str | None:
    """The file `docker-KIND` in one of Docker's folders for them."""
    own = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/") / ".docker") / "cli-plugins"
    for folder in (str(own), *_PLUGIN_FOLDERS):
        found = f"{folder}/docker-{kind}"
        if "/" not in kind and os.access(found, os.X_OK):
            return found
    return None


def with_variables(project: Project, provider: str, variables: Mapping[str, str]) -> Project:
    """The project in which what depends on the provider knows what it has set."""
    prefix = f"{provider.upper()}_"
    made = {
        name: changed(service, environment={**service.environment, **{prefix + key: value for key, value in variables.items()}})
        for name, service in project.services.items()
        if provider in service.depends_on
    }
    return project.model_copy(update={"services": {**project.services, **made}})


async def provided(project: Project, names: Iterable[str], report: Report, environ: Mapping[str, str]) -> Project:
    """Runs `up` of each of these services that has a provider, in the given order; the project with what they set."""
    for name in names:
        service = project.services[name]
        if service.provider is not None:
            report.event(name, "", "Creating")
            variables = await _run(project, service, "up", report, environ)
            report.event(name, "", "Created", done=True)
            project = with_variables(project, name, variables)
    return project


async def withdrawn(project: Project, services: Iterable[Service], report: Report, environ: Mapping[str, str]) -> None:
    """Runs `down` of each that has a provider."""
    for service in services:
        if service.provider is not None:
            report.event(service.name, "", "Removing")
            await _run(project, service, "down", report, environ)
            report.event(service.name, "", "Removed", done=True)


async def _run(project: Project, service: Service, action: str, report: Report, environ: Mapping[str, str]) -> dict[str, str]:
    assert service.provider
    where = place(project, ("services", service.name, "provider"))
    found = program(service, environ)
    if found is None or service.provider.type == "compose":
        says = f'exec: "{service.provider.type}": executable file not found in $PATH'
        raise ProjectError("provider-missing", says, place=where, remedy="Install the provider, or give its path.")
    command = [found, *words(project.name, service, action, await _metadata(found, project, environ))]
    return await _listen(command, project, service, report, environ)


async def _metadata(found: str, project: Project, environ: Mapping[str, str]) -> Document:
    """What the program says of itself; nothing if it does not know the question."""
    done = await anyio.run_process([found, "compose", "metadata"], cwd=project.working_dir, env=environ, check=False, stderr=None)
    try:
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


async def _listen(command: Sequence[str], project: Project, service: Service, report: Report, environ: Mapping[str, str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    failed = ""
    async with await anyio.open_process(command, cwd=project.working_dir, env=environ, stderr=None, stdin=None) as process:
        assert process.stdout
        rest = ""
        async for text in TextReceiveStream(process.stdout, errors="replace"):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                failed = _heard(line, service, report, variables) or failed
        failed = _heard(rest, service, report, variables) or failed
        code = await process.wait()
    if failed or code:
        report.event(service.name, "", failed or f"exit status {code}", failed=True)
        raise ProjectError("provider-failed", failed or f"provider of {service.name} failed: exit status {code}")
    return variables


def _heard(line: str, service: Service, report: Report, variables: dict[str, str]) -> str:
    """Acts on a line; the text of an error."""
    try:
        said = read_line(line)
    except ValueError as error:
        raise ProjectError("provider-answer", f"invalid response from the provider of {service.name}: {line!r}: {error}") from error
    if said is None or said.kind == "debug":
        return ""
    if said.kind == "error":
        return said.text
    if said.kind == "info":
        report.event(service.name, "", said.text)
        return ""
    key, equals, value = said.text.partition("=")
    if not equals:
        raise ProjectError("provider-answer", f"invalid response from the provider of {service.name}: setenv {said.text!r}")
    variables[key] = value
    return ""
