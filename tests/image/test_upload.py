"""Pushing to a registry that only keeps what it is sent, and pulling it back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite import reference
from compose_lite.image import artifact, artifactpush, manifest, registry, upload
from compose_lite.image.store import ImageStore
from tests.image.served import Registry, serving


@pytest.fixture
def server() -> Iterator[Registry]:
    with serving() as made:
        yield made


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


def test_a_published_application_brings_its_images_along(server: Registry) -> None:
    """An index names them, with the artifact as its subject."""
    config, layer = server.blob(b"{}", manifest.OCI_CONFIG), server.blob(b"layer", manifest.OCI_LAYER)
    one = {"schemaVersion": 2, "mediaType": manifest.OCI_MANIFEST, "config": config, "layers": [layer]}
    image = server.manifest("v1", one, manifest.OCI_MANIFEST)
    both = server.manifest("v2", {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": [image]}, manifest.OCI_INDEX)
    with serving() as other:
        digest = artifactpush.push(f"{other.name}/me/app:1", [], "1.1", [f"{server.name}/me/x:v2"])
        assert other.manifests[image["digest"]] == server.manifests[image["digest"]]
        assert set(other.blobs) >= {config["digest"], layer["digest"]}
        found = [json.loads(content) for kind, content in other.manifests.values() if kind == manifest.OCI_INDEX]
        assert [(one["manifests"], one["subject"]["digest"]) for one in found if "subject" in one] == [([both], digest)]
