"""Which runtime runs a container: the built-in one, or the program of another OCI runtime (`runtime: crun`).

`runc` is what Docker calls its default: the program of that name where it is installed, else the built-in runtime stands for it.
It must never take a program from a container or a project's folder: only the machine's PATH, or an absolute path.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import Any

from compose_lite.errors import EngineError

BUILT_IN = "compose-lite"
_OURS = ("", BUILT_IN, "io.containerd.runc.v2")
_KNOWN = ("runc", "crun", "youki", "runsc", "kata-runtime")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin")
_INITS = ("docker-init", "tini-static", "catatonit", "tini")


def program(name: str) -> str:
    """The path of its program, empty for the built-in one. EngineError in Docker's words when there is none."""
    if name in _OURS:
        return ""
    found = _find(name) if _NAME.fullmatch(name) else name if name.startswith("/") and os.access(name, os.X_OK) else None
    if found is None and name != "runc":
        raise EngineError(
            f"unknown or invalid runtime name: {name}",
            http_status=400,
            code="runtime-unknown",
            remedy=f"Install it ({name!r} is not on the PATH), give its absolute path, or leave `runtime` out.",
        )
    return found or ""


def check(host: Mapping[str, Any]) -> None:
    """At create: that what is wished for is there."""
    name = str(host.get("Runtime") or "")
    if program(name) and host.get("Init"):
        init_program(name)


def installed() -> dict[str, dict[str, str]]:
    """For GET /info: all that can be named."""
    found = {name: {"path": path} for name in _KNOWN if (path := _find(name))}
    return {BUILT_IN: {"path": BUILT_IN}} | found


def init_program(runtime: str) -> str:
    """A small pid 1 of the machine for `init: true` with another runtime; the built-in one needs none."""
    for name in _INITS:
        if found := _find(name):
            return found
    says = f"init with runtime {runtime} needs a program for it: none of {', '.join(_INITS)} is installed"
    raise EngineError(says, http_status=400, code="runtime-init", remedy="Debian: apt-get install tini; or leave `runtime` or `init` out.")


def _find(name: str) -> str | None:
    return shutil.which(name, path=":".join([os.environ.get("PATH", os.defpath), *_FOLDERS]))
