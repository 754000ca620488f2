"""The init layer: places for the engine's mounts, made once an image."""

import os
import stat
from pathlib import Path

import pytest

from compose_lite.engine import initlayer
from compose_lite.image.store import ImageStore

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounts an overlay")]

ALL = {".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "etc", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "data")


def layer(store: ImageStore, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "data/layers" / name / "diff"
    folder.mkdir(parents=True)
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_an_empty_image_lacks_all_of_them(store: ImageStore, tmp_path: Path) -> None:
    bottom = layer(store, tmp_path, "a")
    bottom.chmod(0o711)
    made = initlayer.over(store, [bottom], userxattr=False)
    assert names(made) == ALL | {"proc", "sys"}
    assert os.readlink(made / "etc/mtab") == "/proc/mounts"
    assert stat.S_IMODE(made.stat().st_mode) == 0o711
    assert made.parent == bottom.parent and sorted(os.listdir(tmp_path / "data/layers")) == ["a"]


def test_what_the_image_has_is_left_to_it(store: ImageStore, tmp_path: Path) -> None:
    bottom, top = layer(store, tmp_path, "a"), layer(store, tmp_path, "b")
    (bottom / "etc").mkdir()
    (bottom / "etc/hosts").write_text("its own")
    (top / "etc").mkdir(mode=0o750)
    os.chown(top / "etc", 5, 6)
    (top / "etc/resolv.conf").symlink_to("../run/resolv.conf")
    (top / "proc").mkdir()
    os.utime(top / "etc", (1000, 2000))
    made = initlayer.over(store, [bottom, top], userxattr=False)
    assert names(made) == ALL - {"etc/hosts", "etc/resolv.conf"} | {"sys"}
    found = (made / "etc").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o750, 5, 6, 2000)


def test_it_is_made_once_for_each_stack(store: ImageStore, tmp_path: Path) -> None:
    bottom, top, other = (layer(store, tmp_path, name) for name in "abc")
    made = initlayer.over(store, [bottom, top], userxattr=False)
    (made / "mark").touch()
    assert initlayer.over(store, [bottom, top], userxattr=False) == made and (made / "mark").exists()
    assert initlayer.over(store, [other, top], userxattr=False) != made


def test_a_folder_of_the_machine_gets_them_in_the_containers_own_layer(tmp_path: Path) -> None:
    for name in ("root", "upper", "work"):
        (tmp_path / name).mkdir()
    initlayer.within([str(tmp_path / "root")], tmp_path / "upper", tmp_path / "work", userxattr=False)
    assert names(tmp_path / "upper") > ALL


def test_an_image_without_layers_gets_the_mark_alone(tmp_path: Path) -> None:
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    initlayer.within([], tmp_path / "upper", tmp_path / "work", userxattr=False)
    assert names(tmp_path / "upper") == {".dockerenv"}


def test_many_layers(store: ImageStore, tmp_path: Path) -> None:
    """fsconfig(2) takes words of 255 bytes."""
    layers = [layer(store, tmp_path, f"{number:024}") for number in range(30)]
    assert names(initlayer.over(store, layers, userxattr=False)) == ALL | {"proc", "sys"}
