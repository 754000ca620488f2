"""The scope that systemd gives: its name, what is asked for, and what happens when it is there already. systemd is a thread here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose_lite import delegation
from compose_lite.disk import Folders, folders
from compose_lite.linux import cgroups, dbus
from tests.linux.dbuspeer import Peer

JOB = "/org/freedesktop/systemd1/job/7"
EXISTS = ("error", "org.freedesktop.systemd1.UnitExists", ["it is there"])
REFUSED = ("error", "org.freedesktop.systemd1.NoSuchUnit", ["it has just gone"])


def test_each_run_folder_has_a_scope_of_its_own() -> None:
    environ = {"HOME": "/h", "XDG_RUNTIME_DIR": "/"}
    usual = folders(environ, 1000)
    other = Folders(Path("/tmp/x"), usual.data)
    names = [delegation.scope_name(where, {**environ, "COMPOSE_LITE_RUN_DIR": str(where.run)}, 1000) for where in (usual, other)]
    assert names[0] == "compose-lite.scope"
    assert names[1].startswith("compose-lite-") and all(cgroups._is_scope_of_ours(name) for name in names)


class Systemd:
    """How it answers StartTransientUnit and AttachProcessesToUnit, one answer after the other; the result of the job."""

    def __init__(self, path: Path, starts: list[Any], attaches: list[Any] = (), result: str = "done") -> None:  # type: ignore[assignment]
        self.starts, self.attaches, self.result = list(starts), list(attaches), result
        self.peer = Peer(path, self.answer)

    def answer(self, member: str, body: list[Any]) -> Any:
        if member == "StartTransientUnit":
            said = self.starts.pop(0)
            if said is None:
                self.peer.signals = [("JobRemoved", "uoss", [6, "/another", "x.scope", "failed"])]
                self.peer.signals.append(("JobRemoved", "uoss", [7, JOB, body[0], self.result]))
                return "o", "", [JOB]
            return said
        return self.attaches.pop(0) if member == "AttachProcessesToUnit" and self.attaches and self.attaches[0] else ("", "", [])

    def enter(self, *, peer: bool) -> list[str]:
        with self.peer, dbus.Connection(self.peer.path, peer=peer, seconds=5) as systemd:
            delegation._enter(systemd, "compose-lite.scope", 4711, peer=peer)
        return [member for member, _ in self.peer.asked]


@pytest.mark.parametrize("peer", [True, False])
def test_a_scope_is_started_with_this_process_in_it(tmp_path: Path, peer: bool) -> None:
    systemd = Systemd(tmp_path / "bus", [None])
    assert systemd.enter(peer=peer) == [*([] if peer else ["Hello", "AddMatch"]), "Subscribe", "StartTransientUnit"]
    name, mode, wished, more = systemd.peer.asked[-1][1]
    assert (name, mode, more) == ("compose-lite.scope", "fail", [])
    found = dict(wished)
    assert found["PIDs"] == ("au", [4711]) and found["Delegate"] == ("b", True) and found["Before"] == ("as", ["compose-lite.service"])


def test_a_scope_with_containers_is_joined(tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / "bus", [EXISTS])
    assert systemd.enter(peer=True)[1:] == ["StartTransientUnit", "AttachProcessesToUnit"]
    assert systemd.peer.asked[-1][1] == ["compose-lite.scope", "/compose-lite-engine", [4711]]


def test_one_that_goes_meanwhile_is_made_anew(tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / "bus", [EXISTS, None], [REFUSED])
    assert systemd.enter(peer=True)[1:] == ["StartTransientUnit", "AttachProcessesToUnit", "StartTransientUnit"]


def test_a_start_that_failed_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"compose-lite.scope: failed"):
        Systemd(tmp_path / "bus", [None], result="failed").enter(peer=True)


def test_what_systemd_refuses_is_said(tmp_path: Path) -> None:
    with pytest.raises(dbus.Refused, match="AccessDenied"):
        Systemd(tmp_path / "bus", [("error", "org.freedesktop.DBus.Error.AccessDenied", ["no"])]).enter(peer=True)


def test_without_systemd_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delegation.os.path, "isdir", lambda path: False)
    monkeypatch.setattr(delegation.dbus, "Connection", None)
    assert delegation.enter(Folders(tmp_path, tmp_path)) == ""


def test_a_user_without_systemd_hears_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delegation.os.path, "isdir", lambda path: True)
    monkeypatch.setattr(delegation.cgroups, "is_unified", lambda: True)
    monkeypatch.setattr(delegation.os, "geteuid", lambda: 4_000_000_000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert "the user's systemd does not run" in delegation.enter(Folders(tmp_path, tmp_path))


def test_whom_to_ask() -> None:
    assert delegation._sockets(0, "/run/user/0") == [("/run/dbus/system_bus_socket", False), ("/run/systemd/private", True)]
    own = [("/run/user/1000/bus", False), ("/run/user/1000/systemd/private", True)]
    assert delegation._sockets(1000, "/run/user/1000") == delegation._sockets(1000, "") == own
    assert delegation._sockets(1000, "/x") == [("/x/bus", False), ("/x/systemd/private", True), *own]
