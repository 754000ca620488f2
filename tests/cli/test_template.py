"""A template without an engine: what the first `config` leaves behind, and how it goes. Needs no privilege."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.cli.commands.engine import listening_pid

PROGRAM = [sys.executable, "-c", "import sys; from compose_lite.front import main; sys.exit(main())"]


class Home:
    def __init__(self, base: Path) -> None:
        self.base, self.socket = base, base / "run/worker.sock"
        self.env = {**os.environ, "COMPOSE_LITE_RUN_DIR": f"{base}/run", "COMPOSE_LITE_DATA_DIR": f"{base}/data", "COMPOSE_LITE_WARM": "60"}
        (base / "compose.yaml").write_text("name: shop\nservices: {web: {image: busybox}}\n")

    def run(self, *words: str, **more: str) -> str:
        done = subprocess.run([*PROGRAM, *words], cwd=self.base, env={**self.env, **more}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def template(self) -> int:
        """Its pid, once it serves."""
        return eventually(lambda: listening_pid(self.socket))


def eventually(condition):  # type: ignore[no-untyped-def]
    until = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    pid = listening_pid(made.socket)
    if pid:
        os.kill(pid, signal.SIGTERM)


def test_the_first_config_leaves_one_and_the_next_is_served_by_it(home: Home) -> None:
    assert home.run("config", "--services") == "web\n"
    pid = home.template()
    assert not (home.base / "run/engine.sock").exists() and not (home.base / "data").exists()
    assert home.run("config", "--services") == "web\n" and home.template() == pid
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}


def test_it_is_not_left_where_nobody_wants_it(home: Home) -> None:
    home.run("config", "-q", COMPOSE_LITE_WARM="0")
    home.run("version")
    home.run("help")
    time.sleep(1)
    assert not home.socket.exists()


def test_what_the_caller_holds_open_is_not_kept(home: Home) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    subprocess.run([*PROGRAM, "config", "-q"], cwd=home.base, env=home.env, pass_fds=[writer], check=True)
    os.close(writer)
    home.template()
    assert os.read(reader, 1) == b""  # the end of file: nobody has the other end
    os.close(reader)


def test_engine_stop_ends_it(home: Home) -> None:
    home.run("config", "-q")
    pid = home.template()
    home.run("engine", "stop")
    eventually(lambda: gone(pid))
    assert not home.socket.exists()


def test_it_goes_when_another_has_its_socket_and_when_nobody_comes(home: Home) -> None:
    home.run("config", "-q")
    pid = home.template()
    home.socket.unlink()
    eventually(lambda: gone(pid))
    home.run("config", "-q", COMPOSE_LITE_WARM="0.5")
    eventually(lambda: not home.socket.exists())
