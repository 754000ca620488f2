"""What the shells are told at the cursor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from compose_lite.cli.commands.completion import SCRIPTS
from compose_lite.cli.completing import choices, told
from compose_lite.cli.context import Context, Globals

THERE = {"service": ["db", "web"], "profile": ["debug"], "container": ["shop-web-1"], "volume": ["shop_data"]}


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("u", ["unpause", "up"]),
        ("--prof", ["--profile"]),
        ("--profile ", ["debug"]),
        ("--progress=p", ["--progress=plain"]),
        ("-f x.yaml res", ["restart"]),
        ("up ", ["db", "web"]),
        ("up -d w", ["web"]),
        ("up --pull a", ["always"]),
        ("logs --fol", ["--follow"]),
        ("exec ", ["db", "web"]),
        ("exec web ", []),
        ("container st", ["start", "stop"]),
        ("container rm ", ["shop-web-1"]),
        ("volume rm s", ["shop_data"]),
        ("completion f", ["fish"]),
        ("nonsense ", []),
    ],
)
def test_choices(line: str, some: list[str]) -> None:
    def names(kind: str) -> Sequence[str]:
        return THERE.get(kind, ())

    assert [word for word, _ in choices(line.split(" "), names)] == some


def test_services_come_from_the_project_and_errors_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"COMPOSE_LITE_RUN_DIR": str(tmp_path / "run"), "COMPOSE_LITE_DATA_DIR": str(tmp_path / "data")}
    (tmp_path / "a.yaml").write_text("services: {web: {image: i}, more: {image: i, profiles: [p]}}")
    assert told(Context(Globals(), environ), ["-f", "a.yaml", "up", ""]) == "more\tservice\nweb\tservice\n"
    assert told(Context(Globals(), environ), ["-f", "a.yaml", "--profile", ""]) == "p\tprofile\n"
    (tmp_path / "a.yaml").write_text("services: [")
    assert told(Context(Globals(), environ), ["-f", "a.yaml", "up", ""]) == ""
    assert told(Context(Globals(), environ), ["container", "rm", ""]) == ""


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_the_scripts_are_of_their_shells(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(SCRIPTS[shell])
    subprocess.run([program, "-n", str(tmp_path / "script")], check=True)


def test_bash_completes(tmp_path: Path) -> None:
    program = shutil.which("bash")
    if program is None:
        pytest.skip("no bash here")
    front = tmp_path / "compose-lite"
    front.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from compose_lite.cli.main import run; import sys; run(sys.argv[1:], {{}})" "$@"\n'
    )
    front.chmod(0o755)
    line = f"COMP_WORDS=({front} vol); COMP_CWORD=1; _compose_lite; echo ${{COMPREPLY[@]}}"
    done = subprocess.run([program, "-c", f"{SCRIPTS['bash']}\n{line}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["volume", "volumes"]
