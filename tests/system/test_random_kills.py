"""kill -9 at random moments: whatever dies while something is being done, the next commands work and nothing is left.

ROUNDS and SEED (environment) for more: `ROUNDS=300 SEED=1 pytest tests/system/test_random_kills.py`; the seed of a round is printed.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, alive, eventually

pytestmark = [
    *(pytest.mark.system, pytest.mark.root, pytest.mark.slow),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
ROUNDS, SEED = int(os.environ.get("ROUNDS", "6")), int(os.environ.get("SEED", str(random.randrange(10**6))))
SPEC = """
services:
  web: {image: "rootfs:/", init: true, command: sleep 600, ports: ["0:80"]}
  worker: {image: "rootfs:/", command: "sh -c 'sleep 0.3; exit 5'", restart: on-failure}
  beside: {image: "rootfs:/", init: true, command: sleep 600, network_mode: "service:web"}
"""
COMMANDS = (
    ("up", "-d"), ("up", "-d", "--force-recreate"), ("restart", "-t", "0"), ("stop", "-t", "1"), ("start",), ("kill",),
    ("exec", "-T", "web", "true"), ("run", "--rm", "-T", "web", "true"), ("down", "-t", "0"), ("ps", "-a"),
)  # fmt: skip


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"random-kills-{os.getpid()}", idle=4)
    made.spec(SPEC)
    yield made
    made.close()


def victims(engine: Engine, what: str) -> list[int]:
    if what == "engine":
        try:
            return [engine.engine()]
        except OSError:
            return []
    if what == "zygote":
        return engine.zygotes()
    return [pid for pid, name in engine.processes().items() if name == "cl-monitor"]


def one_round(engine: Engine, dice: random.Random) -> str:
    """Something is done; after a moment something dies; the command may fail, but it ends."""
    command, what, after = dice.choice(COMMANDS), dice.choice(("engine", "zygote", "monitor")), dice.random() * 0.6
    process = engine.start(*command)
    time.sleep(after)
    chosen = victims(engine, what)
    for pid in dice.sample(chosen, min(len(chosen), dice.randint(1, 2))):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    says = f"{' '.join(command)}; after {after:.3f} s {what}"
    try:
        out, err = process.communicate(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"it hangs: {says}") from None
    assert "Traceback" not in out + err, f"{says}\n{err}"
    return says


def well(engine: Engine) -> bool:
    engine.run("up", "-d")
    states = [engine.inspect(service)["State"] for service in ("web", "beside")]
    return all(state["Status"] == "running" and alive(state["Pid"]) for state in states)


def test_random_kills(engine: Engine) -> None:
    ours: set[str] = set()
    for number in range(ROUNDS):
        seed = SEED + number
        print(f"round {number}: SEED={seed}", flush=True)
        says = one_round(engine, random.Random(seed))
        engine.run("ps", "-a")
        # an end that all its watchers died before takes the engine a second to see: then `up` starts it
        eventually(lambda: well(engine), 15)
        rows = engine.rows()
        assert set(rows) == {"web", "worker", "beside"}, says
        assert engine.run("exec", "-T", "web", "echo", "well") == "well\n", says
        ours |= {engine.inspect(service)["Id"] for service in rows}
        ours |= set(engine.run("network", "ls", "-q", "--no-trunc").split())
    engine.run("down", "-v", "-t", "0")
    eventually(lambda: not any(engine.on_the_machine(ours).values()), 40)
