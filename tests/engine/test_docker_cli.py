"""The unmodified docker program on the engine's socket: Debian's docker.io 20.10 and newer ones.

DOCKER_PROGRAM names it, else it is looked for on PATH; without it these tests are skipped with a word.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
Docker = Callable[..., str]


@pytest.fixture(scope="module")
def program() -> str:
    found = os.environ.get("DOCKER_PROGRAM") or shutil.which("docker")
    if not found:
        pytest.skip("the docker program is not there (Debian: docker.io; or set DOCKER_PROGRAM)")
    return found


@pytest.fixture(scope="module")
def environment(engine_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    env = {k: v for k, v in engine_environment.items() if not k.startswith("DOCKER_")}
    home = str(tmp_path_factory.mktemp("home"))
    return {**env, "DOCKER_HOST": f"unix://{env['COMPOSE_LITE_RUN_DIR']}/engine.sock", "HOME": home, "COMPOSE_LITE_IDLE": "5"}


@pytest.fixture(scope="module")
def docker(program: str, environment: dict[str, str], busybox_archive: Path) -> Iterator[Docker]:
    def run(*args: str, code: int = 0, input: str | None = None, errors: bool = False) -> str:
        done = subprocess.run([program, *args], env=environment, text=True, capture_output=True, timeout=180, input=input, check=False)
        assert done.returncode == code, f"docker {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stderr if errors else done.stdout

    start = [sys.executable, "-m", "compose_lite", "image", "ls", "-q"]
    subprocess.run(start, env=environment, check=True, capture_output=True, timeout=180)
    assert run("load", "-i", str(busybox_archive)) == "Loaded image: busybox:latest\n"
    yield run
    left = run("ps", "-aq").split()
    if left:
        run("rm", "-f", "-v", *left)
    run("rmi", "-f", "busybox")


@pytest.fixture
def running(docker: Docker) -> Iterator[str]:
    """A container that sleeps."""
    id = docker("run", "-d", "--init", "busybox", "sleep", "1000").strip()
    yield id
    docker("rm", "-f", id)


def on_terminal(program: str, environment: dict[str, str], *args: str, keys: bytes = b"", at_once: bool = False) -> tuple[int, str]:
    """The program on a terminal of 24 rows and 90 columns; keys are typed at once, or once it has printed something."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
    process = subprocess.Popen([program, *args], env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    output = b""
    if at_once:
        os.write(master, keys)
        keys = b""
    try:
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            output += data
            if keys:
                os.write(master, keys)
                keys = b""
        return process.wait(timeout=20), output.decode()
    finally:
        os.close(master)
        process.kill()


def test_it_knows_the_engine(docker: Docker) -> None:
    assert docker("version", "--format", "{{.Server.Platform.Name}}").strip() == "compose-lite"
    info = json.loads(docker("info", "--format", "{{json .}}"))
    assert info["Images"] == 1 and info["Driver"] == "overlay2" and not info.get("ServerErrors")


def test_run_in_the_foreground(docker: Docker) -> None:
    assert docker("run", "--rm", "busybox", "echo", "hi") == "hi\n"
    assert docker("run", "--rm", "-i", "busybox", "cat", input="through\n") == "through\n"
    docker("run", "--rm", "busybox", "sh", "-c", "exit 7", code=7)
    docker("run", "--rm", "busybox", "no-such-program", code=127)
    assert "No such image" in docker("run", "--pull", "never", "--rm", "no-such-image", code=125, errors=True)
    other = docker("run", "--pull", "never", "--rm", "--platform", "linux/s390x", "busybox", "true", code=125, errors=True)
    assert "does not match the specified platform (linux/s390x)" in other
    assert "network nope not found" in docker("run", "--rm", "--network", "nope", "busybox", "true", code=125, errors=True)
    assert docker("ps", "-aq") == ""


def test_options_of_run_reach_the_container(docker: Docker) -> None:
    options = ["--user", "1000:1001", "-w", "/tmp", "-e", "A=b", "--hostname", "box", "--read-only", "--tmpfs", "/t", "--cap-drop", "ALL"]
    script = "id -u; id -g; pwd; echo $A; hostname; echo x >/x; echo y >/t/y && cat /t/y; busybox grep CapEff /proc/self/status"
    out = docker("run", "--rm", *options, "-m", "64m", "--memory-swap", "64m", "busybox", "sh", "-c", script)
    assert out.split() == ["1000", "1001", "/tmp", "b", "box", "y", "CapEff:", "0" * 16]


def test_a_terminal(program: str, docker: Docker, environment: dict[str, str], running: str) -> None:
    status, output = on_terminal(program, environment, "run", "--rm", "-it", "busybox", "sh", "-c", "sleep 0.5; stty size; tty; exit 4")
    assert status == 4 and output.split() == ["24", "90", "/dev/pts/0"]
    status, output = on_terminal(program, environment, "exec", "-it", running, "sh", keys=b"echo an$((40+2))wer; exit 3\n")
    assert status == 3 and "an42wer" in output
    status, output = on_terminal(program, environment, "run", "-it", "--name", "detached", "busybox", "sh", keys=b"\x10\x11")
    assert status == 0 and docker("inspect", "-f", "{{.State.Running}}", "detached") == "true\n"
    status, output = on_terminal(program, environment, "attach", "detached", keys=b"exit 5\n", at_once=True)
    assert status == 5 and docker("inspect", "-f", "{{.State.ExitCode}}", "detached") == "5\n"
    docker("rm", "detached")


def test_a_life_in_the_background(docker: Docker, running: str) -> None:
    assert docker("ps", "--no-trunc", "--format", "{{.ID}} {{.Image}}") == f"{running} busybox\n"
    found = json.loads(docker("inspect", running))[0]
    assert (
        found["State"]["Status"] == "running" and found["NetworkSettings"]["IPAddress"] and found["HostConfig"]["NetworkMode"] == "bridge"
    )
    assert docker("exec", running, "echo", "inside") == "inside\n"
    assert docker("exec", "-i", running, "cat", input="in\n") == "in\n"
    docker("exec", running, "sh", "-c", "exit 9", code=9)
    assert "sleep 1000" in docker("top", running)
    assert docker("stats", "--no-stream", "--format", "{{.PIDs}}", running) == "2\n"
    docker("rename", running, "renamed")
    if os.geteuid() == 0:  # a user without a delegated cgroup has no freezer
        docker("pause", "renamed")
        assert docker("inspect", "-f", "{{.State.Status}}", running) == "paused\n"
        docker("unpause", running)
    docker("restart", "-t", "1", running)
    docker("stop", "-t", "1", running)
    assert docker("wait", running) == "143\n"
    docker("start", running)
    docker("kill", running)
    assert docker("wait", running) == "137\n"


def test_logs(program: str, docker: Docker, environment: dict[str, str]) -> None:
    id = docker("run", "-d", "busybox", "sh", "-c", "echo one; sleep 1; echo two; echo three >&2").strip()
    assert docker("logs", "-f", id) == "one\ntwo\n"
    assert docker("logs", id, errors=True) == "three\n"
    assert docker("logs", "--tail", "1", "-t", id, errors=True)[:2] == "20"
    docker("rm", id)


def test_attach_talks_both_ways(program: str, docker: Docker, environment: dict[str, str]) -> None:
    id = docker("run", "-d", "-i", "busybox", "sh", "-c", "read line; echo heard $line; exit 6").strip()
    assert docker("attach", id, input="hello\n", code=6) == "heard hello\n"
    assert docker("start", "-a", "-i", id, input="again\n", code=6) == "heard again\n"
    docker("rm", id)


def test_cp_and_diff(docker: Docker, running: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("content\n")
    docker("cp", str(tmp_path / "folder"), f"{running}:/tmp/")
    assert docker("exec", running, "cat", "/tmp/folder/file") == "content\n"
    docker("cp", f"{running}:/tmp/folder/.", str(tmp_path / "back"))
    assert (tmp_path / "back/file").read_text() == "content\n"
    assert docker("diff", running).splitlines() == ["C /tmp", "A /tmp/folder", "A /tmp/folder/file"]
    docker("stop", "-t", "0", running)
    docker("cp", f"{running}:/tmp/folder/file", str(tmp_path / "stopped"))
    assert (tmp_path / "stopped").read_text() == "content\n"
    assert "/nothing" in docker("cp", f"{running}:/nothing", str(tmp_path), code=1, errors=True)


def test_images(docker: Docker, tmp_path: Path) -> None:
    docker("tag", "busybox", "other:2")
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}", "other") == "other:2\n"
    assert docker("image", "inspect", "-f", "{{.Os}} {{.Config.Cmd}}", "other:2") == "linux [sh]\n"
    assert docker("history", "-q", "other:2").count("\n") == 1
    docker("save", "-o", str(tmp_path / "saved.tar"), "other:2")
    assert docker("rmi", "other:2") == "Untagged: other:2\n"
    assert docker("load", "-i", str(tmp_path / "saved.tar")) == "Loaded image: other:2\n"
    docker("rmi", "other:2")
    assert "No such image: other:2" in docker("rmi", "other:2", code=1, errors=True)
    docker("image", "prune", "-f")


def test_networks_and_names(docker: Docker) -> None:
    docker("network", "create", "--subnet", "172.31.250.0/24", "--label", "a=b", "near")
    docker(
        "run", "-d", "--name", "first", "--network", "near", "--network-alias", "alias", "--ip", "172.31.250.9", "busybox", "sleep", "99"
    )
    assert "172.31.250.9" in docker("run", "--rm", "--network", "near", "busybox", "busybox", "nslookup", "alias")
    assert docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}} {{.Labels.a}}", "near") == "172.31.250.1 b\n"
    assert docker("network", "ls", "-q", "--filter", "name=near").count("\n") == 1
    second = docker("run", "-d", "busybox", "sleep", "99").strip()
    docker("network", "connect", "near", second)
    assert "eth1" in docker("exec", second, "busybox", "ip", "addr")
    docker("network", "disconnect", "near", second)
    assert "eth1" not in docker("exec", second, "busybox", "ip", "addr")
    assert "has active endpoints" in docker("network", "rm", "near", code=1, errors=True)
    docker("rm", "-f", "first", second)
    assert docker("network", "rm", "near") == "near\n"


def test_ports(docker: Docker) -> None:
    id = docker("run", "-d", "-p", "127.0.0.1::80", "busybox", "sleep", "99").strip()
    address, _, port = docker("port", id, "80").strip().rpartition(":")
    assert address == "127.0.0.1" and int(port) > 1024
    assert f"127.0.0.1:{port}->80/tcp" in docker("ps", "--format", "{{.Ports}}")
    docker("rm", "-f", id)


def test_volumes(docker: Docker, tmp_path: Path) -> None:
    assert docker("volume", "create", "--label", "a=b", "kept") == "kept\n"
    docker(
        "run", "--rm", "-v", "kept:/v", "-v", f"{tmp_path}:/here:ro", "busybox", "sh", "-c", "echo x >/v/x; ! echo y 2>/dev/null >/here/y"
    )
    assert docker("run", "--rm", "--mount", "type=volume,src=kept,dst=/w", "busybox", "cat", "/w/x") == "x\n"
    assert docker("volume", "ls", "-q", "--filter", "label=a=b") == "kept\n"
    assert docker("volume", "inspect", "-f", "{{.Name}} {{.Driver}}", "kept") == "kept local\n"
    docker("run", "-d", "--name", "user", "-v", "kept:/v", "busybox", "true")
    assert "volume is in use" in docker("volume", "rm", "kept", code=1, errors=True)
    docker("rm", "-f", "user")
    docker("volume", "rm", "kept")


def test_events(program: str, docker: Docker, environment: dict[str, str]) -> None:
    began = time.time()
    docker("run", "--rm", "--name", "eventful", "busybox", "true")
    time.sleep(0.2)
    window = ["events", "--since", f"{began:.6f}", "--until", f"{time.time():.6f}"]
    lines = docker(*window, "--format", "{{.Type}} {{.Action}}").splitlines()
    wanted = ["container create", "container attach", "network connect", "container start", "network disconnect", "container die"]
    wanted.append("container destroy")
    assert [line for line in lines if line in wanted] == wanted
    assert docker(*window, "--filter", "event=die", "--format", "{{.Actor.Attributes.name}}") == "eventful\n"


def test_health(docker: Docker) -> None:
    id = docker("run", "-d", "--init", "--health-cmd", "true", "--health-interval", "100ms", "busybox", "sleep", "99").strip()
    for _ in range(50):
        if docker("inspect", "-f", "{{.State.Health.Status}}", id) == "healthy\n":
            break
        time.sleep(0.1)
    assert "(healthy)" in docker("ps", "--format", "{{.Status}}")
    docker("rm", "-f", id)


def test_room(docker: Docker, running: str) -> None:
    rows = dict(line.split("\t") for line in docker("system", "df", "--format", "{{.Type}}\t{{.TotalCount}} {{.Active}}").splitlines())
    assert rows["Images"] == "1 1" and rows["Containers"] == "1 1"
    docker("run", "--name", "over", "busybox", "true")
    assert "Total reclaimed space" in docker("system", "prune", "-f")
    assert docker("ps", "-aq", "--no-trunc").split() == [running]


def test_commit_and_export(docker: Docker, tmp_path: Path) -> None:
    docker("run", "--name", "made", "busybox", "sh", "-c", "echo new >/new")
    docker("commit", "-m", "note", "-c", "ENV B=c", "-c", 'CMD ["cat", "/new"]', "made", "mine:1")
    assert docker("run", "--rm", "mine:1") == "new\n"
    assert docker("run", "--rm", "mine:1", "sh", "-c", "echo $B") == "c\n"
    docker("export", "-o", str(tmp_path / "exported.tar"), "made")
    docker("import", "-c", "CMD cat /new", str(tmp_path / "exported.tar"), "flat:1")
    assert docker("run", "--rm", "flat:1") == "new\n"
    docker("rm", "made")
    docker("rmi", "mine:1", "flat:1")
