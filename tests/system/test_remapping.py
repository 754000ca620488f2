"""Root's engine with remapped ids (COMPOSE_LITE_USERNS_REMAP): root of a container is nobody on the machine, and notices nothing of it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.linux import namespaces
from tests.system.engines import Engine

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
FIRST, COUNT = 700_000, 65_536
SPEC = """
services:
  a:
    image: rootfs:/
    init: true
    hostname: inside
    command: sh -c 'touch /data/mine; exec sleep 1000'
    cap_add: [NET_ADMIN]
    ulimits: {nofile: {soft: 100, hard: 200}}
    sysctls: {net.ipv4.ip_forward: 1}
    oom_score_adj: 200
    ipc: shareable
    volumes: [data:/data, ./folder:/folder]
    secrets: [{source: word, uid: "1000", mode: 0400}]
    shm_size: 8m
  b: {image: rootfs:/, init: true, network_mode: service:a, pid: service:a, ipc: service:a, command: sleep 1000}
  changing: {build: ., profiles: [more], user: "0", command: sh -c 'touch /kept; chown 77:88 /kept'}
  host: {image: rootfs:/, init: true, userns_mode: host, command: sleep 1000}
volumes: {data: }
secrets: {word: {environment: WORD}}
"""
WRITES = "echo 10.9.9.9 far >> /etc/hosts; rm -rf /etc/skel; mkdir /etc/skel; chown 1000:5 /etc/skel; echo > /dev/stdout"
LIMITS = "sed -n 's/Max open files//p' /proc/self/limits; cat /proc/self/oom_score_adj"
DOCKERFILE = """FROM scratch
COPY busybox /bin/
RUN ["/bin/busybox", "--install", "/bin"]
RUN --mount=type=cache,target=/c touch /c/x && mkdir /made && chown 9:8 /made
RUN test $(awk '{print $2}' /proc/self/uid_map) != 0 && mkdir -m 777 /open
USER 1000
RUN id -u > /open/who
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"remap-{os.getpid()}")
    made.env |= {"COMPOSE_LITE_USERNS_REMAP": f"{FIRST}-{FIRST + COUNT - 1}", "WORD": "secret"}
    made.spec(SPEC)
    (made.project / "folder").mkdir()
    (made.project / "folder/private").write_text("of the machine's root")
    (made.project / "folder/private").chmod(0o600)
    try:
        made.run("up", "-d")
        yield made
    finally:
        made.run("down", "-v", "-t", "0", code=None)
        made.close()


def pid(engine: Engine, service: str) -> int:
    return int(engine.inspect(service)["State"]["Pid"])


def test_root_inside_is_nobody_on_the_machine(engine: Engine) -> None:
    assert engine.run("exec", "-T", "a", "cat", "/proc/self/uid_map").split() == ["0", str(FIRST), str(COUNT)]
    assert engine.run("exec", "-T", "a", "id", "-u").strip() == "0"
    uids = [line for line in Path(f"/proc/{pid(engine, 'a')}/status").read_text().splitlines() if line.startswith("Uid:")]
    assert uids[0].split()[1:] == [str(FIRST)] * 4


def test_files_of_the_image_belong_to_whom_they_did(engine: Engine) -> None:
    wanted = {path: os.stat(path) for path in ("/etc/passwd", "/usr/bin/env", "/var")}
    for path, found in wanted.items():
        assert engine.run("exec", "-T", "a", "stat", "-c", "%u:%g", path).strip() == f"{found.st_uid}:{found.st_gid}"
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm"):
        assert engine.run("exec", "-T", "a", "stat", "-c", "%u:%g", path).strip() == "0:0", path


def test_a_container_writes_its_root_its_files_and_gives_them_away(engine: Engine) -> None:
    engine.run(
        "exec",
        "-T",
        "a",
        "sh",
        "-ec",
        "echo 10.9.9.9 far >> /etc/hosts; rm -rf /etc/skel; mkdir /etc/skel; chown 1000:5 /etc/skel; echo > /dev/stdout",
    )
    assert engine.run("exec", "-T", "a", "stat", "-c", "%u:%g", "/etc/skel").strip() == "1000:5"


def test_exec_has_the_limits_of_its_container_and_another_user(engine: Engine) -> None:
    assert engine.run("exec", "-T", "a", "sh", "-c", LIMITS).split() == ["100", "200", "files", "200"]
    assert engine.run("exec", "-T", "--user", "1000", "a", "sh", "-c", "id -u; cat /run/secrets/word; echo > /dev/stderr").split() == [
        "1000",
        "secret",
    ]


def test_its_network_belongs_to_its_user_namespace(engine: Engine) -> None:
    """Else neither its sysctls could be set nor would CAP_NET_ADMIN mean anything."""
    assert engine.run("exec", "-T", "a", "cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    net = os.open(f"/proc/{pid(engine, 'a')}/ns/net", os.O_RDONLY)
    users = namespaces.owner(net)
    try:
        assert os.path.samestat(os.fstat(users), os.stat(f"/proc/{pid(engine, 'a')}/ns/user"))
    finally:
        os.close(users)
        os.close(net)


def test_a_volume_belongs_to_the_container_and_a_bind_to_the_machine(engine: Engine) -> None:
    (volume,) = (m for m in engine.inspect("a")["Mounts"] if m["Type"] == "volume")
    assert engine.run("exec", "-T", "a", "stat", "-c", "%u", "/data/mine").strip() == "0"
    assert Path(volume["Source"], "mine").stat().st_uid == 0  # as without remapping: it can be switched on and off
    refused = engine.run("exec", "-T", "a", "sh", "-c", "cat /folder/private || echo refused; touch /folder/x || echo refused")
    assert refused.split() == ["refused", "refused"]


def test_shared_namespaces_share_the_user_namespace(engine: Engine) -> None:
    names = [{kind: os.readlink(f"/proc/{pid(engine, one)}/ns/{kind}") for kind in ("user", "net", "pid", "ipc")} for one in "ab"]
    assert names[0] == names[1]
    assert "sleep" in engine.run("exec", "-T", "b", "sh", "-c", "cat /proc/[0-9]*/comm")
    assert os.readlink("/proc/self/ns/user") != names[0]["user"]


def test_host_is_the_way_out(engine: Engine) -> None:
    assert os.readlink(f"/proc/{pid(engine, 'host')}/ns/user") == os.readlink("/proc/self/ns/user")
    for options in (("--privileged",), ("--network", "host"), ("--pid", "host")):
        said = engine.start("container", "run", "--rm", *options, "rootfs:/", "true")
        _, err = said.communicate(timeout=60)
        assert said.returncode == 125, err
        assert "user namespaces" in err
        assert engine.run("container", "run", "--rm", "--userns", "host", *options, "rootfs:/", "echo", "fine").strip() == "fine"


def test_cp_out_and_in_speaks_of_ids_inside(engine: Engine, tmp_path: Path) -> None:
    engine.run("exec", "-T", "a", "sh", "-ec", "echo x > /usr/f; chown 12:34 /usr/f")
    given = tmp_path / "given"
    given.write_text("given")
    os.chown(given, 55, 66)
    for state in ("running", "stopped"):
        process = engine.start("cp", "a:/usr/f", "-")
        process.communicate()
        engine.run("cp", "-a", "a:/usr/f", str(tmp_path / state))
        found = (tmp_path / state).stat()
        assert (found.st_uid, found.st_gid) == (12, 34), state
        engine.run("cp", "-a", str(given), f"a:/usr/{state}")
        if state == "running":
            assert engine.run("exec", "-T", "a", "stat", "-c", "%u:%g", "/usr/running").strip() == "55:66"
            engine.run("stop", "-t", "0", "a")
    engine.run("start", "a")
    assert engine.run("exec", "-T", "a", "stat", "-c", "%u:%g", "/usr/stopped").strip() == "55:66"


@pytest.mark.skipif(shutil.which("busybox") is None, reason="needs Debian's busybox-static")
def test_a_build_and_a_commit_have_the_ids_of_inside(engine: Engine) -> None:
    shutil.copy(str(shutil.which("busybox")), engine.project / "busybox")
    (engine.project / "Dockerfile").write_text(DOCKERFILE)
    engine.run("up", "--build", "changing")
    engine.run("commit", "changing", "remapped:two")
    said = engine.run("container", "run", "--rm", "remapped:two", "stat", "-c", "%u:%g", "/made", "/open/who", "/kept")
    assert said.split() == ["9:8", "1000:0", "77:88"]


def test_info_says_so(engine: Engine) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{engine.base}/run/engine.sock")
        sock.sendall(b"GET /info HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
        assert "name=userns" in sock.makefile().read()


def test_nothing_is_seen_on_the_machine(engine: Engine) -> None:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert [point for point in points if point.startswith(str(engine.base)) and "/run/shm/" not in point] == []
