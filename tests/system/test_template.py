"""The template keeps commands fast while they come, and gives its memory back when none does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = "services: {a: {image: 'rootfs:/', command: sleep 600, init: true, network_mode: none}}\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "template", idle=2)
    made.spec(SPEC)
    yield made
    made.close()


def test_without_commands_it_goes_and_containers_stay(engine: Engine) -> None:
    engine.env["COMPOSE_LITE_WARM"] = "1"
    engine.run("up", "-d")
    eventually(lambda: not (engine.base / "run/worker.sock").exists())
    assert (engine.base / "run/engine.sock").exists()
    assert engine.rows()["a"]["State"] == "running"  # by a new template, on the same engine


def test_a_second_template_goes_with_the_engine(engine: Engine) -> None:
    engine.env["COMPOSE_LITE_WARM"] = "1"
    engine.run("up", "-d")
    eventually(lambda: not (engine.base / "run/worker.sock").exists())
    engine.env["COMPOSE_LITE_WARM"] = "60"
    engine.run("down", "-t", "0")
    assert (engine.base / "run/worker.sock").exists()
    eventually(lambda: not (engine.base / "run/worker.sock").exists(), 20)
