"""What commands send to an engine for registries: X-Registry-Auth and X-Registry-Config, as Docker Compose does."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from compose_lite.cli import main
from tests.errors import stub

COMPOSE = """name: shop
services:
  web: {image: reg.example:5000/me/web, build: ., pull_policy: always}
  db: {image: nginx}
  other: {image: other.example/x}
"""
WEB = "reg.example:5000/me/web"
HUB = "https://index.docker.io/v1/"
ME = {"username": "me", "password": "pw", "serveraddress": "reg.example:5000"}
AT_HUB = {"username": "hub", "password": "pw", "serveraddress": HUB}
DONE = (200, b'{"status": "done"}\n')


def sent(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """`POST /images/create?...` → the login that came with it; None: none."""
    heard: dict[str, Any] = {}
    act = stub._Handler.do_GET

    def hear(self: Any) -> None:
        line = next((self.headers[name] for name in ("X-Registry-Auth", "X-Registry-Config") if self.headers[name]), "")
        heard[f"{self.command} {self.path}"] = json.loads(base64.urlsafe_b64decode(line)) if line else None
        act(self)

    monkeypatch.setattr(stub._Handler, "do_POST", hear)
    monkeypatch.setattr(stub._Handler, "do_GET", hear)
    monkeypatch.chdir(folder)
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    logins = {"reg.example:5000": "me", HUB: "hub"}
    auths = {server: {"auth": base64.b64encode(f"{user}:pw".encode()).decode()} for server, user in logins.items()}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    found = {"Id": "sha256:0", "Descriptor": {"digest": "sha256:" + "0" * 64}, "RepoTags": [], "Config": {}}
    named = {f"/images/{name}/json": found for name in (WEB, "other.example/x")}
    answers = {f"GET {path}": one for path, one in named.items()} | {
        "POST /images/create": DONE,
        "POST /build": DONE,
        "POST /images/reg.example:5000/me/web/push": DONE,
        **{f"GET /distribution/{name}:latest/json": found for name in (WEB, "docker.io/library/nginx", "other.example/x")},
    }
    environ = {
        "DOCKER_CONFIG": str(folder),
        "PWD": str(folder),
        "PATH": "/usr/bin:/bin",
        "COMPOSE_LITE_ENGINE": f"unix://{folder}/none.sock",
    }
    err, out = io.StringIO(), io.TextIOWrapper(io.BytesIO())
    with stub.answering(folder / "none.sock", answers), contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        assert main.run(list(words), environ) == 0, err.getvalue()
    return {
        "/" + path.split("/", 2)[2]: login for path, login in heard.items() if "/build" in path or "/images/" in path or "/distr" in path
    }


def test_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = sent(tmp_path, monkeypatch, "pull")
    pulled = {path: login for path, login in heard.items() if path.startswith("/images/create")}
    assert pulled == {
        "/images/create?fromImage=reg.example%3A5000%2Fme%2Fweb&tag=latest": ME,
        "/images/create?fromImage=nginx&tag=latest": AT_HUB,
        "/images/create?fromImage=other.example%2Fx&tag=latest": None,
    }


def test_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sent(tmp_path, monkeypatch, "push")["/images/reg.example:5000/me/web/push?tag=latest"] == ME


def test_image_push_of_a_registry_without_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = sent(tmp_path, monkeypatch, "image", "pull", "other.example/x")
    assert heard["/images/create?fromImage=other.example%2Fx&tag=latest"] is None


def test_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = sent(tmp_path, monkeypatch, "config", "--lock-image-digests")
    assert heard[f"/distribution/{WEB}:latest/json"] == ME and heard["/distribution/docker.io/library/nginx:latest/json"] == AT_HUB


def test_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = sent(tmp_path, monkeypatch, "build")
    assert [login for path, login in heard.items() if path.startswith("/build?")] == [{"reg.example:5000": ME, HUB: AT_HUB}]
