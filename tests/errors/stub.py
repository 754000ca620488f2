"""An engine of canned answers on a socket, for errors that a command makes of what an engine tells."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from compose_lite import ids

Answers = Mapping[str, Any]
"""`GET /images/nginx/json` → a document (status 200), or (status, document or bytes, headers)."""

WEB: dict[str, Any] = {
    "Id": "3f1c9a2b7d10" + "0" * 52,
    "Names": ["/shop-web-1"],
    "Image": "nginx",
    "ImageID": "sha256:" + "0" * 64,
    "State": "running",
    "Status": "Up 2 minutes",
    "Created": 1,
    "Labels": {ids.PROJECT: "shop", ids.SERVICE: "web", ids.NUMBER: "1", ids.ONEOFF: "False"},
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
    "Mounts": [],
    "NetworkSettings": {"Networks": {}},
}
LONG_WEB = {"Id": WEB["Id"], "Name": "/shop-web-1", "Image": WEB["ImageID"], "State": {"Status": "running", "Running": True},
            "Config": {"Image": "nginx", "Labels": WEB["Labels"]}, "HostConfig": {}, "Mounts": [],
            "NetworkSettings": {"Networks": {}, "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}}}  # fmt: skip
USUAL: Answers = {
    "GET /_ping": (200, b"OK", {"Api-Version": "1.51"}),
    "GET /version": {"Version": "28.5.2", "Platform": {"Name": "Docker Engine - Community"}},
    "GET /containers/json": [],
    "GET /images/json": [],
    "GET /networks": [],
    "GET /volumes": {"Volumes": []},
    "GET /images/nginx/json": {"Id": WEB["ImageID"], "RepoTags": ["nginx:latest"], "Config": {}},
}
RUNNING: Answers = {"GET /containers/json": [WEB], f"GET /containers/{WEB['Id']}/json": LONG_WEB}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/v1."):
            path = "/" + path.split("/", 2)[2]
        found = self.server.answers.get(f"{self.command} {path}", (404, {"message": "page not found"}))
        status, body, headers = (
            found if isinstance(found, tuple) and len(found) == 3 else (*found, {}) if isinstance(found, tuple) else (200, found, {})
        )
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)
        self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def address_string(self) -> str:
        return "stub"

    def log_message(self, *_: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    answers: Answers


@contextmanager
def answering(path: Path, answers: Answers) -> Iterator[None]:
    with _Server(str(path), _Handler) as server:
        server.answers = {**USUAL, **answers}
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
