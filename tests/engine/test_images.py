"""The documents of the image calls."""

from pathlib import Path

import pytest

from compose_lite import reference
from compose_lite.engine import images
from compose_lite.errors import EngineError, ImageError
from compose_lite.image.image import Image
from compose_lite.image.store import ImageStore

IMAGE = Image(
    "sha256:" + "a" * 64,
    {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": ["A=1"], "Cmd": ["sh"], "Labels": {"a": "b"}},
    },
    (Path("/l/1/diff"),),
    ("sha256:" + "b" * 64,),
    (7,),
    ("me/app:1",),
)


def test_inspect_has_dockers_fields():
    found = images.inspect_document(IMAGE)
    assert found["Config"] | {"Entrypoint": None, "Volumes": None, "User": "", "WorkingDir": "", "OnBuild": None} == found["Config"]
    assert (found["Config"]["Cmd"], found["Size"], found["RootFS"]["Layers"]) == (["sh"], 7, ["sha256:" + "b" * 64])


def test_filters():
    def chosen(**filters):
        return len(images._chosen([IMAGE], filters, lambda name: IMAGE))

    assert chosen(reference=["me/*"]) == chosen(reference=["me/app:1"]) == chosen(label=["a=b"]) == chosen(dangling=["false"]) == 1
    assert chosen(reference=["app"]) == chosen(label=["a=c"]) == chosen(dangling=["true"]) == 0
    assert images.summary(IMAGE)["Created"] == 1704067200


def test_an_image_for_another_platform_is_not_found(tmp_path):
    store = ImageStore(tmp_path)
    layer = {"rootfs": {"type": "layers", "diff_ids": []}, "os": "linux", "architecture": "amd64"}
    store.commit(layer, refs=[reference.parse_tagged("me/app:1")])
    room = images.Images(store)
    room.check_platform("me/app:1", "linux/amd64")
    room.check_platform("nobody", "linux/arm64")
    with pytest.raises(EngineError, match="does not match the specified platform") as caught:
        room.check_platform("me/app:1", "linux/arm64")
    assert caught.value.http_status == 404


def test_a_missing_image_is_named_with_the_tag_that_was_looked_for(tmp_path):
    room = images.Images(ImageStore(tmp_path))
    for name, says in (("nope", "nope:latest"), ("nope:1", "nope:1"), ("host:5000/nope", "host:5000/nope:latest")):
        with pytest.raises(ImageError, match=f"^No such image: {says}"):
            room._require(name)
