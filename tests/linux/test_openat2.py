"""Paths inside a root: what is made stays there, whatever links stand in the way."""

import os
from pathlib import Path

import pytest

from compose_lite.linux import openat2


@pytest.fixture
def root(tmp_path: Path):
    (tmp_path / "root").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield tmp_path / "root", fd
    os.close(fd)


def made(root: tuple[Path, int], path: str) -> tuple[str, list[str]]:
    told: list[str] = []
    fd = openat2.make_folders(root[1], path, made=lambda _, name: told.append(name))
    try:
        return os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root[0]), told
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "real", "told"),
    [
        ("/there", "there", []),
        ("/there/last", "there/last", ["last"]),
        ("/a/b/c", "a/b/c", ["a", "b", "c"]),
        ("a/b/", "a/b", ["a", "b"]),
        ("/link/x", "there/x", ["x"]),
        ("/dangling", "gone", ["gone"]),
        ("/dangling/x", "gone/x", ["gone", "x"]),
        ("/out/x", "etc/x", ["etc", "x"]),
        ("/there/../../up", "up", ["up"]),
        ("", ".", []),
    ],
)
def test_folders_are_made_inside(root, path: str, real: str, told: list[str]) -> None:
    (root[0] / "there").mkdir()
    (root[0] / "link").symlink_to("/there")
    (root[0] / "dangling").symlink_to("gone")
    (root[0] / "out").symlink_to("../../etc")
    assert made(root, path) == (real, told)


def test_a_file_in_the_way(root) -> None:
    (root[0] / "file").touch()
    with pytest.raises(NotADirectoryError):
        openat2.make_folders(root[1], "/file/x")
    with pytest.raises(NotADirectoryError):
        openat2.make_folders(root[1], "/file")


def test_a_file_is_made_with_its_folders(root) -> None:
    os.close(openat2.make_file(root[1], "/etc/conf/name"))
    assert (root[0] / "etc/conf/name").read_bytes() == b""
