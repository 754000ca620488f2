"""What Docker Compose 2.40 printed for a file is what we print, character by character; what it refused we refuse."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest

from compose_lite.cli import main
from tests.spec.recorded import CASES, REFUSED, read, shown

NAMES = sorted(path.stem for path in CASES.glob("*.txt"))


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    case = read(CASES / f"{name}.txt")
    folder = tmp_path / name
    folder.mkdir()
    case.lay_out(folder)
    monkeypatch.chdir(folder)
    own = {"COMPOSE_LITE_RUN_DIR": f"{tmp_path}/run", "COMPOSE_LITE_DATA_DIR": f"{tmp_path}/data"}
    for line, wanted in case.outputs.items():
        monkeypatch.setattr("sys.stdin", io.StringIO(case.stdin))
        status = main.run(shlex.split(line), {"PATH": "/bin", "HOME": "/home/u", "PWD": str(folder), **case.env, **own})
        printed = capsys.readouterr()
        assert (status != 0) == (wanted == REFUSED), f"{line}: {printed.err}"
        assert wanted == REFUSED or shown(printed.out, folder) == wanted, line


def test_there_are_cases() -> None:
    assert len(NAMES) >= 60
