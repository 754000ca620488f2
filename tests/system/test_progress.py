"""What commands say of their progress, as Docker Compose 2.40 says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine

pytestmark = [pytest.mark.root, pytest.mark.system]
SPEC = """\
services:
  web: {image: "rootfs:/", network_mode: none, init: true, command: [/bin/sleep, "1000"], depends_on: [job]}
  job: {image: "rootfs:/", network_mode: none, command: [/bin/true]}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path)
    made.spec(SPEC)
    yield made
    made.close()


def test_what_does_not_run_is_told_to_be_stopped(engine: Engine) -> None:
    name = engine.env["COMPOSE_PROJECT_NAME"]
    engine.run("create", "--scale", "web=2")
    down = engine.run("up", "--no-start", "--scale", "web=1", err=True)
    assert [f" Container {name}-web-2  {word}" for word in ("Stopping", "Stopped", "Removing", "Removed")] == [
        line for line in down.splitlines() if "web-2" in line
    ]
    removed = engine.run("rm", "-sf", "job", err=True)
    assert [f" Container {name}-job-1  {word}" for word in ("Stopping", "Stopped", "Removing", "Removed")] == removed.splitlines()


def test_orphans_are_told_of_once(engine: Engine) -> None:
    engine.run("run", "job")
    said = engine.run("run", "--rm", "web", "true", err=True)
    assert said.count("Found orphan containers") == 1
    assert "Found orphan" not in engine.run("run", "--rm", "--remove-orphans", "web", "true", err=True)
    assert "Found orphan" not in engine.run("run", "--rm", "web", "true", err=True)


def test_nothing_to_take_down(engine: Engine) -> None:
    """The project has neither networks nor containers, and volumes only if they are asked for."""
    says = f'No resource found to remove for project "{engine.env["COMPOSE_PROJECT_NAME"]}"'
    assert says in engine.run("down", err=True)
    engine.spec(SPEC + "volumes: {data: {}}\n")
    assert says in engine.run("down", err=True)
    engine.spec("services: {web: {image: x}}")
    assert engine.run("down", err=True) == ""
