"""What the shells are told at the cursor."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
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
        ("container st", ["start", "stats", "stop"]),
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


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a project, and with programs of ours in bin."""
    (tmp_path / "compose.yaml").write_text("services: {web: {image: i}, db: {image: i}}")
    (tmp_path / "bin").mkdir()
    source = Path(__file__).parents[2]
    for name in ("compose-lite", "docker-compose"):
        program = tmp_path / "bin" / name
        code = "import os, sys; from compose_lite.cli.main import run; sys.exit(run(sys.argv[1:], dict(os.environ), sys.argv[0]))"
        program.write_text(f"#!{sys.executable}\nimport sys; sys.path.insert(0, {str(source)!r}); {code}\n")
        program.chmod(0o755)
    return tmp_path


def environment(shop: Path) -> dict[str, str]:
    there = {"PATH": f"{shop}/bin:{os.environ['PATH']}", "HOME": str(shop), "TERM": "xterm", "PS1": "> "}
    return {**there, "COMPOSE_LITE_RUN_DIR": f"{shop}/run", "COMPOSE_LITE_DATA_DIR": f"{shop}/data"}


def typed(argv: Sequence[str], shop: Path, setup: str, line: str, tabs: str, wanted: str) -> str:
    """What an interactive shell shows once `wanted` (a pattern) is on its terminal, after the line and the tabs."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shop)
        os.execvpe(argv[0], argv, environment(shop))
    try:
        os.write(terminal, f"{setup}; echo READ''Y\n".encode())
        until(terminal, "READY")
        os.write(terminal, f"{line}{tabs}".encode())
        return until(terminal, wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)


def until(terminal: int, wanted: str) -> str:
    shown, ends = "", time.monotonic() + 30
    while not re.search(wanted, re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)):
        assert select.select([terminal], [], [], max(0, ends - time.monotonic()))[0], f"{wanted!r} never came: {shown!r}"
        shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(compose-lite completion bash)", "\t\t\t"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -u -D; source <(compose-lite completion zsh)", "\t"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("compose-lite unp", "unpause "),
        ("compose-lite up ", "db(?s:.*)web|web(?s:.*)db"),
        ("docker-compose up w", "web "),
        ("compose-lite up --pull=al", "--pull=always "),
        ("compose-lite --progress pl", "plain "),
        ("compose-lite -f ~/compose.yaml exec d", "db "),
        ("compose-lite -f compo", r"compose\.yaml "),
    ],
)
def test_a_shell_completes(shell: str, line: str, wanted: str, shop: Path) -> None:
    argv, setup, tabs = SHELLS[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    typed(argv, shop, setup, line, tabs, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("compose-lite unp", "unpause\tUnpause services"),
        ("docker-compose up ", "db\tservice\nweb\tservice"),
        ("compose-lite up --pull=al", "--pull=always"),
        ("compose-lite -f ~/compose.yaml exec d", "db\tservice"),
        ("compose-lite -f compo", "compose.yaml"),
    ],
)
def test_fish_completes(line: str, offers: str, shop: Path) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("no fish here")
    script = f"compose-lite completion fish | source; complete -C '{line}'"
    done = subprocess.run([program, "-N", "-c", script], capture_output=True, text=True, check=True, env=environment(shop), cwd=shop)
    assert done.stdout.strip() == offers
