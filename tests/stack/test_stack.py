"""examples/stack: PostgreSQL, Redis, a web application and nginx, built, started, killed, recreated; no data is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import family, free_port
from tests.stack import debian_base

pytestmark = [pytest.mark.system, pytest.mark.root]
EXAMPLE = Path(__file__).parents[2] / "examples/stack"
CACHE = Path("/var/tmp/compose-lite-debian-base")
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("needs root (debootstrap)")
    if missing := debian_base.missing_programs():
        pytest.skip(f"needs Debian's {' and '.join(missing)}")
    CACHE.mkdir(exist_ok=True)
    layer = debian_base.make_layer(CACHE)
    with debian_base.registry(tmp_path_factory.mktemp("registry"), free_port()) as url:
        debian_base.upload(url, layer)
        yield url


@pytest.fixture(scope="module")
def stack(mirrored: str) -> Iterator[Cli]:
    """The command in a copy of the example, with an engine of its own that knows the mirror."""
    base = Path(f"/tmp/compose-lite-stack-{os.getpid()}")
    shutil.copytree(EXAMPLE, base / "stack")
    env = {
        **os.environ,
        "COMPOSE_LITE_RUN_DIR": f"{base}/run",
        "COMPOSE_LITE_DATA_DIR": f"{base}/data",
        "COMPOSE_LITE_IDLE": "2",
        "COMPOSE_LITE_REGISTRY_MIRRORS": f"docker.io={mirrored}",
        "STACK_PORT": str(free_port()),
    }

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "compose_lite", *args]
        done = subprocess.run(
            command, cwd=base / "stack", env=env, text=True, capture_output=True, timeout=500, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    run.url = f"http://127.0.0.1:{env['STACK_PORT']}/notes"  # type: ignore[attr-defined]
    try:
        run("up", "--detach", "--wait", "--wait-timeout", "120")
        yield run
    finally:
        run("down", "--volumes", "--timeout", "5", "--rmi", "all")
        for _ in range(200):
            if not family(base):
                break
            time.sleep(0.1)
        shutil.rmtree(base)


def write(stack: Cli, text: str) -> int:
    with urllib.request.urlopen(urllib.request.Request(stack.url, text.encode(), method="POST"), timeout=10) as answer:  # type: ignore[attr-defined]
        return int(json.load(answer)["id"])


def read(stack: Cli) -> tuple[list[str], int]:
    """What is in PostgreSQL, and how often Redis has counted a reading."""
    with urllib.request.urlopen(stack.url, timeout=10) as answer:  # type: ignore[attr-defined]
        found = json.load(answer)
    return [note["text"] for note in found["notes"]], found["reads"]


def ids(stack: Cli) -> dict[str, str]:
    rows = (json.loads(line) for line in stack("ps", "--format", "json").stdout.splitlines())
    return {row["Service"]: row["ID"] for row in rows}


def test_what_is_written_through_nginx_is_found_again(stack: Cli) -> None:
    write(stack, "first")
    assert read(stack)[0] == ["first"]


def test_killed_services_come_back_with_their_data(stack: Cli) -> None:
    write(stack, "before the kill")
    before, count = read(stack)
    stack("kill", "db", "cache")
    stack("up", "--detach", "--wait", "db", "cache")  # the app may have become unhealthy meanwhile, and is until its next probe
    after, again = read(stack)
    assert after == before and again == count + 1


def test_recreated_services_keep_their_volumes(stack: Cli) -> None:
    write(stack, "before the recreation")
    before, count = read(stack)
    old = ids(stack)
    stack("up", "--detach", "--wait", "--force-recreate")
    new = ids(stack)
    assert set(old) == set(new) and not set(old.values()) & set(new.values())
    after, again = read(stack)
    assert after == before and again == count + 1


def test_a_second_up_changes_nothing(stack: Cli) -> None:
    before = ids(stack)
    stack("up", "--detach", "--wait")
    assert ids(stack) == before
