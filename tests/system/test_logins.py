"""Logins of the command's own user go with pulls, pushes and builds to an engine that has others (or none)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.logins import Login
from tests.image.served import Registry, serving
from tests.system.engines import Engine

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as made:
        made.login = Login("me", "pw")
        yield made


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Started by somebody who has no logins."""
    made = Engine(tmp_path / "logins", idle=30)
    made.env["DOCKER_CONFIG"] = "/nowhere"
    made.run("engine", "start")
    yield made
    made.close()


def test_pull_push_and_build(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    auth = base64.b64encode(b"me:pw").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.name: {"auth": auth}}}))
    (engine.project / "Dockerfile").write_text("FROM scratch\nCOPY compose.yaml /\n")
    image = f"{registry.name}/me/base:1"
    engine.spec(f"services:\n  base: {{image: '{image}', build: .}}\n  web: {{build: {{dockerfile_inline: 'FROM {image}'}}}}\n")
    engine.run("build", "base")
    assert "denied" in engine.run("push", "base", code=1, err=True)
    engine.env["DOCKER_CONFIG"] = str(tmp_path)
    engine.run("push", "base")
    engine.run("image", "rm", image)
    engine.run("build", "--no-cache", "web")
    engine.run("image", "rm", "-f", image, code=None)
    engine.run("pull", "base")
    engine.env["DOCKER_CONFIG"] = "/nowhere"
    engine.run("image", "rm", image)
    assert "denied" in engine.run("image", "pull", image, code=1, err=True)
