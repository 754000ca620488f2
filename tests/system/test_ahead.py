"""What is prepared of containers that will start later: it is used, or nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.api.client import EngineClient
from compose_lite.linux import mount
from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
MOUNTED = """
services:
  web:
    image: rootfs:/
    init: true
    command: sleep 600
    user: daemon
    volumes:
      - ./made-later:/mnt
      - filled:/usr/share/base-files
      - ./deep:/usr/local/a/b
      - {type: tmpfs, target: /usr/local/a, tmpfs: {mode: 0711}}
    tmpfs: /srv:mode=1770
    secrets: [word]
    configs: [{source: line, target: /usr/games/line, uid: nobody, mode: 0400}]
volumes:
  filled:
secrets:
  word: {file: word.txt}
configs:
  line: {content: to read}
"""
LOOK = (
    "cat /mnt/file /run/secrets/word; stat -c '%n %U %a' /run/secrets/word /usr/games/line /srv /usr/local/a; "
    "ls /usr/local/a/b; ls /usr/share/base-files | grep motd; cat /proc/self/mountinfo | cut -d' ' -f 5"
)
SPEC = """
services:
  web:
    image: rootfs:/
    init: true
    command: sleep 600
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"ahead-{os.getpid()}", idle=60)
    made.spec(SPEC)
    yield made
    made.close()


def prepared(engine: Engine) -> tuple[str, int]:
    """A created container and its monitor, after it was prepared."""
    engine.run("create")
    (id,) = engine.run("ps", "-aq").split()

    async def ask() -> None:
        async with EngineClient(f"{engine.base}/run/engine.sock") as client:
            await client.json("POST", f"/compose-lite/v1/containers/{id}/prepare")

    asyncio.run(ask())
    state = engine.inspect("web")["State"]
    assert (state["Status"], state["Pid"]) == ("created", 0)
    return engine.inspect("web")["Id"], engine.monitor("web")


def monitors(engine: Engine) -> list[int]:
    """And what is still before its execve."""
    return [pid for pid, name in engine.processes().items() if name == "cl-monitor"]


def left(engine: Engine, id: str) -> list[object]:
    """Of the container, while the engine may go on."""
    return [engine.on_the_machine({id})["cgroups"], *(engine.base / "run/c").glob("*")]


def test_the_start_takes_what_is_prepared(engine: Engine) -> None:
    _, found = prepared(engine)
    engine.run("start")
    assert engine.rows()["web"]["State"] == "running" and engine.monitor("web") == found
    assert engine.run("exec", "-T", "web", "hostname").strip() == engine.inspect("web")["Config"]["Hostname"]


def test_mounts_are_those_of_the_start(engine: Engine) -> None:
    """As of a container that nobody had prepared, with what came after the preparation."""
    engine.spec(MOUNTED)
    (engine.project / "word.txt").write_text("secret\n")
    (engine.project / "deep").mkdir()
    id, found = prepared(engine)
    assert not (engine.base / "run/files" / id).exists(), "secrets are written at the start"
    (engine.project / "made-later").mkdir(exist_ok=True)
    (engine.project / "made-later/file").write_text("from a dependency\n")
    (engine.project / "deep/seen").touch()
    engine.run("start")
    assert engine.monitor("web") == found
    seen = engine.run("exec", "-T", "web", "sh", "-c", LOOK)
    engine.run("restart", "-t", "0")
    assert engine.monitor("web") != found
    assert engine.run("exec", "-T", "web", "sh", "-c", LOOK) == seen
    files = "/run/secrets/word root 644\n/usr/games/line nobody 400\n/srv root 1770\n/usr/local/a root 711\n"
    assert seen.startswith(f"from a dependency\nsecret\n{files}seen\nmotd\n")


def test_what_is_mounted_later_on_a_source_is_seen(engine: Engine) -> None:
    """Also where the machine's mounts do not reach other namespaces: then the preparation is for nothing."""
    engine.spec(MOUNTED)
    (engine.project / "word.txt").write_text("secret\n")
    (engine.project / "deep").mkdir()
    _, found = prepared(engine)
    source = engine.project / "made-later"
    source.mkdir(exist_ok=True)
    mount.mount("tmpfs", str(source), "tmpfs")
    try:
        (source / "file").write_text("on what was mounted\n")
        engine.run("start")
        assert engine.run("exec", "-T", "web", "cat", "/mnt/file") == "on what was mounted\n" and engine.monitor("web") != found
        engine.run("down", "-t", "0", "-v")
    finally:
        mount.umount(str(source), mount.DETACH)


def test_a_source_that_is_missing_at_the_start_is_said(engine: Engine) -> None:
    engine.spec(SPEC + "    volumes: [{type: bind, source: ./gone, target: /mnt, bind: {create_host_path: false}}]\n")
    (engine.project / "gone").mkdir()
    id, _ = prepared(engine)
    (engine.project / "gone").rmdir()
    assert "bind source path does not exist" in engine.run("start", code=1, err=True)
    eventually(lambda: not monitors(engine) and left(engine, id) == [[]])
    (engine.project / "gone").mkdir()
    engine.run("start")
    assert engine.rows()["web"]["State"] == "running"


@pytest.mark.parametrize("more", ["ipc: container:{other}", "network_mode: container:{other}", "runtime: crun"])
def test_what_cannot_be_prepared_starts_all_the_same(engine: Engine, more: str) -> None:
    if "crun" in more and shutil.which("crun") is None:
        pytest.skip("needs crun")
    other = engine.run("container", "run", "-d", "--ipc", "shareable", "rootfs:/", "sleep", "600").strip()
    engine.spec(SPEC.replace("init: true", more.format(other=other)))
    with pytest.raises(FileNotFoundError):
        prepared(engine)  # no monitor
    engine.run("start")
    assert engine.rows()["web"]["State"] == "running"


def test_a_change_before_the_start_is_seen(engine: Engine) -> None:
    _, found = prepared(engine)
    (engine.project / "file").write_text("from outside\n")
    engine.run("cp", "file", "web:/usr/from-outside")
    engine.run("start")
    assert engine.run("exec", "-T", "web", "cat", "/usr/from-outside") == "from outside\n" and engine.monitor("web") != found


@pytest.mark.parametrize("way", ["removed", "engine-stopped", "engine-killed", "birth-killed"])
def test_nothing_is_left_of_what_nobody_starts(engine: Engine, way: str) -> None:
    id, found = prepared(engine)
    if way == "removed":
        engine.run("rm", "-f")
    elif way == "engine-stopped":
        engine.run("engine", "stop")
    elif way == "engine-killed":
        engine.kill(engine.engine())
        engine.run("ps", "-a")
    else:
        engine.kill(found)
        engine.run("start")
        assert engine.rows()["web"]["State"] == "running"
        return
    eventually(lambda: not monitors(engine))
    eventually(lambda: left(engine, id) == [[]])
    if way != "removed":
        engine.run("start")
        assert engine.rows()["web"]["State"] == "running"
