"""Docker's SDK for Python on the engine's socket; skipped where it is not installed (`pip install docker`)."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

docker = pytest.importorskip("docker", reason="Docker's SDK for Python is not installed")
# the SDK leaves sockets of exec and attach to the garbage collector
leaks = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
pytestmark = [pytest.mark.system, leaks]


@pytest.fixture(scope="module")
def client(engine_environment: dict[str, str], busybox_archive: Path) -> Iterator[Any]:
    load = [sys.executable, "-m", "compose_lite", "image", "load", "-i", str(busybox_archive)]
    subprocess.run(load, env=engine_environment, check=True, capture_output=True, timeout=60)
    made = docker.DockerClient(base_url=f"unix://{engine_environment['COMPOSE_LITE_RUN_DIR']}/engine.sock", timeout=30)
    yield made
    made.close()
    gc.collect()


@pytest.fixture
def sleeper(client: Any) -> Iterator[Any]:
    container = client.containers.run("busybox", ["sleep", "100"], detach=True, init=True, labels={"of": "sdk"})
    yield container
    container.remove(force=True)


def test_run(client: Any) -> None:
    assert client.ping() and client.version()["ApiVersion"] == "1.51"
    assert client.containers.run("busybox", "echo hi", remove=True) == b"hi\n"
    with pytest.raises(docker.errors.ContainerError):
        client.containers.run("busybox", "false", remove=True)
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nobody")


def test_exec_never_loses_what_a_quick_command_says(sleeper: Any) -> None:
    assert {sleeper.exec_run("echo inside").output for _ in range(30)} == {b"inside\n"}
    assert sleeper.exec_run("sh -c 'echo err >&2; exit 3'", demux=True) == (3, (None, b"err\n"))
    assert sleeper.exec_run("no-such-program").exit_code == 127


def test_files_and_lists(client: Any, sleeper: Any) -> None:
    assert [c.id for c in client.containers.list(filters={"label": "of=sdk"})] == [sleeper.id]
    stream, stat = sleeper.get_archive("/etc/passwd")
    assert stat["name"] == "passwd" and len(b"".join(stream)) % 512 == 0
    network = client.networks.create("sdk-net")
    network.connect(sleeper)
    network.reload()
    assert [c.id for c in network.containers] == [sleeper.id]
    network.disconnect(sleeper)
    network.remove()
    assert sleeper.stats(stream=False)["id"] == sleeper.id


def test_attach_before_the_start(client: Any) -> None:
    container = client.containers.create("busybox", "cat", stdin_open=True)
    try:
        talk = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        container.start()
        talk._sock.send(b"hello\n")
        assert talk._sock.recv(100) == b"\x01\0\0\0\0\0\0\x06hello\n"
        talk.close()
    finally:
        container.remove(force=True)


def test_build(client: Any) -> None:
    dockerfile = io.BytesIO(b"FROM busybox\nRUN echo built >/made\nCMD cat /made\n")
    image, _ = client.images.build(fileobj=dockerfile, tag="sdk-built:1")
    assert image.tags == ["sdk-built:1"] and client.containers.run("sdk-built:1", remove=True) == b"built\n"
    client.images.remove("sdk-built:1")
