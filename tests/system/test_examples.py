"""examples/ci as a CI system runs it: exit statuses, logs of what failed, nothing left."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
EXAMPLE = Path(__file__).parents[2] / "examples/ci"
Job = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def job(cli, tmp_path: Path, engine_environment: dict[str, str]) -> Job:
    folder = tmp_path / "ci"
    shutil.copytree(EXAMPLE, folder)

    def run(**env: str) -> subprocess.CompletedProcess[str]:
        whole = {**engine_environment, "COMPOSE_LITE": f"{sys.executable} -m compose_lite", **env}
        return subprocess.run(["sh", "run.sh"], cwd=folder, env=whole, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_a_passing_job_is_quiet_and_leaves_nothing(job: Job, cli) -> None:
    done = job()
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "OK" in done.stderr and "\x1b" not in done.stderr
    assert cli("container", "ls", "-aq").stdout == cli("volume", "ls", "-q").stdout == ""


def test_a_service_that_fails_ends_the_job_with_its_log(job: Job, cli) -> None:
    done = job(STORE_FAILS="1")
    assert done.returncode == 1
    assert "store: told to fail" in done.stdout
    assert "store-1 exited (1)" in done.stderr
    assert cli("container", "ls", "-aq").stdout == cli("volume", "ls", "-q").stdout == ""
