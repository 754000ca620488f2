"""Names: what Docker completes and shortens, and what it refuses."""

import pytest

from compose_lite import reference
from compose_lite.errors import ImageError


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("me/app:1", "docker.io/me/app:1", "me/app:1"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("reg:5000/a/b:x-1", "reg:5000/a/b:x-1", "reg:5000/a/b:x-1"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"),
        ("a@sha256:" + "0" * 64, "docker.io/library/a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
        ("a:1@sha256:" + "0" * 64, "docker.io/library/a:1@sha256:" + "0" * 64, "a:1@sha256:" + "0" * 64),
    ],
)
def test_completed_and_shortened(text, full, familiar):
    ref = reference.parse_tagged(text)
    assert (str(ref), ref.familiar) == (full, familiar)
    assert reference.parse_tagged(ref.familiar) == ref


@pytest.mark.parametrize("text", ["", "A", "a:", ":a", "a:b:c", "a//b", "a@sha256:12", "-a", "a b", "f" * 64, "a/:b", "a_-b"])
def test_refused(text):
    with pytest.raises(ImageError, match="invalid reference format"):
        reference.parse(text)
