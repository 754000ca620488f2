"""An engine of its own for the session, stopped and cleaned up at the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.runtime.bundles import busybox_root

# Property tests: a small sample that is the same in every run; HYPOTHESIS_PROFILE=long searches for an hour's coffee.
settings.register_profile("suite", max_examples=60, derandomize=True, deadline=None, database=None)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def engine_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if os.geteuid() != 0 and not may_make_user_namespaces():
        pytest.skip("needs root or unprivileged user namespaces")
    base = Path("/tmp") / f"compose-lite-test-{os.getpid()}"
    base.mkdir()
    env = {**os.environ, "COMPOSE_LITE_RUN_DIR": f"{base}/run", "COMPOSE_LITE_DATA_DIR": f"{base}/data", "COMPOSE_LITE_IDLE": "2"}
    env.pop("COMPOSE_LITE_ENGINE", None)
    yield env
    if os.geteuid() != 0 and any((base / "data").glob("layers/*")):  # files of subordinate users, which only the engine may delete
        ours = [sys.executable, "-m", "compose_lite", "image"]
        found = subprocess.run([*ours, "ls", "-q"], env=env, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run([*ours, "rm", "-f", *set(found)], env=env, capture_output=True, check=True)
    for _ in range(200):  # the idle engine goes by itself
        if not family(base):
            break
        time.sleep(0.1)
    for pid in family(base):
        os.kill(pid, signal.SIGTERM)
    subprocess.run(["rm", "-rf", str(base)], check=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def may_make_user_namespaces() -> bool:
    script = "from compose_lite.linux.namespaces import *; unshare(NEWUSER | NEWNS | NEWNET)"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def family(base: Path) -> list[int]:
    """Processes of the engine whose folders are under base."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and f"COMPOSE_LITE_RUN_DIR={base}/run".encode() in (entry / "environ").read_bytes()
            if ours and b"compose_lite.family" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def cli(engine_environment: dict[str, str], tmp_path: Path) -> Cli:
    def run(*args: str, code: int | None = 0, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "compose_lite", *args]
        done = subprocess.run(
            command, cwd=cwd, env=engine_environment, text=True, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False
        )
        assert code is None or done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


@pytest.fixture(scope="session")
def busybox_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `docker save busybox` gives: an image of one layer, made of this machine's static busybox."""
    if not shutil.which("busybox"):
        pytest.skip("needs a static busybox (Debian: busybox-static)")
    if os.geteuid() != 0 and not shutil.which("newuidmap"):
        pytest.skip("images of several users need subordinate ids (Debian: uidmap)")
    folder = tmp_path_factory.mktemp("busybox")
    layer, archive = folder / "layer.tar", folder / "busybox.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(busybox_root(folder / "root"), arcname=".", filter=owned_by_root)
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "tests"}],
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "manifest.json").write_text(json.dumps([{"Config": "config.json", "RepoTags": ["busybox:latest"], "Layers": ["layer.tar"]}]))
    with tarfile.open(archive, "w") as tar:
        for name in ("manifest.json", "config.json", "layer.tar"):
            tar.add(folder / name, arcname=name)
    return archive
