"""What services learn of their models, and what the runner is asked."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from compose_lite.errors import ProjectError
from compose_lite.project.languagemodels import configure_words, provided_models, with_models
from compose_lite.project.report import Silent
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.resources import LanguageModel
from compose_lite.spec.models.service import Service, ServiceModel

MODEL = LanguageModel(model="ai/x", context_size=10, runtime_flags=["--a", "b"])


def project(folder: str, wish: ServiceModel | None = None) -> Project:
    web = Service(name="web", image="i", models={"my-llm": wish})
    return Project(name="p", working_dir=folder, services={"web": web, "db": Service(name="db", image="i")}, models={"my-llm": MODEL})


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        (None, ["MY_LLM_MODEL", "MY_LLM_URL"]),
        (ServiceModel(model_var="M"), ["M", "MY_LLM_URL"]),
        (ServiceModel(model_var="M", endpoint_var="E"), ["M", "E"]),
    ],
)
def test_variables(wish: ServiceModel | None, names: list[str]) -> None:
    made = with_models(project("/", wish), "http://there")
    assert made.services["web"].environment == {names[0]: "ai/x", names[1]: "http://there"}
    assert not made.services["db"].environment


def test_words() -> None:
    assert configure_words(MODEL) == ["configure", "--context-size", "10", "ai/x", "--", "--a", "b"]
    assert configure_words(LanguageModel(model="m")) == ["configure", "m"]


def test_the_runner_is_asked(tmp_path: Path) -> None:
    plugins = tmp_path / "cli-plugins"
    plugins.mkdir()
    program = plugins / "docker-model"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path}/calls\n'
        """case $1 in status) echo '{"endpoint": "http://e"}';; ls) echo '[{"tags": ["ai/y"]}]';; esac\n"""
    )
    program.chmod(0o755)
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": "/usr/bin:/bin"}
    made = anyio.run(provided_models, project(str(tmp_path)), Silent(), environ)
    assert made.services["web"].environment == {"MY_LLM_MODEL": "ai/x", "MY_LLM_URL": "http://e"}
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["ls --json", "status --json", "pull ai/x", "configure --context-size 10 ai/x -- --a b"]


def test_without_it_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="docker-model"):
        anyio.run(provided_models, project(str(tmp_path)), Silent(), {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)})
