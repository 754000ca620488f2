"""kill -9 of engine, zygote and monitors: containers run on, their output is kept, the next command knows how they ended."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, alive, eventually

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = """
services:
  ticks:
    image: rootfs:/
    init: true
    command: sh -c 'i=0; while :; do echo tick $$i; i=$$((i+1)); sleep 0.05; done'
    volumes: [shared:/shared]
  ends:
    image: rootfs:/
    command: sh -c 'while ! [ -e /shared/end ]; do sleep 0.05; done; echo last words; exit 7'
    volumes: [shared:/shared]
  again:
    image: rootfs:/
    restart: always
    command: sh -c 'while ! [ -e /shared/end ]; do sleep 0.05; done; echo round; sleep 0.3; exit 3'
    volumes: [shared:/shared]
volumes: {shared: {}}
"""


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"kill9-{os.getpid()}-{len(request.node.name)}")
    made.spec(SPEC)
    yield made
    made.close()


def let_end(engine: Engine) -> None:
    (shared,) = (engine.base / "data/volumes").glob("*shared/_data")
    (shared / "end").touch()


def ticks(engine: Engine) -> list[int]:
    """The numbers in the log, which must have no gap."""
    found = [int(n) for n in re.findall(r"tick (\d+)", engine.run("logs", "--no-log-prefix", "ticks"))]
    assert found == list(range(len(found)))
    return found


def test_engine_killed(engine: Engine) -> None:
    engine.run("up", "-d")
    before = engine.inspect("ticks")["State"]["Pid"]
    ended = engine.inspect("ends")["State"]["Pid"]
    engine.kill(engine.engine())
    let_end(engine)
    eventually(lambda: not alive(ended))
    time.sleep(0.5)
    assert alive(before)
    rows = engine.rows()  # the next command starts an engine that adopts them
    assert (rows["ticks"]["State"], rows["ends"]["State"], rows["ends"]["ExitCode"]) == ("running", "exited", 7)
    assert engine.inspect("ticks")["State"]["Pid"] == before
    assert "last words" in engine.run("logs", "ends")
    assert len(ticks(engine)) > 15
    eventually(lambda: engine.inspect("again")["RestartCount"] >= 1)
    assert engine.run("exec", "-T", "ticks", "echo", "still here") == "still here\n"
    engine.run("stop", "-t", "5", "ticks")
    assert engine.rows()["ticks"]["ExitCode"] == 143


def test_zygote_killed(engine: Engine) -> None:
    engine.run("up", "-d")
    sleeping = engine.start("exec", "-T", "ticks", "sleep", "1")
    eventually(lambda: "sleep 1" in _command_lines())
    seen = len(ticks(engine))
    engine.kill(*engine.zygotes())
    assert engine.run("exec", "-T", "ticks", "echo", "still here") == "still here\n"  # by a new zygote
    let_end(engine)
    eventually(lambda: engine.rows()["ends"]["State"] == "exited")
    assert engine.rows()["ends"]["ExitCode"] == 7
    eventually(lambda: engine.inspect("again")["RestartCount"] >= 1)
    engine.run("up", "-d", "--force-recreate", "ends")
    sleeping.communicate(timeout=20)  # an exec of the old zygote ends too; its status is not known
    assert sleeping.returncode in (0, 255)
    assert len(ticks(engine)) > seen
    engine.run("kill", "ticks")
    assert engine.rows()["ticks"]["ExitCode"] == 137


def test_engine_and_zygote_killed(engine: Engine) -> None:
    engine.run("up", "-d")
    ended = engine.inspect("ends")["State"]["Pid"]
    engine.kill(engine.engine(), *engine.zygotes())
    let_end(engine)
    eventually(lambda: not alive(ended))
    rows = engine.rows()
    assert (rows["ticks"]["State"], rows["ends"]["ExitCode"]) == ("running", 7)
    assert engine.run("exec", "-T", "ticks", "echo", "still here") == "still here\n"
    ticks(engine)


def test_monitor_killed(engine: Engine) -> None:
    """Another one takes over the output; the zygote has the status."""
    engine.run("up", "-d", "ticks", "ends")
    engine.kill(engine.monitor("ticks"), engine.monitor("ends"))
    seen = len(ticks(engine))
    eventually(lambda: len(ticks(engine)) > seen + 5)
    let_end(engine)
    eventually(lambda: engine.rows()["ends"]["State"] == "exited")
    assert engine.rows()["ends"]["ExitCode"] == 7
    assert "last words" in engine.run("logs", "ends")


def test_monitor_of_an_attached_container_killed(engine: Engine) -> None:
    """Who is attached is attached to the second monitor too, and sees the end; it ended silently."""
    engine.run("up", "-d", "ends")
    attached = engine.start("container", "attach", "--no-stdin", engine.inspect("ends")["Name"].lstrip("/"))
    log = engine.base / "data/engine.log"
    time.sleep(1)
    engine.kill(engine.monitor("ends"))
    time.sleep(1)
    let_end(engine)
    assert attached.communicate(timeout=20) == ("last words\n", ""), log.read_text()
    assert attached.returncode == 7


def test_no_monitor_for_an_attached_client(engine: Engine) -> None:
    """No zygote makes a second one: who is attached, and who comes then, is told."""
    engine.run("up", "-d", "ends")
    name = engine.inspect("ends")["Name"].lstrip("/")
    monitor, zygotes = engine.monitor("ends"), engine.zygotes()
    attached = engine.start("container", "attach", "--no-stdin", name)
    time.sleep(1)
    for pid in zygotes:
        os.kill(pid, signal.SIGSTOP)
    try:
        os.kill(monitor, signal.SIGKILL)
        out, said = attached.communicate(timeout=20)
        assert (out, attached.returncode) == ("", 1)
        assert "has no monitor any more" in said
        assert "has no monitor any more" in engine.run("container", "attach", "--no-stdin", name, code=1, err=True)
    finally:
        for pid in zygotes:
            os.kill(pid, signal.SIGCONT)


def test_all_that_watch_killed(engine: Engine) -> None:
    """Zygote and monitor: nobody can know the status, and that is what is said."""
    engine.run("up", "-d", "ticks", "ends")
    monitor = engine.monitor("ends")
    engine.kill(*engine.zygotes())
    engine.kill(monitor)
    let_end(engine)
    eventually(lambda: engine.rows()["ends"]["State"] == "exited", 15)
    state = engine.inspect("ends")["State"]
    assert state["ExitCode"] in (7, 255)  # the kernel may know
    assert state["ExitCode"] == 7 or "not known" in state["Error"]
    engine.run("up", "-d", "--force-recreate", "ends")
    assert engine.rows()["ends"]["State"] in ("running", "exited")


def _command_lines() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
            except OSError:
                continue
    return found
