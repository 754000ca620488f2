"""`use_api_socket`: a service gets the engine's socket where Docker's is, and the logins of the command's user. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from compose_lite.errors import ProjectError
from compose_lite.logins import Login
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.resources import FileObject
from compose_lite.spec.models.service import BindOptions, FileReference, Service, VolumeMount, changed

SOCKET, FOLDER, KEY = "/var/run/docker.sock", "/run/secrets/docker", "#apisocket"


def users(project: Project) -> list[str]:
    """Services that ask for it and have not got it yet."""
    return [name for name, service in project.services.items() if service.use_api_socket and not _has_it(service)]


def with_api_socket(project: Project, url: str, logins: Mapping[str, Login]) -> Project:
    """url: the engine's. The project in which those services have it. ProjectError for an engine without a socket of this machine."""
    wanted = users(project)
    if not wanted:
        return project
    kind, _, path = url.partition("://")
    if kind != "unix":
        says = f"use_api_socket can only be used with unix sockets: {url} is none"
        raise ProjectError("engine-url", says, place=place(project, ("services", wanted[0], "use_api_socket")))
    file = FileObject(
        name=f"{project.name}_{KEY}", content=json.dumps({"auths": {s: _entry(one) for s, one in logins.items()}}, indent="\t")
    )
    made = {name: _granted(project.services[name], path) for name in wanted}
    return project.model_copy(update={"services": {**project.services, **made}, "configs": {**project.configs, KEY: file}})


def _has_it(service: Service) -> bool:
    return any(reference.source == KEY for reference in service.configs)


def _granted(service: Service, path: str) -> Service:
    socket = VolumeMount(type="bind", source=path, target=SOCKET, bind=BindOptions(create_host_path=True))
    return changed(
        service,
        volumes=[*service.volumes, socket],
        configs=[*service.configs, FileReference(source=KEY, target=f"{FOLDER}/config.json")],
        environment={"DOCKER_CONFIG": FOLDER, **service.environment},
    )


def _entry(login: Login) -> dict[str, str]:
    if login.identity:
        return {"identitytoken": login.identity}
    return {"auth": base64.b64encode(f"{login.user}:{login.password}".encode()).decode()}
