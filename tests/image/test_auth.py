"""Logins and challenges."""

import base64
import io
import json
from pathlib import Path

import urllib3

from compose_lite.image import auth, registry
from compose_lite.image.auth import Login


def test_login_of_the_docker_configuration(tmp_path: Path):
    entry = {"auth": base64.b64encode(b"me:pw:x").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"reg:5000": entry, "https://index.docker.io/v1/": entry}}))
    env = {"DOCKER_CONFIG": str(tmp_path)}
    assert auth.login_of("reg:5000", env) == auth.login_of("docker.io", env) == Login("me", "pw:x")
    assert auth.login_of("other", env) is None and auth.login_of("x", {"DOCKER_CONFIG": "/nowhere"}) is None


def test_challenge_and_header():
    found = auth.parse_challenge('Bearer realm="https://a/token",service="reg",scope="x"')
    assert (found.scheme, found.parameters["realm"]) == ("bearer", "https://a/token")
    text = base64.urlsafe_b64encode(b'{"username":"u","password":"p"}').decode().rstrip("=")
    assert auth.decode_header(text) == Login("u", "p") and auth.decode_header("") is None


def test_endpoints():
    env = {"COMPOSE_LITE_REGISTRY_MIRRORS": "docker.io=http://127.0.0.1:5000/,other=https://m"}
    assert registry.endpoints("docker.io", env) == ["http://127.0.0.1:5000", "https://registry-1.docker.io"]
    assert registry.endpoints("localhost:5000", {}) == ["http://localhost:5000"] and registry.endpoints("a.b", {}) == ["https://a.b"]


def test_a_loopback_registry_that_speaks_tls_is_spoken_to_so(monkeypatch):
    asked = []

    def answered(pool, method, url, **more):
        asked.append(url)
        plain = url.startswith("http://")
        body = b"Client sent an HTTP request to an HTTPS server.\n" if plain else b"{}"
        return urllib3.HTTPResponse(body=io.BytesIO(body), status=400 if plain else 200, preload_content=False)

    monkeypatch.setattr(urllib3.PoolManager, "request", answered)
    session = registry.Session("http://localhost:5000", "me/x", None)
    assert session.get("manifests/1").data == b"{}"
    session.get("blobs/2")
    assert asked == [
        "http://localhost:5000/v2/me/x/manifests/1",
        *(f"https://localhost:5000/v2/me/x/{w}" for w in ("manifests/1", "blobs/2")),
    ]
