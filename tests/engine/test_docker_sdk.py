"""Docker's SDK for Python on the engine's socket; skipped where it is not installed (`pip install docker`)."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import time
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


def test_what_is_shown_before_and_after_the_first_start(client: Any) -> None:
    """Files of the engine's are named once they are there; the runtime's name is Docker's unless one was asked for."""
    made = client.containers.create("busybox", ["sleep", "100"], stop_signal="KILL")
    try:
        paths = ("ResolvConfPath", "HostnamePath", "HostsPath", "LogPath")
        assert [made.attrs[key] for key in paths] == [""] * 4
        made.start()
        made.reload()
        assert all(made.attrs[key] for key in paths)
        assert made.attrs["HostConfig"]["Runtime"] == "runc"
        assert made.attrs["GraphDriver"]["Data"]["MergedDir"] == f"/proc/{made.attrs['State']['Pid']}/root"
        listed = client.api.containers(filters={"id": made.id})[0]["NetworkSettings"]["Networks"]["bridge"]
        assert listed["NetworkID"] and not any(listed[key] for key in ("Aliases", "DNSNames", "Links", "DriverOpts"))
    finally:
        made.remove(force=True)
    named = client.containers.create("busybox", ["true"], runtime="compose-lite")
    assert named.attrs["HostConfig"]["Runtime"] == "compose-lite"
    named.remove()
    volume = client.volumes.create("plain-volume")
    assert volume.attrs["Labels"] is None
    volume.remove()
    assert client.api.inspect_network("host")["IPAM"]["Config"] is None
    assert "com.docker.network.bridge.name" in client.api.inspect_network("bridge")["Options"]
    assert "docker.io" in client.info()["RegistryConfig"]["IndexConfigs"]


def test_events_of_volumes_and_networks(client: Any) -> None:
    """In Docker's order: a volume is mounted before the network is joined, and gone after it was left, before the end is told; so in a
    restart, with the host's network and with none too. One that joins the host's by another container tells nothing."""
    since = time.time()
    network = client.networks.create("told-net")
    lives = [
        client.containers.run("busybox", ["sleep", "100"], detach=True, stop_signal="KILL", name=f"told-{name}", **wishes)
        for name, wishes in (
            ("a", {"volumes": {"told-data": {"bind": "/data", "mode": "ro"}}, "network": "told-net"}),
            ("none", {"network_mode": "none"}),
            ("host", {"network_mode": "host"}),
            ("with-host", {"network_mode": "container:told-host"}),
        )
    ]
    try:
        lives[0].restart()
        lives[0].stop()
        network.disconnect(lives[0])  # one that is stopped leaves without a word
    finally:
        for container in reversed(lives):
            container.remove(force=True)
        network.remove()
        client.volumes.get("told-data").remove()
    client.volumes.prune()
    seen: dict[str, list[str]] = {}
    written = []
    for event in client.events(since=since, until=time.time(), decode=True):
        attributes = event["Actor"]["Attributes"]
        whose = attributes.get("container") or event["Actor"]["ID"]
        what = event["Action"] if event["Type"] == "container" else f"{event['Action']} {attributes.get('name', event['Actor']['ID'])}"
        seen.setdefault(whose, []).append(what)
        if event["Action"] == "mount":
            written.append({key: value for key, value in attributes.items() if key != "container"})
    begins = ["mount told-data", "connect told-net", "start"]
    ends = ["disconnect told-net", "unmount told-data", "die"]
    told = [[what for what in seen[one.id] if what not in ("kill", "stop", "restart")] for one in lives]
    assert told == [
        ["create", *begins, *ends, *begins, *ends, "destroy"],
        ["create", "connect none", "start", "disconnect none", "die", "destroy"],
        ["create", "connect host", "start", "disconnect host", "die", "destroy"],
        ["create", "start", "die", "destroy"],
    ]
    assert written == [{"destination": "/data", "driver": "local", "propagation": "", "read/write": "false"}] * 2
    assert "prune " in seen[""]
