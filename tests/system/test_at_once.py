"""Commands at the same time: two `up` of one project, `up` against `down`, ten projects. Right in the end, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, alive

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = """
services:
  db: {image: "rootfs:/", init: true, command: sleep 600, volumes: ["data:/srv"], healthcheck: {test: "true", interval: 5s}}
  app: {image: "rootfs:/", init: true, command: sleep 600, depends_on: {db: {condition: service_healthy}}, deploy: {replicas: 3}}
  web: {image: "rootfs:/", init: true, command: sleep 600, depends_on: [app], ports: ["0:80"], networks: [default, front]}
networks: {front: {}}
volumes: {data: {}}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "once")
    made.spec(SPEC)
    yield made
    made.close()


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    found = []
    for process in processes:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"it hangs: {process.args}") from None
        assert "Traceback" not in out + err, err
        found.append((process.returncode, out + err))
    return found


def is_whole(engine: Engine, *project: str) -> None:
    names = engine.run(*project, "ps", "-a", "--format", "{{.Service}} {{.State}}").splitlines()
    assert sorted(names) == ["app running"] * 3 + ["db running", "web running"]


def test_two_up_of_one_project(engine: Engine) -> None:
    for round_ in range(3):
        done = ended([engine.start("up", "-d"), engine.start("up", "-d")])
        assert [code for code, _ in done] == [0, 0], done
        is_whole(engine)
        assert alive(engine.inspect("web")["State"]["Pid"])
        if round_ == 1:
            engine.run("down", "-t", "0")


def test_two_recreations_of_one_project(engine: Engine) -> None:
    """Either may come too late for what the other has replaced; then it says so. The project is whole after one more."""
    engine.run("up", "-d")
    ended([engine.start("up", "-d", "--force-recreate", "-t", "0"), engine.start("up", "-d", "--force-recreate", "-t", "0")])
    engine.run("up", "-d")
    is_whole(engine)


def test_up_against_down(engine: Engine) -> None:
    for _ in range(4):
        ended([engine.start("up", "-d"), engine.start("down", "-t", "0")])
    engine.run("up", "-d")
    is_whole(engine)
    ended([engine.start("down", "-t", "0"), engine.start("down", "-t", "0"), engine.start("stop", "-t", "0")])
    engine.run("down", "-t", "0")
    assert engine.run("ps", "-aq") == ""
    assert "front" not in engine.run("network", "ls", "--format", "{{.Name}}")


def test_ten_projects(engine: Engine) -> None:
    engine.spec(SPEC.replace(", networks: [default, front]", "").replace("networks: {front: {}}\n", ""))  # a machine has 31 subnets to give
    projects = [("-p", f"p{number}") for number in range(10)]
    done = ended([engine.start(*project, "up", "-d") for project in projects])
    assert [code for code, _ in done] == [0] * 10, done
    for project in projects:
        is_whole(engine, *project)
    done = ended([engine.start(*project, "down", "-t", "0", "-v") for project in projects])
    assert [code for code, _ in done] == [0] * 10, done
    assert engine.run("container", "ls", "-aq") == ""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.3, 1.0, 2.0])
def test_projects_at_once_while_engine_and_zygote_are_killed(engine: Engine, after: float) -> None:
    """Four projects, the first of them twice. Commands may fail; one more `up` each, again at once, makes all of them whole."""
    projects = [("-p", f"p{number}") for number in (0, 0, 1, 2, 3)]
    commands = [engine.start(*project, "up", "-d") for project in projects]
    for _ in range(3):
        time.sleep(after)
        with contextlib.suppress(OSError):  # between two engines
            engine.kill(engine.engine(), *engine.zygotes())
    ended(commands)
    done = ended([engine.start(*project, "up", "-d") for project in projects])
    assert [code for code, _ in done] == [0] * len(projects), done
    for project in set(projects):
        is_whole(engine, *project)
    done = ended([engine.start(*project, "down", "-t", "0", "-v") for project in set(projects)])
    assert [code for code, _ in done] == [0] * len(done), done
    assert engine.run("container", "ls", "-aq") == ""
