from __future__ import annotations

import os

import pytest

from compose_lite.runtime import splitroot

TREE = {
    "/": [("bin", "->usr/bin"), ("kernel", "file"), *((name, "folder") for name in ("etc", "opt", "proc", "tmp", "usr"))],
    "/opt": [("data", "folder"), ("tools", "folder")],
}


def split(mounted: set[str], bare: set[str] = frozenset()) -> dict[str, str]:
    return dict(splitroot.pieces("/", bare, mounted, lambda folder: TREE.get(folder.rstrip("/") or "/", [])))


def test_folders_without_mounts_are_overlays_and_mount_points_stay_empty() -> None:
    assert split({"/", "/proc"}) == {
        "bin": "->usr/bin", "etc": "overlay", "kernel": "file", "opt": "overlay", "proc": "folder", "tmp": "overlay", "usr": "overlay",
    }  # fmt: skip


def test_a_folder_above_a_mount_point_is_split_again() -> None:
    found = split({"/", "/opt/data"})
    assert found["opt"] == "folder"
    assert (found["opt/data"], found["opt/tools"]) == ("folder", "overlay")


def test_covered_folders_are_not_looked_into() -> None:
    assert "opt/tools" not in split({"/opt/data"}, {"/opt"})


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_entries_leave_devices_and_sockets_out(tmp_path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "one").mkdir() if kind == "folder" else (tmp_path / "one").write_text("")
    assert list(splitroot.entries_of(str(tmp_path))) == [("link", "->elsewhere"), ("one", kind)]


def test_the_machine_s_mount_points() -> None:
    assert "/proc" in splitroot.mount_points()
