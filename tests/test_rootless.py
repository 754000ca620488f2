from __future__ import annotations

import os
from pathlib import Path

import pytest

from compose_lite import rootless
from compose_lite.disk import Folders


@pytest.fixture
def where(tmp_path: Path) -> Folders:
    (tmp_path / "run").mkdir()
    return Folders(run=tmp_path / "run", data=tmp_path / "data")


def test_a_living_process_of_an_earlier_family_is_found_again(where: Folders) -> None:
    rootless.note_namespaces(where, os.getpid())
    assert rootless.living_namespaces(where) == os.getpid()


def test_another_process_with_that_number_is_not_it(where: Folders) -> None:
    (where.run / "namespaces").write_text(f"{os.getpid()} 1")
    assert rootless.living_namespaces(where) == 0


def test_a_dead_process_that_nobody_reaps_holds_nothing(where: Folders) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        rootless.note_namespaces(where, pid)
        assert rootless.living_namespaces(where) == 0
    finally:
        os.waitpid(pid, 0)


def test_a_closed_uplink_is_no_error_and_another_program_is_left_alone(where: Folders) -> None:
    rootless.close_uplink(where)
    (where.run / "uplink.pid").write_text(str(os.getpid()))
    rootless.close_uplink(where)
    assert not (where.run / "uplink.pid").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1000:100000:65536\n", (100000, 65536)),
        ("someone:1:2\n# nothing\n", None),
        ("someone:1:2\n1000:5:x\n1000:7:8\n", (7, 8)),
        ("", None),
    ],
)
def test_subordinate_ids(tmp_path: Path, text: str, found: tuple[int, int] | None) -> None:
    (tmp_path / "subuid").write_text(text)
    assert rootless._subordinate(str(tmp_path / "subuid"), 1000) == found


def test_what_the_machine_cannot_give_is_told(where: Folders) -> None:
    assert rootless.limits(where) == []
    rootless._note_limit(where, "uplink", "containers have no way out")
    rootless._note_limit(where, "ids", "only one user id")
    rootless._note_limit(where, "ids", "")
    assert rootless.limits(where) == ["containers have no way out"]


@pytest.mark.parametrize(
    ("problem", "ours", "scope", "lingers", "told"),
    [
        ("", True, True, True, []),
        ("", True, True, False, ["containers end with your last login; `loginctl enable-linger` lets them stay"]),
        ("", False, False, False, []),  # no systemd, or version 1
        ("no bus", False, False, False, ["limits of containers cannot be kept: no bus"]),
        ("no bus", True, False, False, []),  # delegated by hand
    ],
)
def test_what_the_groups_cannot_give_is_told(
    where: Folders, monkeypatch: pytest.MonkeyPatch, problem: str, ours: bool, scope: bool, lingers: bool, told: list[str]
) -> None:
    (where.run / "limit-groups").write_text("of an earlier start")
    monkeypatch.setattr(rootless.cgroups, "are_ours", lambda: ours)
    monkeypatch.setattr(rootless.cgroups, "in_scope", lambda: scope)
    monkeypatch.setattr(rootless, "_lingers", lambda uid: lingers)
    rootless.note_groups(where, problem)
    assert rootless.limits(where) == told
    assert rootless.limits(where, ("ids", "uplink")) == []
