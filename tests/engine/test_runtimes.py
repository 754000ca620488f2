from __future__ import annotations

from pathlib import Path

import pytest

from compose_lite.engine import runtimes
from compose_lite.errors import EngineError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(runtimes, "_FOLDERS", ())
    return tmp_path


def program(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("")
    path.chmod(0o755)
    return str(path)


def test_names(folder: Path) -> None:
    assert [runtimes.program(name) for name in ("", "compose-lite", "runc")] == ["", "", ""]
    crun, runc = program(folder, "crun"), program(folder, "runc")
    assert (runtimes.program("crun"), runtimes.program("runc"), runtimes.program(crun)) == (crun, runc, crun)
    assert set(runtimes.installed()) == {"compose-lite", "runc", "crun"}


@pytest.mark.parametrize("name", ["nosuch", "../crun", "sub/crun", "/no/such"])
def test_an_unknown_one_is_refused_by_name(folder: Path, name: str) -> None:
    program(folder, "crun")
    with pytest.raises(EngineError, match=f"unknown or invalid runtime name: {name}") as caught:
        runtimes.program(name)
    assert caught.value.http_status == 400
    assert caught.value.remedy


def test_init_needs_a_program_with_another_runtime(folder: Path) -> None:
    program(folder, "crun")
    with pytest.raises(EngineError, match="init with runtime crun"):
        runtimes.check({"Runtime": "crun", "Init": True})
    program(folder, "tini")
    runtimes.check({"Runtime": "crun", "Init": True})
    runtimes.check({"Runtime": "", "Init": True})
