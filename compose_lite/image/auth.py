"""Who we are to a registry: ~/.docker/config.json and credential helpers, challenges, tokens.

Passwords live in memory only as long as a request needs them and are never part of an error.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compose_lite.errors import ImageError

_DOCKER_HUB = "https://index.docker.io/v1/"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str

    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW-Authenticate header."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenge(text: str) -> Challenge:
    scheme, _, rest = text.strip().partition(" ")
    return Challenge(scheme.lower(), {key.lower(): value for key, value in _PARAMETER.findall(rest)})


def login_of(domain: str, env: Mapping[str, str] | None = None) -> Login | None:
    """What the docker configuration says for this registry; None: anonymous."""
    here = dict(os.environ) if env is None else env
    folder = Path(here.get("DOCKER_CONFIG") or Path(here.get("HOME") or "/root") / ".docker")
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ImageError("docker-config", f"{folder / 'config.json'} cannot be read: {error}") from error
    key = _DOCKER_HUB if domain == "docker.io" else domain
    helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
    if helper and (found := _ask_helper(str(helper), key, here)):
        return found
    auths = config.get("auths") or {}
    entry = auths.get(key) or auths.get(f"https://{key}") or {}
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"]).decode("utf-8", "replace").partition(":")
        return Login(user, password.rstrip("\0"))
    return Login(entry["username"], entry.get("password", "")) if entry.get("username") else None


def _ask_helper(helper: str, key: str, env: Mapping[str, str]) -> Login | None:
    try:
        done = subprocess.run([f"docker-credential-{helper}", "get"], input=key, capture_output=True, text=True, timeout=30, env=dict(env))
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Login(answer["Username"], answer.get("Secret", "")) if answer.get("Username") else None


def decode_header(text: str) -> Login | None:
    """X-Registry-Auth: JSON in URL-safe base64, padded or not; empty means anonymous."""
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) if text else {}
    except ValueError:
        return None
    return Login(value["username"], value.get("password", "")) if value.get("username") else None
