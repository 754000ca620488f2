"""A registry of a test's own, on a port of its own: it keeps what it is sent, and may ask for a login."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from compose_lite.image import manifest
from compose_lite.logins import Login


class Registry(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads = 0
        self.login: Login | None = None
        self.status = 0  # what it answers to everything

    def blob(self, content: bytes, kind: str) -> dict[str, Any]:
        """Puts the content there; its descriptor."""
        digest = manifest.digest_of(content)
        self.blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def manifest(self, tag: str, value: dict[str, Any], kind: str) -> dict[str, Any]:
        """Puts a manifest there under its tag and digest; its descriptor."""
        content = json.dumps(value).encode()
        digest = manifest.digest_of(content)
        self.manifests[tag] = self.manifests[digest] = (kind, content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def stranger(self) -> bool:
        return bool(self.server.login and self.headers.get("Authorization") != self.server.login.header())

    def do_GET(self) -> None:
        found = re.search(r"/(blobs|manifests)/([^/]+)$", self.path)
        if self.server.status:
            self.answer(self.server.status)
        elif self.stranger:
            self.answer(401, WWW_Authenticate='Basic realm="test"')
        elif self.path == "/v2/":
            self.answer(200)
        elif found and found[1] == "blobs" and found[2] in self.server.blobs:
            self.answer(200, self.server.blobs[found[2]])
        elif found and found[2] in self.server.manifests:
            kind, content = self.server.manifests[found[2]]
            self.answer(200, content, Content_Type=kind)
        else:
            self.answer(404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.answer(401) if self.stranger else self.answer(202, Location=f"{self.path}1?state=x")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        place, _, query = self.path.partition("?")
        if "/manifests/" in place:
            self.server.manifests[place.rpartition("/")[2]] = (self.headers["Content-Type"], body)
        else:
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            assert query == f"state=x&digest={digest.replace(':', '%3A')}"
            self.server.blobs[digest] = body
            self.server.uploads += 1
        self.answer(201)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Registry]:
    made = Registry()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
