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
    assert 'Environment="COMPOSE_LITE_DATA_DIR=/a b/100%%"\n' in content and "PATH=" not in content
    assert ("WantedBy=multi-user.target" in content) == (uid == 0)
    path = tmp_path / "units" / unitfile.NAME
    assert str(path) in unitfile.enable(path, content, uid) if not Path("/run/systemd/system").is_dir() else path.parent
    if shutil.which("systemd-analyze") and path.exists():
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False)
        assert "compose-lite" not in done.stderr, done.stderr


def test_where_it_goes() -> None:
    assert unitfile.path_of(0, {}) == Path("/etc/systemd/system/compose-lite.service")
    assert unitfile.path_of(1000, {"HOME": "/h"}) == Path("/h/.config/systemd/user/compose-lite.service")
    assert unitfile.path_of(1000, {"HOME": "/h", "XDG_CONFIG_HOME": "/c"}) == Path("/c/systemd/user/compose-lite.service")
