"""`cp` from a container: what a path with a symbolic link in it means, and that none leads out of the root."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compose_lite.engine.archive import describe, pack
from compose_lite.errors import EngineError

CONTAINER: Any = SimpleNamespace(running=False, mounts=[], name="web")


@pytest.fixture
def root(tmp_path: Path) -> Any:
    """A root with /tmp/d/x and links to it: absolute, relative, and out of it."""
    (tmp_path / "root/tmp/d").mkdir(parents=True)
    (tmp_path / "root/tmp/d/x").write_text("x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("s")
    for name, target in (("absolute", "/tmp/d"), ("relative", "d"), ("out", "../../outside"), ("away", str(tmp_path / "outside"))):
        (tmp_path / "root/tmp" / name).symlink_to(target)
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def names(root: int, path: str) -> list[str]:
    out = io.BytesIO()
    pack(CONTAINER, root, path, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        return sorted(archive.getnames())


@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_a_slash_at_the_end_follows_a_link(root: int, link: str) -> None:
    assert describe(CONTAINER, root, f"/tmp/{link}/", "web")["mode"] & 1 << 31
    assert names(root, f"/tmp/{link}/") == [link, f"{link}/x"]
    assert names(root, f"/tmp/{link}/.") == [".", "./x"]
    assert describe(CONTAINER, root, f"/tmp/{link}", "web")["linkTarget"] == "/tmp/d"
    assert names(root, f"/tmp/{link}") == [link]


@pytest.mark.parametrize("link", ["out", "away"])
def test_no_link_leads_out_of_the_root(root: int, link: str) -> None:
    for path in (f"/tmp/{link}/", f"/tmp/{link}/."):
        with pytest.raises(EngineError, match="Could not find the file"):
            describe(CONTAINER, root, path, "web")


def test_what_is_not_there_is_told_by_the_name_that_was_used(root: int) -> None:
    with pytest.raises(EngineError, match="Could not find the file /nope in container 0123"):
        describe(CONTAINER, root, "/nope", "0123")
    with pytest.raises(EngineError, match="Could not find the file /tmp/d/nope/ in container 0123"):
        describe(CONTAINER, root, "/tmp/d/nope/", "0123")
