"""On a real engine: the plan's values from before, why, a stop that is not noticed, replacing with a way back, two folders of one name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.root, pytest.mark.system]
SLEEP = "/bin/sleep 1000"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("flow"))
    yield made
    made.close()


def service(name: str, command: str, more: str = "") -> str:
    return f"  {name}:\n    image: rootfs:/\n    init: true\n    command: {json.dumps(['/bin/sh', '-c', command])}\n{more}"


def spec(engine: Engine, *services: str) -> None:
    engine.run("down", "-t", "0", "--remove-orphans", code=None)
    engine.spec("services:\n" + "".join(services))


def test_plan_knows_what_it_was(engine: Engine) -> None:
    spec(engine, service("web", SLEEP, '    environment: {A: "1"}\n'))
    engine.run("up", "-d")
    engine.run("plan", "--detailed-exitcode")
    engine.spec("services:\n" + service("web", SLEEP, '    environment: {A: "2"}\n'))
    found = json.loads(engine.run("plan", "--detailed-exitcode", "--format", "json", code=2))
    (action,) = found["actions"]
    (difference,) = action["differences"]
    assert (difference["path"], difference["before"], difference["after"], difference["line"]) == ("environment.A", "1", "2", 6)


def test_why_goes_down_to_the_reason(engine: Engine) -> None:
    health = "    healthcheck: {test: 'echo refused; false', interval: 100ms, retries: 2}\n"
    spec(engine, service("db", SLEEP, health), service("web", SLEEP, "    depends_on: {db: {condition: service_healthy}}\n"))
    process = engine.start("up", "-d")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "probe 1: refused" in told
    assert "db runs, but is unhealthy" in told
    found = json.loads(engine.run("why", "web", "--format", "json", code=1))
    assert found[0]["because"][0]["service"] == "db"


def test_a_stop_that_is_not_noticed_says_so(engine: Engine) -> None:
    spec(engine, service("web", f"exec {SLEEP}").replace("    init: true\n", ""))
    engine.run("up", "-d")
    process = engine.start("stop", "-t", "1")
    assert "compose.yaml:4:" in (told := process.communicate(timeout=60)[1])
    assert "did not notice SIGTERM" in told
    engine.run("up", "-d")
    process = engine.start("restart", "-t", "1")
    assert "did not notice SIGTERM" in process.communicate(timeout=60)[1]
    assert engine.rows()["web"]["State"] == "running"


def test_a_one_off_runs_no_hooks(engine: Engine) -> None:
    """As Docker Compose 2.40, and with regard to pre_start as Compose 5."""
    hooks = "".join(f"    {kind}: [{{command: [/bin/false]}}]\n" for kind in ("pre_start", "post_start"))
    spec(engine, service("web", SLEEP, hooks))
    assert engine.run("run", "--rm", "-T", "web", "/bin/sh", "-c", "sleep 0.3; echo done") == "done\n"
    assert engine.run("ps", "-aq") == ""


def test_a_pre_start_step_that_a_killed_up_has_left_running_goes(engine: Engine) -> None:
    go = engine.project / "go"
    step = f'    pre_start: [{{command: ["/bin/sh", "-c", "[ -e {go} ] || sleep 1000"]}}]\n'
    spec(engine, service("web", SLEEP, f'{step}    volumes: ["{go.parent}:{go.parent}"]\n'))
    process = engine.start("up", "-d")
    eventually(lambda: "web-1-pre_start-0" in engine.run("container", "ls", "--format", "{{.Names}}"))
    engine.kill(process.pid)
    process.communicate()
    go.touch()
    engine.run("up", "-d")
    assert engine.run("ps", "-a", "--format", "{{.Service}} {{.State}}") == "web running\n"


def test_rollback_brings_the_very_containers_back(engine: Engine) -> None:
    def web(command: str) -> str:
        return service("web", command, "    deploy: {replicas: 2, update_config: {failure_action: rollback, order: start-first}}\n")

    spec(engine, web(SLEEP))
    engine.run("up", "-d")
    before = sorted(engine.run("ps", "-q", "--no-trunc").split())
    engine.spec("services:\n" + web("exit 3"))
    engine.run("up", "-d", code=1)
    assert sorted(engine.run("ps", "-q", "--no-trunc").split()) == before
    engine.spec("services:\n" + web("sleep 999"))
    engine.run("up", "-d")
    after = engine.run("ps", "-a", "--format", "{{.Name}}").split()
    assert len(after) == 2
    assert not set(engine.run("ps", "-q", "--no-trunc").split()) & set(before)


def test_hooks_are_in_the_log(engine: Engine) -> None:
    hooks = "    pre_start: [{command: [/bin/echo, before]}]\n    post_start: [{command: [/bin/echo, after]}]\n"
    spec(engine, service("web", SLEEP, hooks))
    engine.run("up", "-d")
    assert engine.run("logs", "--no-log-prefix", "web").split() == ["before", "after"]


def test_a_second_folder_of_the_same_name_ends_nothing(engine: Engine) -> None:
    spec(engine, service("web", SLEEP))
    name = engine.env.pop("COMPOSE_PROJECT_NAME")
    first, second = engine.project, engine.base / "second" / engine.project.name
    try:
        engine.run("up", "-d")
        second.mkdir(parents=True)
        engine.project = second
        engine.spec("services:\n" + service("web", "sleep 999"))
        for command in (("up", "-d"), ("down",), ("stop",), ("rm", "-sf")):
            process = engine.start(*command)
            assert "[foreign-project]" in process.communicate(timeout=60)[1], command
            assert process.returncode == 1
        engine.run("-p", first.name, "up", "-d")
        engine.run("down", "-t", "0")
    finally:
        engine.project = first
        engine.env["COMPOSE_PROJECT_NAME"] = name


def test_timing_names_every_phase(engine: Engine) -> None:
    spec(engine, service("web", SLEEP))
    found = json.loads(engine.run("up", "-d", "--timing=json"))
    start = next(s for s in found["spans"] if s["phase"] == "start")
    assert start["critical"]
    assert "execute" in start["parts"]
    assert Path(engine.project / "compose.yaml").exists()


def test_a_missing_env_file_keeps_nobody_from_stopping(engine: Engine) -> None:
    spec(engine, service("web", SLEEP))
    engine.run("up", "-d")
    engine.spec("services:\n" + service("web", SLEEP, "    env_file: not-there.env\n"))
    engine.run("up", "-d", code=1)
    assert "web" in engine.run("ps", "--services")
    engine.run("stop", "-t", "0")
    engine.run("down", "-t", "0")


def test_behind_an_init_a_missing_program_is_127(engine: Engine) -> None:
    spec(engine, service("web", SLEEP))
    engine.run("run", "--rm", "-T", "web", "not-there", code=127)
    engine.run("run", "--rm", "-T", "web", "/etc", code=126)
