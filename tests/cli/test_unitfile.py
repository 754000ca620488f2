"""The systemd unit: its text, and where it goes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compose_lite.cli import unitfile


@pytest.mark.parametrize("uid", [0, 1000])
def test_the_unit(tmp_path: Path, uid: int) -> None:
    environ = {"HOME": str(tmp_path), "COMPOSE_LITE_DATA_DIR": "/a b/100%", "PATH": "x"}
    content = unitfile.text([sys.executable, "-m", "compose_lite"], environ, uid)
    assert f"ExecStart={sys.executable} -m compose_lite engine start\n" in content
    assert f"ExecStop={sys.executable} -m compose_lite engine stop --with-machine\n" in content
    assert 'Environment="COMPOSE_LITE_DATA_DIR=/a b/100%%"\n' in content and "PATH=" not in content
    assert ("WantedBy=multi-user.target" in content) == (uid == 0)
    path = tmp_path / "units" / unitfile.NAME
    assert str(path) in unitfile.enable(path, content, uid) if not Path("/run/systemd/system").is_dir() else path.parent
    if shutil.which("systemd-analyze") and path.exists():
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False)
        assert "compose-lite" not in done.stderr, done.stderr


class Systemd:
    """Programs that were run, and what `systemctl` answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, says: str = "") -> None:
        self.ran, self.says = list[str](), says
        monkeypatch.setattr(unitfile, "_is_running", lambda: True)
        monkeypatch.setattr(unitfile.subprocess, "run", self.run)

    def run(self, argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.ran.append(" ".join(argv))
        return subprocess.CompletedProcess(argv, 1 if self.says else 0, self.says, "")


def test_enabled_it_runs_at_once_and_disabled_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a unit that runs is stopped when the machine goes down, and so stops the containers in order."""
    systemd, path = Systemd(monkeypatch), tmp_path / "units" / unitfile.NAME
    unitfile.enable(path, "[Unit]\n", 1000)
    assert path.exists() and systemd.ran == ["systemctl --user daemon-reload", f"systemctl --user enable --now {unitfile.NAME}"]
    systemd.ran.clear()
    unitfile.disable(path, 1000)
    assert not path.exists()
    assert systemd.ran == [f"systemctl --user disable --now {unitfile.NAME}", "systemctl --user daemon-reload"]
    systemd.ran.clear()
    assert unitfile.disable(path, 1000) == f"There is no {path}." and systemd.ran == []


@pytest.mark.parametrize(("says", "down"), [("stopping\n", True), ("running\n", False), ("degraded\n", False), ("starting\n", False)])
def test_whether_systemd_goes_down(monkeypatch: pytest.MonkeyPatch, says: str, down: bool) -> None:
    systemd = Systemd(monkeypatch, says)
    assert unitfile.is_going_down(0) is down
    assert systemd.ran == ["systemctl is-system-running"]


def test_where_it_goes() -> None:
    assert unitfile.path_of(0, {}) == Path("/etc/systemd/system/compose-lite.service")
    assert unitfile.path_of(1000, {"HOME": "/h"}) == Path("/h/.config/systemd/user/compose-lite.service")
    assert unitfile.path_of(1000, {"HOME": "/h", "XDG_CONFIG_HOME": "/c"}) == Path("/c/systemd/user/compose-lite.service")
