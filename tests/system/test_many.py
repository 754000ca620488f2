"""Many containers, one after another and at once: nothing grows with their number once they are gone.

`COUNT=1000 ALIVE=200 pytest tests/system/test_many.py` is the full number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
COUNT, ALIVE = int(os.environ.get("COUNT", "15")), int(os.environ.get("ALIVE", "10"))
SPEC = """
services:
  web: {image: "rootfs:/", command: sleep 6000, stop_grace_period: 0s, volumes: ["/data"]}
"""
GROWTH_KB = 2048  # of the engine's and the zygote's own memory, over all of COUNT: allocators keep some


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"many-{os.getpid()}", idle=60)
    made.spec(SPEC)
    yield made
    made.close()


def held(engine: Engine) -> dict[str, int]:
    """What there is of each kind of thing that could leak."""
    family = [engine.engine(), *engine.zygotes()]
    return {
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in family),
        "mounts": sum(str(engine.base) in line for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes": len(engine.processes()),
        "bundles": len(list((engine.base / "run/c").iterdir())),
        "volumes": len(engine.run("volume", "ls", "-q").split()),
    }


def memory(engine: Engine) -> int:
    """Kilobytes of the engine and its zygote that are theirs alone."""
    found = 0
    for pid in [engine.engine(), *engine.zygotes()]:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        found += int(lines["Private_Dirty"].split()[0])
    return found


def settled(engine: Engine, wanted: dict[str, int], *but: str) -> bool:
    now = held(engine)
    return all(now[kind] <= most for kind, most in wanted.items() if kind not in but)


def test_one_after_another_leaves_nothing(engine: Engine) -> None:
    engine.run("up", "-d")
    for _ in range(5):
        engine.run("run", "--rm", "-T", "web", "true")
    before, first = held(engine), 0
    for number in range(COUNT):
        engine.run("run", "--rm", "-T", "web", "true")
        if number == COUNT // 3:  # caches are full
            first = memory(engine)
    eventually(lambda: settled(engine, before))
    grown = memory(engine) - first
    print(f"{COUNT} containers: {grown} kB more")
    assert grown < GROWTH_KB


def test_all_at_once_and_then_none(engine: Engine) -> None:
    engine.run("up", "-d")
    before = held(engine)
    engine.run("up", "-d", "--scale", f"web={ALIVE}")
    rows = [json.loads(line) for line in engine.run("ps", "--format", "json").splitlines()]
    assert len(rows) == ALIVE and {row["State"] for row in rows} == {"running"}
    ids = {one["Id"] for one in json.loads(engine.run("container", "inspect", *(row["ID"] for row in rows)))}
    engine.run("up", "-d", "--scale", "web=1")
    eventually(lambda: settled(engine, before, "volumes"))  # anonymous ones stay, as with Docker Compose
    engine.close()
    assert not any(engine.on_the_machine(ids).values())
