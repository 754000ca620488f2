"""kill -9 at random moments: whatever dies while something is done, one more `up` makes the project as asked, `down` leaves nothing.

The full number, which takes a while: `ROUNDS=500 SEED=1 pytest tests/system/test_random_kills.py`. A round's seed is SEED plus its
number and is printed, so `ROUNDS=1 SEED=<it>` does it again, and `SEED=<it>` with the rest of the rounds goes on where it broke off.
`VICTIMS="engine,zygote,mould,monitor,engine and zygote"`: only these die.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.engines import Engine, alive, eventually

pytestmark = [
    *(pytest.mark.system, pytest.mark.root, pytest.mark.slow),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
ROUNDS, SEED = int(os.environ.get("ROUNDS", "8")), int(os.environ.get("SEED", str(random.randrange(10**6))))
SPEC = """
services:
  web: {image: "rootfs:/", init: true, command: sleep 600, ports: ["0:80"]}
  worker: {image: "rootfs:/", command: "sh -c 'sleep 0.3; exit 5'", restart: on-failure}
  beside: {image: "rootfs:/", init: true, command: sleep 600, network_mode: "service:web", depends_on: [ticks]}
  ticks:
    image: rootfs:/
    init: true
    command: sh -c 'i=0; while :; do echo tick $$i; echo $$i >/acknowledged/new; mv /acknowledged/new /acknowledged/last; i=$$((i+1)); sleep 0.01; done'
    volumes: ["./acknowledged:/acknowledged"]
"""  # noqa: E501
SERVICES = {"web", "worker", "beside", "ticks"}
COMMANDS = (
    ("up", "-d"), ("up", "-d"), ("up", "-d", "--force-recreate"), ("up", "-d", "--force-recreate", "-t", "0"), ("restart", "-t", "0"),
    ("stop", "-t", "1"), ("start",), ("kill",), ("pause", "ticks"), ("rm", "-sf", "worker"), ("down", "-t", "0"), ("down", "-t", "0"),
    ("exec", "-T", "web", "true"), ("run", "--rm", "-T", "web", "true"), ("ps", "-a"), ("up", "-d", "--scale", "worker=3"),
)  # fmt: skip
EVERYBODY = "engine,zygote,mould,monitor,command,forwarder,engine and zygote,all"
VICTIMS = tuple(os.environ.get("VICTIMS", EVERYBODY).split(","))


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"random-kills-{os.getpid()}", idle=4)
    made.spec(SPEC)
    (made.project / "acknowledged").mkdir()
    yield made
    made.close()


def victims(engine: Engine, what: str, command: subprocess.Popen[str]) -> list[list[int]]:
    """Groups of processes of which some groups die."""
    names = engine.processes()
    by_name = {name: [pid for pid, found in names.items() if found == name] for name in set(names.values())}
    zygotes = engine.zygotes()
    try:
        engines = [engine.engine()]
    except OSError:
        engines = []
    match what:
        case "engine":
            return [engines]
        case "zygote":
            return [zygotes]
        case "mould":
            return [by_name.get("cl-mould", [])]
        case "monitor":
            return [[pid] for pid in by_name.get("cl-monitor", [])]
        case "command":  # the front, the worker, or both
            return [[command.pid], workers(engine)]
        case "forwarder":
            return [[pid] for pid in forwarders(engine)]
        case "engine and zygote":
            return [[*engines, *zygotes]]
        case _:
            return [[pid for pid in {*names, *zygotes} if pid != command.pid]]


def workers(engine: Engine) -> list[int]:
    """Forks of the template that serve a command."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{engine.base}/run/worker.sock")
            peer = int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
    except OSError:
        return []
    found = []
    for task in Path(f"/proc/{peer}/task").glob("*/children"):
        found += [int(pid) for pid in task.read_text().split()]
    return found


def forwarders(engine: Engine) -> list[int]:
    """Children of the zygotes that are no monitors: they have the control socket's path open."""
    sockets = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines() if f"{engine.base}/run/forward.sock" in line}
    found = []
    for pid in engine.zygotes():
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if alive(pid) else ():
            try:
                held = {os.readlink(link)[8:-1] for link in Path(f"/proc/{child}/fd").iterdir()}
            except OSError:
                continue
            if held & sockets:
                found.append(int(child))
    return found


def one_round(engine: Engine, dice: random.Random) -> str:
    """Something is done; after a moment something dies; the command may fail, but it ends."""
    command, what, after = dice.choice(COMMANDS), dice.choice(VICTIMS), dice.random() * 0.6
    process = engine.start(*command)
    says = f"{' '.join(command)}; after {after:.3f} s {what}"
    time.sleep(after)
    groups = victims(engine, what, process)
    for group in dice.sample(groups, min(len(groups), dice.randint(1, 2))):
        for pid in group:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"it hangs: {says}") from None
    assert "Traceback" not in out + err, f"{says}\n{err}"
    return says


def as_asked(engine: Engine) -> list[dict[str, Any]]:
    """The inspect documents of the containers after one more `up`, when they are as they should be."""
    engine.run("unpause", code=None)
    engine.run("up", "-d")
    rows = [json.loads(line) for line in engine.run("ps", "-a", "--format", "json").splitlines()]
    if {row["Service"] for row in rows} != SERVICES or [row for row in rows if not row["Name"].endswith(("-1", "-2", "-3"))]:
        return []
    lasting = {row["Name"] for row in rows if row["Service"] != "worker"}  # the worker ends again and again
    found: list[dict[str, Any]] = json.loads(engine.run("container", "inspect", *(row["ID"] for row in rows)))
    states = [one["State"] for one in found if one["Name"].removeprefix("/") in lasting]
    return found if all(state["Status"] == "running" and alive(state["Pid"]) for state in states) else []


def answers(engine: Engine) -> bool:
    """web's port is open at the forwarder (nobody listens behind it, so the connection is closed, not refused)."""
    port = int(engine.run("port", "web", "80").rpartition(":")[2])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


def log_is_whole(engine: Engine, says: str) -> bool:
    """What the program went on after writing is in its log: each run of numbers without a gap, up to what it had noted."""
    last = int((engine.project / "acknowledged/last").read_text() or "0")
    found = [int(number) for number in re.findall(r"tick (\d+)", engine.run("logs", "--no-log-prefix", "ticks"))]
    runs = "".join("\n" if number == 0 else "." for number in found)
    expected = [number for run in runs.split("\n")[1:] for number in range(len(run) + 1)]
    assert found == expected, f"{says}: lines are lost"
    return bool(found) and found[-1] >= last


def test_random_kills(engine: Engine) -> None:
    try:
        rounds(engine)
    except BaseException:  # for the report: what there is, and what the engine waits for
        print(engine.run("ps", "-a", code=None), engine.tasks(), sep="\n")
        raise


def rounds(engine: Engine) -> None:
    ours: set[str] = set()
    for number in range(ROUNDS):
        seed = SEED + number
        dice = random.Random(seed)
        print(f"round {number}: SEED={seed}", end=" ", flush=True)
        says = one_round(engine, dice)
        print(says, flush=True)
        engine.run("ps", "-a")
        # an end that all its watchers died before takes the engine a second to see: then `up` starts it
        found = eventually(lambda: as_asked(engine), 60)
        eventually(lambda: answers(engine), 5)
        assert engine.run("exec", "-T", "web", "echo", "well") == "well\n", says
        eventually(functools.partial(log_is_whole, engine, says), 5)  # the note may be of a container before
        ours |= {one["Id"] for one in found}
        ours |= set(engine.run("network", "ls", "-q", "--no-trunc").split())
        if dice.random() < 0.1 or number == ROUNDS - 1:
            engine.run("down", "-v", "-t", "0", "--remove-orphans")
            nothing_is_left(engine, ours, says)
            ours.clear()


def nothing_is_left(engine: Engine, ids: set[str], says: str) -> None:
    """Once the idle engine has gone."""
    try:
        eventually(lambda: not any(engine.on_the_machine(ids).values()), 40)
    except AssertionError:
        left = {kind: found for kind, found in engine.on_the_machine(ids).items() if found}
        raise AssertionError(f"{says}: left after down: {left}") from None
