"""The first example, as a new user runs it, and that nothing of it stays."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.request
from pathlib import Path

import pytest

from compose_lite.linux.netlink import Route
from tests.conftest import free_port

pytestmark = pytest.mark.system
EXAMPLE = Path(__file__).parents[2] / "examples/quickstart"


def links() -> set[str]:
    with Route() as route:
        return set(route.links())


def mounts() -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "compose-lite" in line]


def test_three_services_know_each_other_and_leave_nothing(cli, tmp_path: Path, engine_environment: dict[str, str]) -> None:
    folder = tmp_path / "quickstart"
    shutil.copytree(EXAMPLE, folder)
    port = free_port()
    engine_environment["QUICKSTART_PORT"] = str(port)
    cli("up", "-d", "--wait", cwd=folder)
    try:
        (network,) = json.loads(cli("network", "inspect", "quickstart_default").stdout)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            known = json.load(answer)
        assert known["api"]["greeting"] == "hello from api"
        assert known["worker"]["written"] >= 1 and known["worker"]["processes_seen"] == 2
        assert known["web"]["api_address"] != known["api"]["worker_address"]
        rows = [json.loads(line) for line in cli("ps", "--format", "json", cwd=folder).stdout.splitlines()]
        assert {r["Service"]: r["State"] for r in rows} == {"web": "running", "api": "running", "worker": "running"}
        hidden = cli("exec", "-T", "web", "sh", "-c", "cat /etc/shadow; ls /root /home", cwd=folder, code=None).stdout
        assert hidden.split() == ["/home:", "/root:"]
    finally:
        cli("down", "-v", "-t", "1", cwd=folder)
    assert f"br-{network['Id'][:12]}" not in links()
    assert mounts() == []
    assert cli("container", "ls", "-aq").stdout == ""
    assert cli("volume", "ls", "-q").stdout == ""


def test_exit_statuses_are_passed_on(cli, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: 'rootfs:/', command: [sleep, '100'], init: true, network_mode: none}}\n")
    cli("up", "-d")
    try:
        assert cli("exec", "-T", "a", "sh", "-c", "exit 3", code=3)
        assert cli("run", "--rm", "-T", "a", "sh", "-c", "echo out; exit 5", code=5).stdout == "out\n"
        assert "executable file not found" in cli("exec", "-T", "a", "nothing-of-that-name", code=127).stdout  # as Docker
    finally:
        cli("down", "-t", "0")


def test_a_port_in_use_is_one_early_error(cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = f"services: {{a: {{image: 'rootfs:/', command: [sleep, '100'], ports: ['127.0.0.1:{port}:80']}}}}\n"
        (tmp_path / "compose.yaml").write_text(text)
        failed = cli("up", "-d", code=1)
        assert "port is already allocated" in failed.stderr and "compose.yaml:1" in failed.stderr and "Traceback" not in failed.stderr
        assert cli("ps", "-aq").stdout == ""
    cli("down", "-t", "0")
