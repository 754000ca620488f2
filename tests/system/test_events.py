"""`events`: what is told of a container beside its starts and ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.engines import Engine

pytestmark = [pytest.mark.root, pytest.mark.system]
SPEC = """\
services:
  web:
    image: "rootfs:/"
    init: true
    command: [/bin/sleep, "1000"]
    healthcheck: {test: [CMD, /bin/true], interval: 1s}
"""


def test_who_looks_at_a_container_is_told(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.spec(SPEC)
    try:
        engine.run("up", "-d", "--wait")
        engine.run("exec", "-T", "web", "/bin/sh", "-c", "true")
        engine.run("top", "web")
        (engine.project / "f").write_text("x")
        engine.run("cp", "f", "web:/tmp/f")
        engine.run("cp", "web:/tmp/f", "g")
        engine.run("up", "-d", "--force-recreate", "-t", "0")
        rows = [json.loads(line) for line in engine.run("events", "--json", "--until", "0s").splitlines()]
        actions = [row["action"] for row in rows]
        looked = [action for action in actions if action in ("top", "extract-to-dir", "archive-path")]
        assert looked == ["top", "extract-to-dir", "archive-path"]
        execs = {f"exec_{what}: {command}" for what in ("create", "start") for command in ("/bin/sh -c true", "/bin/true ")}
        assert execs <= set(actions)
        assert actions.index("rename") > actions.index("die")
        labels = json.loads(engine.run("container", "inspect", f"{engine.env['COMPOSE_PROJECT_NAME']}-web-1"))[0]["Config"]["Labels"]
        assert labels["com.docker.compose.replace"] == "web-1"
    finally:
        engine.close()
