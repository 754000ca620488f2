"""Asks a Docker Engine API what each command does to a container in each state that one can bring about.

`python -m tests.engine.lifecycle_pairs SOCKET IMAGE` prints `state command status state-after message` a line; what Docker
answered is kept in lifecycle.txt. IMAGE has sleep and sh.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

STATES = ("created", "running", "paused", "restarting", "exited")
COMMANDS = {
    "start": ("POST", "/start", None),
    "stop": ("POST", "/stop?t=0", None),
    "kill": ("POST", "/kill", None),
    "signal": ("POST", "/kill?signal=WINCH", None),
    "restart": ("POST", "/restart?t=0", None),
    "pause": ("POST", "/pause", None),
    "unpause": ("POST", "/unpause", None),
    "exec": ("POST", "/exec", {"Cmd": ["true"]}),
    "look": ("GET", "/top", None),
    "update": ("POST", "/update", {"Memory": 64 << 20, "MemorySwap": 64 << 20}),
    "remove": ("DELETE", "", None),
    "remove-forced": ("DELETE", "?force=1", None),
}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(path: str, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    connection = _Connection(path)
    try:
        text = json.dumps(body) if body is not None else None
        connection.request(method, f"/v1.47/containers{target}", text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else {}
    finally:
        connection.close()


def pairs(path: str, image: str) -> Iterator[str]:
    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(lambda pair: _one(path, image, *pair), product(STATES, COMMANDS))


def _one(path: str, image: str, state: str, command: str) -> str:
    argv = ["sh", "-c", "exit 3"] if state == "restarting" else ["sleep", "1000"]
    policy = {"Name": "always"} if state == "restarting" else {}
    _, made = ask(path, "POST", "/create", {"Image": image, "Cmd": argv, "HostConfig": {"RestartPolicy": policy}})
    id = made["Id"]
    try:
        name = _bring(path, id, state)
        method, target, body = COMMANDS[command]
        status, answer = ask(path, method, f"/{id}{target}", body)
        after, found = ask(path, "GET", f"/{id}/json")
        became = found["State"]["Status"] if after == 200 else "gone"
        says = answer.get("message", "") if isinstance(answer, dict) else ""
        return f"{state} {command} {status} {became} {says.replace(id, 'ID').replace(name, 'NAME')}".rstrip()
    finally:
        ask(path, "DELETE", f"/{id}?force=1")


def _bring(path: str, id: str, state: str) -> str:
    """Into the state; its name."""
    if state != "created":
        ask(path, "POST", f"/{id}/start")
    if state in ("paused", "exited"):
        ask(path, "POST", f"/{id}/pause" if state == "paused" else f"/{id}/kill")
    until = time.monotonic() + 30
    before = None
    while time.monotonic() < until:
        _, found = ask(path, "GET", f"/{id}/json")
        # after some starts the next wait is long enough for a command to come in between; a start may be going on
        if found["State"]["Status"] == state and (state != "restarting" or (found["RestartCount"] >= 4 and found["State"] == before)):
            return str(found["Name"].lstrip("/"))
        before = found["State"]
        time.sleep(0.2)
    raise TimeoutError(f"{id} does not become {state}")


if __name__ == "__main__":
    print("\n".join(pairs(sys.argv[1], sys.argv[2])))
