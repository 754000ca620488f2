"""`models:`: the program that runs language models (Docker's plugin `docker-model`) is asked for each; services get name and address.

`docker-model status --json | ls --json | pull MODEL | configure [--context-size=N] MODEL [-- FLAGS]`. Without that program the models
are refused by name. https://docs.docker.com/reference/compose-file/models/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from compose_lite.errors import ProjectError
from compose_lite.project.providers import plugin
from compose_lite.project.report import Report
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.resources import LanguageModel
from compose_lite.spec.models.service import ServiceModel, changed

Document = dict[str, Any]


def variable_names(key: str, wish: ServiceModel | None) -> tuple[str, str]:
    """(of the model's name, of its address), as the service wishes or by the model's key."""
    prefix = key.upper().replace("-", "_")
    return (wish and wish.model_var) or f"{prefix}_MODEL", (wish and wish.endpoint_var) or f"{prefix}_URL"


def with_models(project: Project, endpoint: str) -> Project:
    """The project in which the services that use models know their names and the address. Pure."""
    made = {}
    for name, service in project.services.items():
        found: dict[str, str] = {}
        for key, wish in service.models.items():
            model_variable, endpoint_variable = variable_names(key, wish)
            found |= {model_variable: project.models[key].model, endpoint_variable: endpoint}
        if found:
            made[name] = changed(service, environment={**service.environment, **found})
    return project.model_copy(update={"services": {**project.services, **made}}) if made else project


def configure_words(model: LanguageModel) -> list[str]:
    words = ["configure", *(["--context-size", str(model.context_size)] if model.context_size else []), model.model]
    return [*words, "--", *model.runtime_flags] if model.runtime_flags else words


def runner(project: Project, environ: Mapping[str, str]) -> str:
    """The program; empty when no service uses a model. ProjectError when there is none."""
    users = [s.name for s in project.services.values() if s.models]
    if not users:
        return ""
    found = plugin("model", environ)
    if found is None:
        where = place(project, ("services", users[0], "models"))
        says = f"service {users[0]!r} uses models, and the program that runs them (the plugin docker-model) is not there"
        remedy = "Install the Docker Model Runner's plugin, or run the model as a service and give its address in `environment`."
        raise ProjectError("models", says, place=where, remedy=remedy)
    return found


async def provided_models(project: Project, report: Report, environ: Mapping[str, str]) -> Project:
    """Every model that a service uses is there and configured; the project with what the services have to know."""
    program = runner(project, environ)
    if not program:
        return project
    used = sorted({key for service in project.services.values() for key in service.models})
    there = {tag for row in json.loads(await _ask(program, ["ls", "--json"], project, environ) or "[]") for tag in row.get("tags") or ()}
    endpoint = str(json.loads(await _ask(program, ["status", "--json"], project, environ) or "{}").get("endpoint") or "")

    async def one(key: str) -> None:
        model = project.models[key]
        if model.model not in there:
            report.event("Model", key, "Pulling")
            await _ask(program, ["pull", model.model], project, environ)
            report.event("Model", key, "Pulled")
        report.event("Model", key, "Configuring")
        await _ask(program, configure_words(model), project, environ)
        report.event("Model", key, "Configured", done=True)

    async with anyio.create_task_group() as group:
        for key in used:
            group.start_soon(one, key)
    return with_models(project, endpoint)


async def _ask(program: str, words: Sequence[str], project: Project, environ: Mapping[str, str]) -> str:
    done = await anyio.run_process([program, *words], cwd=project.working_dir, env=environ, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise ProjectError("model-failed", f"`{program} {' '.join(words)}` failed: {said or f'exit status {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")
