"""Logins and challenges."""

import base64
import io
import json

import urllib3

from compose_lite.image import auth, registry
from compose_lite.logins import Login


def test_challenge_and_header():
    found = auth.parse_challenge('Bearer realm="https://a/token",service="reg",scope="x"')
    assert (found.scheme, found.parameters["realm"]) == ("bearer", "https://a/token")
    text = base64.urlsafe_b64encode(b'{"username":"u","password":"p"}').decode().rstrip("=")
    assert auth.decode_header(text) == Login("u", "p") and auth.decode_header("") is None and auth.decode_header("!") is None


def test_logins_for_a_build():
    said = {"https://index.docker.io/v1/": {"username": "u", "password": "p"}, "reg:5000": {"identitytoken": "t"}, "nobody": {}}
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    assert auth.decode_config(text) == {"docker.io": Login("u", "p"), "reg:5000": Login("", "", identity="t")}
    assert auth.decode_config("") == auth.decode_config("W10=") == {}


def test_an_identity_token_is_exchanged(monkeypatch):
    asked = []

    def answered(pool, method, url, headers=None, body=None, **more):
        asked.append((method, url, body))
        if url == "https://auth/token":
            return urllib3.HTTPResponse(body=b'{"access_token": "T"}', status=200)
        allowed = (headers or {}).get("Authorization") == "Bearer T"
        challenge = {"WWW-Authenticate": 'Bearer realm="https://auth/token",service="reg"'}
        return urllib3.HTTPResponse(
            body=io.BytesIO(b"{}"), headers={} if allowed else challenge, status=200 if allowed else 401, preload_content=False
        )

    monkeypatch.setattr(urllib3.PoolManager, "request", answered)
    assert registry.Session("https://reg", "me/x", Login("", "", identity="I")).get("manifests/1").data == b"{}"
    body = "service=reg&scope=repository%3Ame%2Fx%3Apull&grant_type=refresh_token&refresh_token=I&client_id=compose-lite"
    assert asked[1] == ("POST", "https://auth/token", body)


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
