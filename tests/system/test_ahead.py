"""What is prepared of containers that will start later: it is used, or nothing is left of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.api.client import EngineClient
from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = """
services:
  web:
    image: rootfs:/
    init: true
    command: sleep 600
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"ahead-{os.getpid()}", idle=60)
    made.spec(SPEC)
    yield made
    made.close()


def prepared(engine: Engine) -> tuple[str, int]:
    """A created container and its monitor, after it was prepared."""
    engine.run("create")
    (id,) = engine.run("ps", "-aq").split()

    async def ask() -> None:
        async with EngineClient(f"{engine.base}/run/engine.sock") as client:
            await client.json("POST", f"/compose-lite/v1/containers/{id}/prepare")

    asyncio.run(ask())
    state = engine.inspect("web")["State"]
    assert (state["Status"], state["Pid"]) == ("created", 0)
    return engine.inspect("web")["Id"], engine.monitor("web")


def monitors(engine: Engine) -> list[int]:
    """And what is still before its execve."""
    return [pid for pid, name in engine.processes().items() if name == "cl-monitor"]


def left(engine: Engine, id: str) -> list[object]:
    """Of the container, while the engine may go on."""
    return [engine.on_the_machine({id})["cgroups"], *(engine.base / "run/c").glob("*")]


def test_the_start_takes_what_is_prepared(engine: Engine) -> None:
    _, found = prepared(engine)
    engine.run("start")
    assert engine.rows()["web"]["State"] == "running" and engine.monitor("web") == found
    assert engine.run("exec", "-T", "web", "hostname").strip() == engine.inspect("web")["Config"]["Hostname"]


def test_a_change_before_the_start_is_seen(engine: Engine) -> None:
    _, found = prepared(engine)
    (engine.project / "file").write_text("from outside\n")
    engine.run("cp", "file", "web:/usr/from-outside")
    engine.run("start")
    assert engine.run("exec", "-T", "web", "cat", "/usr/from-outside") == "from outside\n" and engine.monitor("web") != found


@pytest.mark.parametrize("way", ["removed", "engine-stopped", "engine-killed", "birth-killed"])
def test_nothing_is_left_of_what_nobody_starts(engine: Engine, way: str) -> None:
    id, found = prepared(engine)
    if way == "removed":
        engine.run("rm", "-f")
    elif way == "engine-stopped":
        engine.run("engine", "stop")
    elif way == "engine-killed":
        engine.kill(engine.engine())
        engine.run("ps", "-a")
    else:
        engine.kill(found)
        engine.run("start")
        assert engine.rows()["web"]["State"] == "running"
        return
    eventually(lambda: not monitors(engine))
    eventually(lambda: left(engine, id) == [[]])
    if way != "removed":
        engine.run("start")
        assert engine.rows()["web"]["State"] == "running"
