"""Pushing to a registry that only keeps what it is sent, and pulling it back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from compose_lite.image import artifact, artifactpush, manifest, reference, registry, upload
from compose_lite.image.store import ImageStore


class Registry(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads = 0


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

    def do_GET(self) -> None:
        found = re.search(r"/(blobs|manifests)/([^/]+)$", self.path)
        if self.path == "/v2/":
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
        self.answer(202, Location=f"{self.path}1?state=x")

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


@pytest.fixture
def server() -> Iterator[Registry]:
    made = Registry()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_pushed_and_pulled_back(server: Registry, tmp_path: Path):
    store, folder = ImageStore(tmp_path / "one"), tmp_path / "folder"
    folder.mkdir()
    (folder / "built").write_text("built here")
    built = store.commit_folder(folder)
    rootfs = {"type": "layers", "diff_ids": [built.diff_id]}
    config = {"architecture": manifest.host_platform().architecture, "os": "linux", "config": {}, "rootfs": rootfs}
    name = reference.parse(f"127.0.0.1:{server.server_port}/a/b:1")
    image = store.commit(config, refs=[name])
    told: list[str] = []
    pushed = upload.push(store, name, progress=lambda layer, status, done, total: told.append(status))
    kind, content = server.manifests["1"]
    assert kind == manifest.DOCKER_MANIFEST and pushed.digest == manifest.digest_of(content) and "Pushed" in told
    assert json.loads(content)["layers"][0]["mediaType"].endswith("tar.gzip")

    before = server.uploads
    upload.push(store, name, progress=lambda *row: told.append(row[1]))
    assert server.uploads == before and told[-1] == "Layer already exists"

    other = ImageStore(tmp_path / "two")
    got, digest = registry.pull(other, name, progress=lambda *row: None)
    assert got.id == image.id and digest == pushed.digest


@pytest.mark.parametrize("version", ["", "1.0", "1.1"])
def test_a_project_is_published_and_read_back(server: Registry, tmp_path: Path, version: str) -> None:
    notes = {"com.docker.compose.file": "compose.yaml"}
    layer = {"mediaType": artifact.FILES[0], "annotations": notes, "data": base64.b64encode(b"services: {}\n").decode()}
    name = f"127.0.0.1:{server.server_port}/me/app:1"
    digest = artifactpush.push(name, [layer], version)
    assert artifact.bring(name, tmp_path) == digest.removeprefix("sha256:")
    assert (tmp_path / digest[7:] / "compose.yaml").read_bytes() == b"services: {}\n"
    kind = json.loads(server.manifests["1"][1]).get("artifactType")
    assert kind == (None if version == "1.0" else artifactpush.PROJECT)
