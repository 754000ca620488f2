from __future__ import annotations

from pathlib import Path

import pytest

from compose_lite import subordinate
from compose_lite.errors import Error
from compose_lite.subordinate import SETTING, Remapping, ranges_of, remapping

TWO = Remapping(((1000, 10), (5000, 100)), ((2000, 110),))


@pytest.mark.parametrize(("inside", "outside"), [((0, 0), (1000, 2000)), ((9, 9), (1009, 2009)), ((10, 10), (5000, 2010))])
def test_ids_go_both_ways(inside: tuple[int, int], outside: tuple[int, int]) -> None:
    assert TWO.outside(*inside) == outside
    assert TWO.inside(*outside) == inside


def test_ids_beyond_the_ranges() -> None:
    with pytest.raises(ValueError, match="110"):
        TWO.outside(110, 0)
    assert TWO.inside(0, 0) == (65534, 65534)


def test_ranges_follow_each_other_inside() -> None:
    assert TWO.mappings()[0] == [
        {"containerID": 0, "hostID": 1000, "size": 10},
        {"containerID": 10, "hostID": 5000, "size": 100},
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("root:100000:65536\n", ((100000, 65536),)),
        ("0:5:6\nroot:7:8\n", ((5, 6), (7, 8))),
        ("rooty:1:2\n# nothing\nroot:5:x\n", ()),
        ("", ()),
    ],
)
def test_ranges_of_a_user(text: str, found: tuple[tuple[int, int], ...]) -> None:
    assert ranges_of(text, ["root", "0"]) == found


@pytest.mark.parametrize("value", [None, "", "root", "0"])
def test_nothing_is_mapped(value: str | None) -> None:
    assert remapping({} if value is None else {SETTING: value}, root=False) is None


def test_a_range(tmp_path: Path) -> None:
    assert remapping({SETTING: "165536-231071"}, root=True, folder=tmp_path) == Remapping(((165536, 65536),), ((165536, 65536),))


@pytest.mark.parametrize("value", ["daemon", "1", "daemon:daemon", "daemon:1"])
def test_a_user_of_the_machine(tmp_path: Path, value: str) -> None:
    (tmp_path / "subuid").write_text("daemon:100:10\n")
    (tmp_path / "subgid").write_text("1:200:10\n")
    assert remapping({SETTING: value}, root=True, folder=tmp_path) == Remapping(((100, 10),), ((200, 10),))


def test_default_is_dockers_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subordinate, "_user", lambda name: [name, "77"])
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("dockremap:100:10\n")
    found = remapping({SETTING: "default"}, root=True, folder=tmp_path)
    assert found is not None
    assert found.outside(0, 0) == (100, 100)


@pytest.mark.parametrize(
    ("value", "root", "says"),
    [
        ("default", False, "ordinary user"),
        ("nobody-of-that-name", True, "no user nobody-of-that-name"),
        ("daemon:no-such-group", True, "no group no-such-group"),
        ("daemon", True, "has no range for daemon"),
        ("9-5", True, "no range"),
        ("0-65535", True, "no range"),
    ],
)
def test_what_cannot_be(tmp_path: Path, value: str, root: bool, says: str) -> None:
    with pytest.raises(Error, match=says):
        remapping({SETTING: value}, root=root, folder=tmp_path)
