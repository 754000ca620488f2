"""What a registry tells of a name without sending the image: digest, size, platforms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite import reference
from compose_lite.errors import ImageError
from compose_lite.image import manifest, registry
from compose_lite.image.store import ImageStore
from compose_lite.logins import Login
from tests.image.served import Registry, serving


@pytest.fixture
def server() -> Iterator[Registry]:
    with serving() as made:
        yield made


def image(server: Registry, tag: str, **config: str) -> dict[str, object]:
    """Pushes an image of no layers for a platform; its descriptor."""
    raw = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    value = {"schemaVersion": 2, "mediaType": manifest.OCI_MANIFEST, "config": server.blob(raw, manifest.OCI_CONFIG), "layers": []}
    return server.manifest(tag, value, manifest.OCI_MANIFEST)


def test_an_image_is_of_the_platform_of_its_configuration(server: Registry) -> None:
    pushed = image(server, "1", os="linux", architecture="arm64", variant="v8", author="me")
    found = registry.describe(reference.parse(f"{server.name}/a/b:1"))
    assert found.descriptor.document() == pushed
    assert found.platforms == ({"architecture": "arm64", "os": "linux", "variant": "v8"},)
    assert registry.describe(reference.parse(f"{server.name}/a/b@{pushed['digest']}")) == found


def test_an_index_is_described_itself_with_all_its_platforms(server: Registry) -> None:
    platforms = [{"os": "linux", "architecture": "amd64"}, {"os": "windows", "architecture": "amd64", "os.version": "10.0"}]
    entries = [{**image(server, str(n), os=p["os"], architecture="amd64"), "platform": p} for n, p in enumerate(platforms)]
    index = server.manifest("latest", {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": entries}, manifest.OCI_INDEX)
    found = registry.describe(reference.parse(f"{server.name}/a/b"))
    assert found.descriptor.document() == index and found.platforms == tuple(platforms)


def test_what_is_no_image_has_no_platform(server: Registry) -> None:
    config = server.blob(b"{}", "application/vnd.oci.empty.v1+json")
    server.manifest("1", {"schemaVersion": 2, "config": config, "layers": []}, manifest.OCI_MANIFEST)
    found = registry.describe(reference.parse(f"{server.name}/a/b:1"))
    assert found.platforms == () and found.descriptor.media_type == manifest.OCI_MANIFEST


def test_a_login_is_used_and_its_lack_is_told(server: Registry) -> None:
    image(server, "1", os="linux", architecture="amd64")
    server.login = Login("me", "secret")
    name = reference.parse(f"{server.name}/a/b:1")
    assert registry.describe(name, login=server.login).descriptor.size > 0
    with pytest.raises(ImageError) as caught:
        registry.describe(name, login=Login("me", "wrong"))
    assert caught.value.code == "registry-denied"
    with pytest.raises(ImageError) as caught:
        registry.describe(reference.parse(f"{server.name}/a/b:2"), login=server.login)
    assert caught.value.code == "image-not-found"


@pytest.mark.parametrize("layer", [b"\x1f\x8b\x08\x00" + b"\xff" * 100, b"BZh9" + b"\xff" * 50, b"\xfd7zXZ\x00" + b"\xff" * 50])
def test_a_layer_that_cannot_be_decompressed_is_said_to_be(server: Registry, tmp_path: Path, layer: bytes) -> None:
    """Each library has errors of its own; isal's is none of zlib's."""
    config = {"os": "linux", "architecture": manifest.host_platform().architecture}
    raw = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()
    parts = {"config": server.blob(raw, manifest.OCI_CONFIG), "layers": [server.blob(layer, manifest.OCI_LAYER + "+gzip")]}
    server.manifest("1", {"schemaVersion": 2, **parts}, manifest.OCI_MANIFEST)
    with pytest.raises(ImageError) as caught:
        registry.pull(ImageStore(tmp_path), reference.parse(f"{server.name}/a/b:1"), progress=lambda *_: None)
    assert caught.value.code == "layer-broken"
