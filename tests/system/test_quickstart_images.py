"""The quickstart on an image, three ways: our commands on our engine, our commands on a real Docker, Docker Compose on our engine.

REFERENCE_DOCKER_HOST: a real Docker's socket, as unix:///...; the docker program is DOCKER_PROGRAM or on PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.test_quickstart import EXAMPLE, free_port

pytestmark = pytest.mark.system
Run = Callable[..., str]


@pytest.fixture(params=["ours", "ours on Docker", "Docker Compose on ours"])
def run(
    request: pytest.FixtureRequest, engine_environment: dict[str, str], busybox_archive: Path, tmp_path: Path
) -> tuple[Run, dict[str, str]]:
    """(runs a command of Compose, its environment)"""
    env = {**engine_environment, "QUICKSTART_PORT": str(free_port())}
    ours, command = [sys.executable, "-m", "compose_lite"], []

    def call(*args: str, code: int = 0, program: list[str] | None = None) -> str:
        line = [*(command if program is None else program), *args]
        done = subprocess.run(
            line, cwd=tmp_path, env=env, text=True, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == code, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    command[:] = ours
    if request.param == "ours on Docker":
        host = os.environ.get("REFERENCE_DOCKER_HOST")
        if not host:
            pytest.skip("REFERENCE_DOCKER_HOST names no real Docker")
        command += ["--engine", host]
    if "busybox:latest" not in call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
        call("image", "load", "-i", str(busybox_archive))
    if request.param == "Docker Compose on ours":
        program = os.environ.get("DOCKER_PROGRAM") or shutil.which("docker")
        env["DOCKER_HOST"] = f"unix://{env['COMPOSE_LITE_RUN_DIR']}/engine.sock"
        if not program or subprocess.run([program, "compose", "version"], env=env, capture_output=True, check=False).returncode:
            pytest.skip("there is no docker program with Docker Compose")
        command[:] = [program, "compose"]
    return call, env


def test_it_comes_up_answers_and_goes(run: tuple[Run, dict[str, str]], tmp_path: Path) -> None:
    compose, env = run
    shutil.copytree(EXAMPLE / "images", tmp_path / "images")
    shutil.copy(EXAMPLE / "compose.images.yaml", tmp_path / "compose.yaml")
    compose("up", "-d", "--wait")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{env['QUICKSTART_PORT']}/", timeout=10) as answer:
            known = json.load(answer)
        assert known["api"]["greeting"] == "hello from api" and known["worker"]["processes_seen"] == 2
        assert known["web"]["api_address"] != known["api"]["worker_address"]
        rows = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
        assert {r["Service"]: (r["State"], r["Health"]) for r in rows} == {
            "web": ("running", "healthy"),
            "api": ("running", "healthy"),
            "worker": ("running", ""),
        }
        before = compose("ps", "-q")
        compose("up", "-d", "--wait")
        assert compose("ps", "-q") == before, "what is as it should be is left alone"
        assert compose("exec", "-T", "web", "echo", "inside") == "inside\n"
        assert compose("run", "--rm", "-T", "worker", "echo", "once") == "once\n"
        compose("up", "-d", "--scale", "worker=2")
        assert len(compose("ps", "-q", "worker").split()) == 2
        assert compose("port", "web", "8080").strip() == f"127.0.0.1:{env['QUICKSTART_PORT']}"
    finally:
        compose("down", "-v", "-t", "1")
    assert compose("ps", "-aq") == ""
