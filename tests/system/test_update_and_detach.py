"""`update` on a running container, and leaving a terminal by the detach keys; with a client that looks for them and one that does not."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine, eventually

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
LIMITS = "cd /sys/fs/cgroup; cat memory.max pids.max 2>/dev/null || cat memory/memory.limit_in_bytes pids/pids.max"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"update-{os.getpid()}")
    made.env |= {"HOME": str(made.base), "TERM": "xterm"}
    try:
        yield made
    finally:
        made.run("container", "rm", "-f", "limited", "left", code=None)
        made.close()


def limits(engine: Engine) -> list[str]:
    return engine.run("container", "exec", "limited", "sh", "-c", LIMITS).split()


def test_limits_and_restart_policy_of_a_running_container(engine: Engine) -> None:
    engine.run("container", "run", "-d", "--init", "--name", "limited", "-m", "64m", "--pids-limit", "30", "rootfs:/", "sleep", "1000")
    assert limits(engine) == [str(64 << 20), "30"]
    assert engine.run(
        "container", "update", "-m", "256m", "--memory-swap", "512m", "--pids-limit", "-1", "--restart", "always", "limited"
    ) == ("limited\n")
    assert limits(engine) == [str(256 << 20), "max"]
    engine.run("container", "update", "-m", "32m", "--memory-swap", "32m", "limited")  # down: memory before memory and swap
    assert limits(engine)[0] == str(32 << 20)
    format = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}}"
    assert engine.run("container", "inspect", "-f", format, "limited").split() == ["always", str(32 << 20)]
    engine.run("container", "restart", "-t", "0", "limited")
    assert limits(engine)[0] == str(32 << 20)


def test_a_refused_update_changes_nothing(engine: Engine) -> None:
    before = limits(engine)
    for wish, says in ((("-m", "1g"), "memoryswap"), ((), "one or more flags"), (("--cpuset-cpus", "99"), "not available")):
        process = engine.start("container", "update", *wish, "limited")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert says in err
    assert limits(engine) == before


def at_a_terminal(engine: Engine, *args: str) -> tuple[subprocess.Popen[bytes], int]:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "compose_lite", "container", *args]
    process = subprocess.Popen(command, cwd=engine.project, env=engine.env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    return process, master


def shown(master: int, word: bytes) -> None:
    seen = b""
    while word not in seen:
        seen += os.read(master, 4096)


@pytest.mark.parametrize("configured", [False, True])
def test_run_exec_and_attach_are_left_by_the_keys(engine: Engine, configured: bool) -> None:
    words = () if configured else ("--detach-keys", "ctrl-a,x")
    (engine.base / ".docker").mkdir(exist_ok=True)
    (engine.base / ".docker/config.json").write_text('{"detachKeys": "ctrl-a,x"}' if configured else "{}")
    engine.run("container", "rm", "-f", "left", code=None)
    ways = (("run", "-it", *words, "--name", "left", "rootfs:/", "cat"), ("exec", "-it", *words, "left", "cat"), ("attach", *words, "left"))
    for command in ways:
        process, master = at_a_terminal(engine, *command)
        os.write(master, b"hello\r")
        shown(master, b"hello\r\nhello")  # one of them is from inside: our terminal is raw by now
        os.write(master, b"\x10\x11")  # not the keys here
        os.write(master, b"\x01")
        os.write(master, b"x")
        assert process.wait(60) == 0, command
        os.close(master)
        assert engine.run("container", "inspect", "-f", "{{.State.Status}}", "left").strip() == "running"


def test_the_engine_looks_for_them_as_well(engine: Engine) -> None:
    """For clients that only hand them on; the default where none are said."""
    id = engine.run("container", "inspect", "-f", "{{.Id}}", "left").strip()
    for query, keys in (("&detachKeys=a,b", b"ab"), ("", b"\x10\x11")):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"{engine.base}/run/engine.sock")
            head = "Host: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            sock.sendall(f"POST /containers/{id}/attach?stream=1&stdin=1&stdout=1{query} HTTP/1.1\r\n{head}".encode())
            sock.settimeout(20)
            assert b" 101 " in sock.recv(4096)
            sock.sendall(b"more" + keys[:1])
            sock.sendall(keys[1:])
            while sock.recv(4096):
                pass
    assert eventually(lambda: engine.run("container", "inspect", "-f", "{{.State.Status}}", "left").strip() == "running")
