"""The store: names, ids, removal with Docker's refusals, archives in and out, leftovers."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from compose_lite.errors import ImageError
from compose_lite.image import archive
from compose_lite.image.removal import Deleted, Untagged, Use
from compose_lite.image.store import ImageStore


def docker_archive(name: str | None, *files: str, env: str = "A=1") -> io.BytesIO:
    """An archive as `docker save` writes it, one layer a file."""
    import hashlib

    tars = []
    for file in files:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as out:
            info = tarfile.TarInfo(file)
            info.size = len(file)
            out.addfile(info, io.BytesIO(file.encode()))
        tars.append(layer.getvalue())
    ids = [hashlib.sha256(content).hexdigest() for content in tars]
    config = json.dumps(
        {
            "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z", "config": {"Env": [env]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + i for i in ids]},
            "history": [*({"created_by": f"add {f}"} for f in files), {"created_by": "ENV", "empty_layer": True}],
        }
    ).encode()  # fmt: skip
    out = io.BytesIO()
    manifest = [{"Config": "c.json", "RepoTags": [name] if name else None, "Layers": [f"{i}/layer.tar" for i in ids]}]
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in [
            *zip((f"{i}/layer.tar" for i in ids), tars, strict=True),
            ("c.json", config),
            ("manifest.json", json.dumps(manifest).encode()),
        ]:
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "data")


def test_load_and_look_up(store: ImageStore):
    (image,) = archive.load(store, docker_archive("me/app:1", "one", "two"))
    for text in ("me/app:1", "docker.io/me/app:1", image.id, image.id[7:], image.id[7:19]):
        assert store.get(text) == image
    assert store.get("me/app") is None and store.get("ffff") is None
    assert image.tags == ("me/app:1",) and image.size == 6 and [p.name for p in image.layers] == ["diff", "diff"]
    assert (image.layers[1] / "two").read_text() == "two"
    rows = store.history("me/app:1")
    assert [(r["CreatedBy"], r["Size"]) for r in rows] == [("ENV", 0), ("add two", 3), ("add one", 3)]
    assert rows[0]["Id"] == image.id and rows[1]["Id"] == "<missing>"


def test_saved_archives_load_again(store: ImageStore, tmp_path: Path):
    (image,) = archive.load(store, docker_archive("a", "one", "two"))
    out = io.BytesIO()
    archive.save(store, ["a"], out.write)
    other = ImageStore(tmp_path / "other")
    assert archive.load(other, io.BytesIO(out.getvalue()))[0].id == image.id
    names = tarfile.open(fileobj=io.BytesIO(out.getvalue())).getnames()
    assert "index.json" in names and "oci-layout" in names


def test_layers_are_shared_and_collected_last(store: ImageStore):
    archive.load(store, docker_archive("a", "one"))
    archive.load(store, docker_archive("b", "one", "two", env="B=1"))
    assert len(list(store.data.glob("layers/*"))) == 2
    gone = store.remove("b")
    assert gone[0] == Untagged("b:latest") and isinstance(gone[1], Deleted) and len(gone) == 3
    assert (store.require("a").layers[0] / "one").exists()
    store.remove("a")
    assert not list(store.data.glob("layers/*")) and not list(store.data.glob("blobs/sha256/*"))


def test_nothing_is_collected_while_somebody_builds(store: ImageStore):
    archive.load(store, docker_archive("a", "one"))
    with ImageStore(store.data).using_layers():
        store.remove("a")
        assert list(store.data.glob("layers/*"))
    assert len(store.collect()) == 1 and not list(store.data.glob("layers/*"))


def test_names_move_and_images_without_names_stay(store: ImageStore):
    (first,) = archive.load(store, docker_archive("a", "one"))
    (second,) = archive.load(store, docker_archive("a", "two"))
    assert store.require("a").id == second.id and store.require(first.id).tags == ()
    store.tag(first.id, "b:2")
    assert store.require("b:2").id == first.id
    assert store.remove("b:2")[-1] == Deleted(first.diff_ids[0])


def test_refusals(store: ImageStore):
    (image,) = archive.load(store, docker_archive("a", "one"))
    stopped, running = {image.id: [Use("c" * 64, False)]}, {image.id: [Use("c" * 64, True)]}
    for name, uses, words in (("a", stopped, "must force"), (image.id, stopped, "must be forced"), (image.id, running, "cannot be forced")):
        with pytest.raises(ImageError, match=words):
            store.remove(name, in_use=uses)
    store.tag("a", "b")
    with pytest.raises(ImageError, match="multiple repositories"):
        store.remove(image.id)
    assert store.remove("b") == [Untagged("b:latest")]
    assert store.remove("a", force=True, in_use=running) == [Untagged("a:latest")] and store.get(image.id)
    with pytest.raises(ImageError, match="No such image: zzz"):
        store.remove("zzz")


def test_prune(store: ImageStore):
    archive.load(store, docker_archive("a", "one"))
    (kept,) = archive.load(store, docker_archive("a", "two"))
    gone, freed = store.prune()
    assert len(gone) == 2 and freed == 3 and [i.id for i in store.all()] == [kept.id]
    gone, _ = store.prune(everything=True)
    assert Untagged("a:latest") in gone and not store.all()


def test_damage_is_found(store: ImageStore):
    damaged = docker_archive("a", "one").getvalue().replace(b"one\0\0", b"eno\0\0", 1)
    with pytest.raises(ImageError):
        archive.load(store, io.BytesIO(damaged))
    with pytest.raises(ImageError, match="neither"):
        archive.load(store, io.BytesIO(bytes(10240)))
    assert not store.all() and not list(store.data.glob("layers/*")) and not list(store.data.glob("blobs/sha256/*"))


def test_rootfs(store: ImageStore, tmp_path: Path):
    image = store.require(f"rootfs:{tmp_path}")
    assert image.layers == (tmp_path,) and image.rootfs == str(tmp_path) and image.run_config["Env"]
    assert store.get("rootfs:/no/such/folder") is None
