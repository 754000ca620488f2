"""`cp`: what its paths mean, and that nothing that comes out of a container leaves its target folder."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import anyio
import pytest

from compose_lite.cli.commands import cp
from compose_lite.cli.context import Context, Globals
from compose_lite.cli.copying import Target, _pack, _unpack, split_path, target_of
from compose_lite.errors import Error, UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web:/x", ("web", "/x")),
        ("web:x", ("web", "x")),
        ("/a:b", ("", "/a:b")),
        ("./a:b", ("", "./a:b")),
        ("d/a:b", ("", "d/a:b")),
        ("-", ("", "-")),
    ],
)
def test_split_path(text: str, found: tuple[str, str]) -> None:
    assert split_path(text) == found


@pytest.mark.parametrize(
    ("path", "source", "folder", "exists", "is_folder", "found"),
    [
        ("/tmp", "a/f", False, True, True, Target("/tmp", "f")),
        ("/tmp/g", "a/f", False, False, False, Target("/tmp", "g")),
        ("/tmp/g", "a/f", False, True, False, Target("/tmp", "g")),
        ("/tmp", "d", True, True, True, Target("/tmp", "d")),
        ("/tmp", "d/.", True, True, True, Target("/tmp", "")),
        ("/tmp/new", "d/.", True, False, False, Target("/tmp", "new")),
        ("new/", "d", True, False, False, Target(".", "new")),
    ],
)
def test_targets(path: str, source: str, folder: bool, exists: bool, is_folder: bool, found: Target) -> None:
    assert target_of(path, source, folder=folder, exists=exists, is_folder=is_folder) == found


def test_targets_that_cannot_be() -> None:
    with pytest.raises(Error, match="cannot copy directory"):
        target_of("/f", "d", folder=True, exists=True, is_folder=False)
    with pytest.raises(Error, match="no such directory"):
        target_of("/none/", "f", folder=False, exists=False, is_folder=False)


def unpacked(content: bytes, where: Target) -> None:
    reader, writer = os.pipe()
    with open(writer, "wb") as out:
        out.write(content)
    _unpack(reader, where, False)


def archive(*entries: tuple[str, str, bytes]) -> bytes:
    """(name, link, content) each; a name that ends in / is a folder."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, link, content in entries:
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.SYMTYPE if link else tarfile.REGTYPE
            entry.mode, entry.linkname, entry.size = 0o755 if name.endswith("/") else 0o640, link, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def test_out_and_in_again(tmp_path: Path) -> None:
    source = tmp_path / "d"
    (source / "sub").mkdir(parents=True)
    (source / "sub/f").write_text("deep")
    (source / "l").symlink_to("sub/f")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        _pack(tar, str(source), "x")
    unpacked(made.getvalue(), Target(str(tmp_path), "copy"))
    assert (tmp_path / "copy/sub/f").read_text() == "deep" and os.readlink(tmp_path / "copy/l") == "sub/f"


def test_contents_go_into_the_folder(tmp_path: Path) -> None:
    unpacked(archive(("d/", "", b""), ("d/f", "", b"1")), Target(str(tmp_path), ""))
    assert (tmp_path / "f").read_bytes() == b"1" and (tmp_path / "f").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["", "new"])
def test_contents_alone_as_an_engine_sends_them(name: str, tmp_path: Path) -> None:
    content = archive(("./", "", b""), ("./f", "", b"1"), ("./sub/", "", b""), ("./sub/g", "", b"2"))
    unpacked(content, Target(str(tmp_path), name))
    assert (tmp_path / name / "f").read_bytes() == b"1" and (tmp_path / name / "sub/g").read_bytes() == b"2"


@pytest.mark.parametrize("name", ["d/../../evil", "d/link/evil", "d//../../../evil"])
def test_nothing_leaves_the_target(tmp_path: Path, name: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    content = archive(("d/", "", b""), ("d/link", str(outside), b""), (name, "", b"x"))
    try:
        unpacked(content, Target(str(inside), "d"))
    except Error as error:
        assert "link" in str(error) or "Not a directory" in str(error)
    assert not list(outside.iterdir()) and not (tmp_path / "evil").exists()


@pytest.mark.parametrize(("source", "target"), [("f", "web:"), ("web:", ".")])
def test_a_container_without_a_path_is_no_place(source: str, target: str) -> None:
    """Nothing is asked of an engine before."""
    with pytest.raises(UsageError, match="web:: no such directory"):
        anyio.run(cp.run, Context(Globals(), {}), source, target, False, False, False, 0)
