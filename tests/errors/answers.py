"""What the engine of the example tells, for the errors that commands make of it: code → answers (stub.py)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

from compose_lite import ids
from compose_lite.cli.commands import lint
from tests.errors.stub import RUNNING, WEB, Answers

_ID = WEB["Id"]
_LABELS = {ids.PROJECT: "shop", ids.SERVICE: "web", ids.NUMBER: "1", ids.ONEOFF: "False"}


def _stat(name: str, mode: int, link: str = "") -> dict[str, str]:
    found = {"name": name, "size": 1, "mode": mode, "mtime": "2024-01-01T00:00:00Z", "linkTarget": link}
    return {"X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(found).encode()).decode()}


_FAILED = {
    "says": 'process "/bin/sh -c make" did not complete successfully: exit code: 2',
    "code": "build-step",
    "step": "[2/2] RUN make",
    "output": ["make: *** No targets specified and no makefile found.  Stop."],
    "exit": 2,
}

ANSWERS: dict[str, Answers] = {
    "attach-elsewhere": {},
    "build-check": {},
    "build-context": {},
    "build-failed": {
        "GET /version": {"Version": "0.1.0", "Platform": {"Name": "compose-lite"}},
        "POST /compose-lite/v1/build": {"failed": _FAILED, "errorDetail": {"message": _FAILED["says"]}, "error": _FAILED["says"]},
    },
    "build-ssh": {},
    "copy-links": {**RUNNING, f"HEAD /containers/{_ID}/archive": (200, b"", _stat("loop", 0o777 | 1 << 27, "/loop"))},
    "copy-source": {**RUNNING, f"HEAD /containers/{_ID}/archive": (200, b"", _stat("etc", 0o755 | 1 << 31))},
    "copy-target": {**RUNNING, f"GET /containers/{_ID}/archive": (200, b"", _stat("hosts", 0o644))},
    "engine-foreign": {},
    "engine-protocol": {"GET /containers/json": (200, b"<html>Welcome</html>", {"Content-Type": "text/html"})},
    "export-terminal": RUNNING,
    "foreign-network": {"GET /networks": [{"Name": "back", "Id": "0", "Labels": {}}]},
    "image-missing": {"GET /images/nginx/json": (404, {"message": "No such image: nginx"})},
    "image-pull": {
        "GET /images/ngnix/json": (404, {"message": "No such image: ngnix"}),
        "POST /images/create": (404, {"message": "pull access denied for ngnix, repository does not exist or may require a login"}),
    },
    "model-failed": {},
    "models": {},
    "no-container": {},
    "no-port": RUNNING,
    "no-terminal": {},
    "not-running": {},
    "publish-file": {},
    "scale-container-name": {},
}


def _bad_fix() -> Any:
    """A defect of ours, which no file gives: the fix of a rule changes the project too."""
    put = lint._apply

    def apply(edits: Any, before: Any) -> None:
        put(edits, before)
        for file in before:
            Path(file).write_text(Path(file).read_text().replace("nginx:1.27", "nginx:1.28"))

    return mock.patch.object(lint, "_apply", apply)


FAKED: dict[str, Callable[[], AbstractContextManager[Any]]] = {"lint-fix": _bad_fix}
"""What the command cannot meet by itself."""
TERMINAL = frozenset({"export-terminal", "load-terminal", "save-terminal"})
"""Where stdin and stdout are a terminal."""
