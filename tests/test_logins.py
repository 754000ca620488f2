"""Logins as Docker Compose 2.40 takes them from config.json and credential helpers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from compose_lite.errors import Error
from compose_lite.logins import Login, Logins

HELPER = """#!/bin/sh
read server
case "$1 $server" in
  "list "*) echo '{"kept.example": "h", "token.example": "<token>"}' ;;
  *token.example) echo '{"ServerURL": "token.example", "Username": "<token>", "Secret": "idtok"}' ;;
  *nobody.example) echo "credentials not found in native keychain"; exit 1 ;;
  *locked.example) echo "the keychain is locked" >&2; exit 1 ;;
  *odd.example) echo "[]" ;;
  *) echo '{"Username": "h", "Secret": "s"}' ;;
esac
"""


def logins(folder: Path, **config: Any) -> Logins:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "docker-credential-fake").write_text(HELPER)
    (folder / "docker-credential-fake").chmod(0o755)
    return Logins({"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:/bin:/usr/bin"})


def entry(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_what_docker_login_wrote(tmp_path: Path) -> None:
    auths = {
        "reg:5000": entry("me:pw:x"),
        "https://index.docker.io/v1/": entry("hub:pw"),
        "https://old.example/v1/": entry("old:pw"),
        "plain.example": {"username": "u", "password": "p"},
        "id.example": {**entry("me:"), "identitytoken": "idtok"},
        "nobody.example": {},
    }
    found = logins(tmp_path, auths=auths)
    assert found.of("reg:5000") == Login("me", "pw:x") and found.of("docker.io") == Login("hub", "pw")
    assert found.of("plain.example") == Login("u", "p") and found.of("id.example") == Login("me", "", identity="idtok")
    old = found.of("old.example")
    assert old and old.document() == {"username": "old", "password": "pw", "serveraddress": "https://old.example/v1/"}
    assert found.of("other.example") is found.of("nobody.example") is None
    assert list(found.all()) == ["reg:5000", "https://index.docker.io/v1/", "https://old.example/v1/", "plain.example", "id.example"]


def test_helpers(tmp_path: Path) -> None:
    helpers = dict.fromkeys(["kept.example", "token.example", "nobody.example", "locked.example"], "fake")
    auths = {"kept.example": entry("stale:pw"), "file.example": entry("me:pw"), "nobody.example": entry("stale:pw")}
    found = logins(tmp_path, auths=auths, credHelpers=helpers)
    assert found.of("kept.example") == Login("h", "s") and found.of("file.example") == Login("me", "pw")
    assert found.of("token.example") == Login("", "", identity="idtok")
    assert found.of("nobody.example") is None  # it alone is asked
    assert {server: login.user for server, login in found.all().items()} == {"kept.example": "h", "file.example": "me", "token.example": ""}
    with pytest.raises(Error, match=r"docker-credential-fake.* cannot be asked: the keychain is locked.*\[docker-config\]"):
        found.of("locked.example")


def test_a_store_for_all(tmp_path: Path) -> None:
    found = logins(tmp_path, auths={"file.example": entry("me:pw")}, credsStore="fake", credHelpers={"nobody.example": "fake"})
    assert found.of("file.example") == Login("h", "s") and found.of("nobody.example") is None
    assert list(found.all()) == ["kept.example", "token.example"]
    with pytest.raises(Error, match="its answer has no Username and Secret"):
        found.of("odd.example")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"credsStore": "absent"}, "docker-credential-absent.* there is no such program on the PATH"),
        ({"auths": {"a.example": {"auth": "x"}}}, "config.json cannot be read: the login of a.example is no base64"),
    ],
)
def test_what_cannot_be_read(config: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(Error, match=says):
        logins(tmp_path, **config).of("a.example")


def test_files_that_are_none(tmp_path: Path) -> None:
    assert Logins({"DOCKER_CONFIG": "/nowhere"}).of("a.example") is None and Logins({"HOME": str(tmp_path)}).all() == {}
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(Error, match="it holds no object"):
        Logins({"DOCKER_CONFIG": str(tmp_path)}).all()


def test_no_password_in_a_repr() -> None:
    assert "secret" not in repr(Login("me", "secret", "a.example", "secret"))
