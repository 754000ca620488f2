"""`up` attached to a terminal: its keys, Ctrl-C once and twice; signals of other commands."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.root, pytest.mark.system]
SPEC = """\
services:
  web: {image: "rootfs:/", init: true, command: [/bin/sh, -c, "echo hello; exec /bin/sleep 1000"]}
  handles:
    image: "rootfs:/"
    command: [/bin/sh, -c, 'trap "exit 7" INT TERM; echo ready; while :; do /bin/sleep 0.1; done']
    profiles: [no]
  needs:
    image: "rootfs:/"
    command: [/bin/sh, -c, "exit 3"]
    depends_on: [web]
    profiles: [no]
  deaf: {image: "rootfs:/", command: [/bin/sleep, "1000"], profiles: [deaf]}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("terminal"))
    made.spec(SPEC)
    yield made
    made.close()


class Terminal:
    """A command of ours on a pseudo-terminal of its own."""

    def __init__(self, engine: Engine, *args: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(engine.project)
            os.execve(sys.executable, [sys.executable, "-m", "compose_lite", *args], {**engine.env, "TERM": "xterm"})
        self.shown = ""

    def until(self, text: str) -> None:
        ends = time.monotonic() + 60
        while text not in self.shown:
            assert select.select([self.fd], [], [], max(0, ends - time.monotonic()))[0], f"{text!r} never came: {self.shown!r}"
            self.shown += os.read(self.fd, 4096).decode(errors="replace")

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self) -> int:
        """Its exit status; what it shows until then is kept."""
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:  # the last one that had it open is gone
                break
            if not data:
                break
            self.shown += data.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_d_leaves_the_containers_alone_and_ctrl_c_stops_them(engine: Engine) -> None:
    up = Terminal(engine, "up")
    up.until("hello")
    up.until("d Detach")
    up.press("d")
    assert up.end() == 0
    assert engine.rows()["web"]["State"] == "running"
    up = Terminal(engine, "up")
    up.until("d Detach")
    up.press("\x03")  # a key among others while keys are read: an end that was asked for
    assert up.end() == 0
    assert "Gracefully Stopping" in up.shown
    assert "exited with code 143" in up.shown
    assert engine.rows()["web"]["State"] == "exited"


def test_w_says_what_is_missing(engine: Engine) -> None:
    up = Terminal(engine, "up", "web")
    up.until("w Enable Watch")
    up.press("w")
    up.until("[watch-nothing]")
    up.press("\x03")
    assert up.end() == 0


def test_a_second_ctrl_c_kills(engine: Engine) -> None:
    up = Terminal(engine, "up", "deaf")
    up.until("d Detach")
    up.press("\x03")
    up.until("Stopping")
    up.press("\x03")
    assert up.end() == 130
    eventually(lambda: engine.rows()["deaf"]["ExitCode"] == 137)


def test_without_a_menu_keys_mean_nothing(engine: Engine) -> None:
    up = Terminal(engine, "up", "--menu=false", "web")
    up.until("hello")
    assert "Detach" not in up.shown
    up.press("d\x03")
    assert up.end() == 130
    assert "exited with code" not in up.shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_passes_a_signal_on(engine: Engine, number: int) -> None:
    """At a pipe it ends at once, with 130; at a keyboard it waits for the container, and ends with its status."""
    name = f"one-{number}"
    with engine.start("run", "-T", "--name", name, "handles") as run:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert run.wait(30) == 130
    eventually(lambda: json.loads(engine.run("container", "inspect", name))[0]["State"]["ExitCode"] == 7)
    typed = Terminal(engine, "run", "--rm", "-T", "handles")
    typed.until("ready")
    os.kill(typed.pid, number)
    assert typed.end() == 7


def test_a_command_that_is_told_to_end_has_the_status_of_ctrl_c(engine: Engine) -> None:
    engine.run("up", "-d", "web")
    with engine.start("logs", "-f", "web") as follows:
        assert follows.stdout
        assert "hello" in follows.stdout.readline()
        follows.terminate()
        assert follows.wait(30) == 130


def test_logs_tell_of_restarts_and_replacements(engine: Engine) -> None:
    engine.run("up", "-d", "--force-recreate", "-t", "5", "web")
    with engine.start("logs", "-f", "web") as follows:
        assert follows.stdout
        assert "hello" in follows.stdout.readline()
        engine.run("restart", "-t", "5", "web")
        engine.run("up", "-d", "--force-recreate", "-t", "5", "web")
        engine.run("down", "-t", "5")
        shown = follows.stdout.read().splitlines()
        assert follows.wait(30) == 0
    ended = "web-1 exited with code 143"
    assert [line for line in shown if "hello" not in line] == [f"{ended} (restarting)", "web-1 has been recreated", ended, ended]


def test_dependencies_that_are_shown_run_on_when_the_rest_has_ended(engine: Engine) -> None:
    engine.run("up", "--attach-dependencies", "--exit-code-from", "needs", "needs", code=3)
    assert engine.rows()["web"]["State"] == "running"
