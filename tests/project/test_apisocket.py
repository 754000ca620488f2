"""What a service with `use_api_socket` is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compose_lite.errors import ProjectError
from compose_lite.logins import Login
from compose_lite.project.apisocket import users, with_api_socket
from compose_lite.project.containerspec import Instance, create_body, injected_files
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models.project import Project

LOGINS = {"registry.example.org": Login("me", "secret"), "other.example.org": Login("", "", identity="token")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    text = """
name: p
services:
  a: {image: x, use_api_socket: true}
  b: {image: x}
  c: {image: x, use_api_socket: true, environment: {DOCKER_CONFIG: /own}}
"""
    (tmp_path / "compose.yaml").write_text(text)
    return load(LoadOptions(environ={}, cwd=str(tmp_path))).project


def test_socket_logins_and_where_they_are(project: Project) -> None:
    made = with_api_socket(project, "unix:///run/x/engine.sock", LOGINS)
    one = Instance(made, made.services["a"], 1, "p-a-1", "")
    body = create_body(one)
    assert body["HostConfig"]["Binds"] == ["/run/x/engine.sock:/var/run/docker.sock:rw"]
    assert body["Env"] == ["DOCKER_CONFIG=/run/secrets/docker"]
    [file] = injected_files(one)
    assert (file.path, file.mode) == ("/run/secrets/docker/config.json", 0o444)
    assert json.loads(file.content) == {
        "auths": {"registry.example.org": {"auth": "bWU6c2VjcmV0"}, "other.example.org": {"identitytoken": "token"}}
    }


def test_others_are_as_they_were_and_once_is_enough(project: Project) -> None:
    made = with_api_socket(project, "unix:///x", {})
    assert made.services["b"] == project.services["b"] and made.services["c"].environment == {"DOCKER_CONFIG": "/own"}
    assert users(project) == ["a", "c"] and users(made) == [] and with_api_socket(made, "unix:///x", {}) is made


def test_an_engine_elsewhere_has_no_socket_here(project: Project) -> None:
    with pytest.raises(ProjectError, match="can only be used with unix sockets"):
        with_api_socket(project, "tcp://there:2375", {})
