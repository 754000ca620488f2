"""Providers: their words, their answers, and what dependents learn."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from compose_lite.errors import ProjectError
from compose_lite.project.providers import Say, program, provided, read_line, with_variables, words
from compose_lite.project.report import Silent
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Dependency, Provider, Service

DB = Service(name="db", provider=Provider(type="tool", options={"kind": ["tiny"], "tag": ["a", "b"]}))


def test_words() -> None:
    assert words("p", DB, "up", {}) == ["compose", "--project-name=p", "up", "--kind=tiny", "--tag=a", "--tag=b", "db"]
    told = {"up": {"parameters": [{"name": "tag"}]}}
    assert words("p", DB, "up", told) == ["compose", "--project-name=p", "up", "--tag=a", "--tag=b", "db"]
    assert words("p", DB, "down", told) == ["compose", "--project-name=p", "down", "db"]
    with pytest.raises(ProjectError, match='required parameter "size" is missing'):
        words("p", DB, "up", {"up": {"parameters": [{"name": "size", "required": True}]}})


def test_lines() -> None:
    assert read_line(" \n") is None
    assert read_line('{"type":"setenv","message":"A=b"}') == Say("setenv", "A=b")
    for wrong in ("nonsense", '{"type":"x"}', "[]"):
        with pytest.raises(ValueError, match=r".*"):
            read_line(wrong)


def project(kind: str) -> Project:
    db = Service(name="db", provider=Provider(type=kind, options={"kind": ["tiny"]}))
    services = {"db": db, "web": Service(name="web", depends_on={"db": Dependency()}, environment={"A": "1"}), "lone": Service(name="lone")}
    return Project(name="p", services=services)


def test_dependents_learn_what_it_sets() -> None:
    made = with_variables(project("x"), "db", {"URL": "u"})
    assert made.services["web"].environment == {"A": "1", "DB_URL": "u"}
    assert made.services["lone"].environment == {}


def script(folder: Path, text: str) -> str:
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return str(path)


def test_a_program_is_run_and_heard(tmp_path: Path) -> None:
    tool = script(
        tmp_path, f'echo "$*" >> {tmp_path}/calls\ncase "$*" in *metadata) exit 1;; esac\necho \'{{"type":"setenv","message":"URL=x=y"}}\''
    )
    made = anyio.run(provided, project(tool).model_copy(update={"working_dir": str(tmp_path)}), ["db", "web"], Silent(), {"PATH": "/bin"})
    assert made.services["web"].environment["DB_URL"] == "x=y"
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "compose --project-name=p up --kind=tiny db"


@pytest.mark.parametrize(
    ("text", "says"),
    [("exit 3", "exit status 3"), ('echo \'{"type":"error","message":"no luck"}\'', "no luck"), ("echo huh", "invalid response")],
)
def test_failures(tmp_path: Path, text: str, says: str) -> None:
    tool = script(tmp_path, f'case "$*" in *metadata) exit 1;; esac\n{text}')
    with pytest.raises(ProjectError, match=says):
        anyio.run(provided, project(tool).model_copy(update={"working_dir": str(tmp_path)}), ["db"], Silent(), {"PATH": "/bin"})


def test_where_programs_are_found(tmp_path: Path) -> None:
    plugins = tmp_path / "cli-plugins"
    plugins.mkdir()
    script(plugins, "")
    (plugins / "tool").rename(plugins / "docker-tool")
    assert program(DB, {"DOCKER_CONFIG": str(tmp_path), "PATH": ""}) == str(plugins / "docker-tool")
    assert program(DB, {"HOME": "/none", "PATH": "/none"}) is None
