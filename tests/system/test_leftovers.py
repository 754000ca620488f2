"""After `down` and the engine's idle exit nothing of ours is on the machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = """
services:
  web:
    image: rootfs:/
    init: true
    command: sleep 600
    ports: ["0:80"]
    networks: [front, back]
    ipc: shareable
    mem_limit: 64m
    secrets: [word]
    volumes: [data:/data, /anonymous]
    healthcheck: {test: "true", interval: 1s}
  beside:
    image: rootfs:/
    init: true
    command: sleep 600
    network_mode: service:web
    ipc: service:web
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
secrets: {word: {environment: WORD}}
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"leftovers-{os.getpid()}", idle=3)
    made.env["WORD"] = "not to be found"
    made.spec(SPEC)
    yield made
    made.close()


def ids(engine: Engine) -> set[str]:
    containers = engine.run("container", "ls", "-a", "-q", "--no-trunc").split()
    networks = engine.run("network", "ls", "-q", "--no-trunc").split()
    return {*containers, *networks}


def expect_nothing(engine: Engine, ours: set[str], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while left := {kind: found for kind, found in engine.on_the_machine(ours).items() if found}:
        assert time.monotonic() < until, left
        time.sleep(0.1)


def test_nothing_is_left(engine: Engine) -> None:
    engine.run("up", "-d", "--wait")
    ours = ids(engine)
    there = engine.on_the_machine(ours)
    assert all(there[kind] for kind in ("processes", "interfaces", "cgroups", "sockets", "rules", "mounts")), there
    assert engine.run("exec", "-T", "web", "cat", "/run/secrets/word") == "not to be found"
    engine.run("run", "--rm", "-T", "beside", "true")
    engine.run("down", "-v", "-t", "0")
    expect_nothing(engine, ours)
    state = (engine.base / "data/state.db").read_bytes()
    assert b"bm90IHRvIGJlIGZvdW5k" not in state and b"not to be found" not in state
    assert (engine.base / "data/state.db").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_after_a_crash(engine: Engine) -> None:
    """kill -9 of everything but the containers, then of those: the next engine removes what is left of all of them."""
    engine.run("up", "-d", "--wait")
    ours = ids(engine)
    containers = [json.loads(line)["ID"] for line in engine.run("ps", "-a", "--format", "json").splitlines()]
    pids = [json.loads(engine.run("container", "inspect", id))[0]["State"]["Pid"] for id in containers]
    engine.kill(*{*engine.processes(), *engine.zygotes()})
    engine.kill(*pids)
    rows = engine.rows()
    assert {row["State"] for row in rows.values()} == {"exited"}
    engine.run("down", "-v", "-t", "0")
    expect_nothing(engine, ours)
