"""Builds on the real engine: layers, cache, failures and cancelled builds, seen from the command line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.engines import Engine, eventually

pytestmark = pytest.mark.system
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(cli: Cli, tmp_path: Path, busybox_archive: Path) -> Path:
    cli("image", "load", "-i", str(busybox_archive))
    (tmp_path / "compose.yaml").write_text("name: built\nservices:\n  app:\n    network_mode: none\n    build: .\n")
    return tmp_path


def dockerfile(project: Path, *lines: str) -> None:
    (project / "Dockerfile").write_text("\n".join(["FROM busybox", *lines]) + "\n")


def inspect(cli: Cli) -> dict[str, object]:
    return json.loads(cli("image", "inspect", "built-app").stdout)[0]


def test_a_build_runs_copies_and_is_cached(cli: Cli, project: Path):
    (project / "file").write_text("from the context\n")
    dockerfile(
        project, "RUN echo made > /made && rm -r /tmp", "COPY --chmod=640 file /in/", "WORKDIR /w", 'CMD ["cat", "/made", "/in/file"]'
    )
    done = cli("build")
    assert "RUN echo made" in done.stdout and "CACHED" not in done.stdout
    assert cli("run", "--rm", "-T", "app").stdout == "made\nfrom the context\n"
    first = inspect(cli)["Id"]
    again = cli("build")
    assert again.stdout.count("CACHED") == 3 and inspect(cli)["Id"] == first
    cli("down", "--rmi", "local")


def test_stages_run_side_by_side(cli: Cli, project: Path):
    """Each of two stages waits for what the other leaves in a cache mount that both see."""
    script = (
        "RUN --mount=type=cache,id=meet,target=/m touch /m/{0}; n=0; until [ -e /m/{1} ]; do n=$((n+1)); [ $n -lt 600 ]; sleep 0.05; done"
    )
    lines = ["FROM busybox AS a", 'SHELL ["/bin/sh", "-ec"]', script.format("a", "b"), "RUN echo a > /f", "FROM busybox AS b"]
    lines += ['SHELL ["/bin/sh", "-ec"]', script.format("b", "a"), "FROM busybox", "COPY --from=a /f /a", "COPY --from=b /bin/sh /b"]
    (project / "Dockerfile").write_text("\n".join(lines) + "\n")
    cli("build")
    cli("down", "--rmi", "local")


def test_a_failing_step_is_shown_with_its_line_and_leaves_nothing(cli: Cli, project: Path, engine_environment: dict[str, str]):
    dockerfile(project, "RUN echo before && exit 37")
    done = cli("build", code=1)
    assert "exit code: 37" in done.stderr and "2 | >>> RUN echo before" in done.stderr
    assert cli("image", "inspect", "built-app", code=1)
    assert left_behind(engine_environment) == []


def test_a_client_that_goes_away_ends_the_build(project: Path, cli: Cli, engine_environment: dict[str, str]):
    dockerfile(project, "RUN echo started; sleep 60; echo never")
    command = [sys.executable, "-m", "compose_lite", "build"]
    client = subprocess.Popen(command, cwd=project, env=engine_environment, text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert client.stdout
    for line in client.stdout:
        if "started" in line and "RUN" not in line:
            break
    client.kill()
    client.wait()
    client.stdout.close()
    for _ in range(100):
        if not left_behind(engine_environment):
            break
        time.sleep(0.1)
    assert left_behind(engine_environment) == []


def left_behind(environment: dict[str, str]) -> list[str]:
    """Folders of builds, and scratch folders of layers."""
    run, data = Path(environment["COMPOSE_LITE_RUN_DIR"]), Path(environment["COMPOSE_LITE_DATA_DIR"])
    return [str(path) for path in (*run.glob("b/*"), *(data / "layers").glob(".new-*"))]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_build_that_was_killed_with_its_engine_leaves_nothing(busybox_archive: Path):
    engine = Engine(Path("/tmp") / f"build-kill-{os.getpid()}")
    try:
        engine.spec("services: {app: {network_mode: none, build: .}}\n")
        engine.run("image", "load", "-i", str(busybox_archive))
        (engine.project / "Dockerfile").write_text("FROM busybox\nRUN echo started; exec sleep 87654\n")
        client = engine.start("build")
        eventually(sleepers)
        builders = [pid for pid, name in engine.processes().items() if name.startswith("cl-build")]
        engine.kill(engine.engine(), *builders)
        client.communicate(timeout=20)
        assert sleepers()  # nobody was left to end it
        engine.run("image", "ls")
        eventually(lambda: not left_behind(engine.env) and not sleepers(), 20)
    finally:
        engine.close()


def sleepers() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"sleep\x0087654\0":
                found.append(entry.name)
    return found
