"""Who we are to registries: what `docker login` wrote (config.json, credential helpers), in the Docker Engine API's own form.

Passwords live in memory only as long as a request needs them and are never part of an error.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compose_lite.errors import Error

_DOCKER_HUB = "https://index.docker.io/v1/"
_HELPER_SECONDS = 30
_TOKEN = "<token>"
"""The user's name by which a helper says that the secret is an identity token (docker-credential-helpers)."""


@dataclass(frozen=True, slots=True)
class Login:
    """server: the registry as Docker's configuration calls it. identity: a token that stands for the password (OAuth's refresh token)."""

    user: str
    password: str = field(repr=False)
    server: str = field(default="", compare=False)
    identity: str = field(default="", repr=False)

    def header(self) -> str:
        """Of HTTP's Authorization."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def document(self) -> dict[str, str]:
        """An AuthConfig of the Docker Engine API."""
        said = {"username": self.user, "password": self.password, "serveraddress": self.server, "identitytoken": self.identity}
        return {key: value for key, value in said.items() if value}


def of_document(value: Any) -> Login | None:
    """What an AuthConfig says, which is also the form of an entry of config.json; None: anonymous."""
    if not isinstance(value, dict):
        return None
    user, password = str(value.get("username") or ""), str(value.get("password") or "")
    if value.get("auth"):
        user, _, password = base64.b64decode(str(value["auth"])).decode("utf-8", "replace").partition(":")
    login = Login(user, password.rstrip("\0"), str(value.get("serveraddress") or ""), str(value.get("identitytoken") or ""))
    return login if login.user or login.identity else None


class Logins:
    """Of the user with this environment: DOCKER_CONFIG, HOME, and PATH for the helpers. Reads anew each time. Blocking."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = dict(os.environ if env is None else env)
        self.folder = Path(self._env.get("DOCKER_CONFIG") or Path(self._env.get("HOME") or "/root") / ".docker")
        self._file = self.folder / "config.json"

    def of(self, domain: str) -> Login | None:
        """domain: a reference's (`docker.io`, `registry.example.org:5000`). None: anonymous. Raises Error `docker-config`.

        Where a helper keeps the logins it alone is asked, as by Docker.
        """
        config = self._config()
        server = _DOCKER_HUB if domain == "docker.io" else domain
        helper = _mapping(config, "credHelpers").get(server) or config.get("credsStore")
        if helper:
            return self._helped(str(helper), server)
        auths = _mapping(config, "auths")
        # what very old versions of Docker wrote is a URL
        written = server if server in auths else next((one for one in auths if domain_of(one) == domain), "")
        return self._entry(written, auths[written]) if written else None

    def all(self) -> dict[str, Login]:
        """By server, as a build wants them (X-Registry-Config). A helper that fails is left out."""
        config = self._config()
        store = config.get("credsStore")
        auths = {} if store else _mapping(config, "auths")
        found = {server: self._entry(server, value) for server, value in auths.items()}
        helpers = {**self._listed(str(store or "")), **_mapping(config, "credHelpers")}
        for server, helper in helpers.items():
            try:
                found[server] = self._helped(str(helper), server)
            except Error:
                found[server] = None
        return {server: login for server, login in found.items() if login}

    def _config(self) -> dict[str, Any]:
        try:
            config = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise self._refusal(str(error)) from error
        if not isinstance(config, dict):
            raise self._refusal("it holds no object")
        return config

    def _refusal(self, why: str) -> Error:
        return Error("docker-config", f"{self._file} cannot be read: {why}")

    def _entry(self, server: str, value: Any) -> Login | None:
        try:
            return of_document({**value, "serveraddress": server} if isinstance(value, dict) else None)
        except ValueError as error:
            raise self._refusal(f"the login of {server} is no base64: {error}") from error

    # Credential helpers (github.com/docker/docker-credential-helpers: the protocol is its README's)

    def _listed(self, store: str) -> dict[str, str]:
        """Servers that the helper has logins for → its name."""
        if not store:
            return {}
        try:
            known = json.loads(self._ask(store, "list", "") or "{}")
        except (Error, ValueError):
            return {}
        return dict.fromkeys(known, store) if isinstance(known, dict) else {}

    def _helped(self, helper: str, server: str) -> Login | None:
        text = self._ask(helper, "get", server)
        if text is None:
            return None
        try:
            answer = json.loads(text)
            user, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            raise _helper_error(helper, "its answer has no Username and Secret") from None
        return Login("", "", server, secret) if user == _TOKEN else Login(user, secret, server) if user else None

    def _ask(self, helper: str, verb: str, text: str) -> str | None:
        """What the helper prints; None: it has no such login."""
        import subprocess  # most users have no helper

        program = f"docker-credential-{helper}"
        try:
            done = subprocess.run(
                [program, verb], input=text, capture_output=True, text=True, timeout=_HELPER_SECONDS, env=self._env, check=False
            )
        except FileNotFoundError:
            raise _helper_error(helper, "there is no such program on the PATH") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _helper_error(helper, str(error)) from error
        if done.returncode == 0:
            return done.stdout
        says = (done.stdout.strip() or done.stderr.strip()).partition("\n")[0]
        if "credentials not found" in says:
            return None
        raise _helper_error(helper, says or f"it ended with status {done.returncode}")


def _helper_error(helper: str, why: str) -> Error:
    says = f"docker-credential-{helper}, which keeps the logins of registries, cannot be asked: {why}"
    return Error("docker-config", says, remedy="Install it, or take credsStore and credHelpers out of Docker's config.json.")


def _mapping(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def domain_of(server: str) -> str:
    """What references call the registry that Docker's configuration calls so: `https://index.docker.io/v1/` is docker.io."""
    host = server.partition("://")[2].partition("/")[0] if "://" in server else server.partition("/")[0]
    return "docker.io" if host == "index.docker.io" else host
