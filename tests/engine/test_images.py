"""The documents of the image calls."""

from pathlib import Path

from compose_lite.engine import images
from compose_lite.image.image import Image

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
