"""Man pages: one a command, nothing of --help left out, no warning of those who render them."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from compose_lite.cli.commands import man
from compose_lite.cli.commandtable import COMMANDS, command_module
from compose_lite.cli.context import Context, Globals
from compose_lite.cli.manual import pages
from compose_lite.errors import UsageError

PAGES = pages("2026-11-27")
CHECKERS = {
    "mandoc": ["mandoc", "-Tlint", "-Wwarning"],
    "groff": ["groff", "-man", "-ww", "-z", "-Tutf8"],
    "man": ["man", "--warnings", "-l"],
}


def test_each_command_has_a_page_with_all_its_options() -> None:
    for name in COMMANDS:
        module = command_module(name)
        table = getattr(module, "SUBCOMMANDS", {"": (getattr(module, "COMMAND", None), None)})
        for word, (command, _) in table.items():
            if command.name not in (word, name) or (not word and command.name != name):
                continue  # an alias
            text = PAGES["-".join(filter(None, ("compose-lite", name, word))) + ".1"].replace("\\-", "-")
            for parameter in command.params:
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    assert all(f"\\fB{spelled}\\fR" in text for spelled in parameter.opts), (name, word, parameter.opts)


def test_an_alias_has_none() -> None:
    assert "compose-lite-image-ls.1" in PAGES
    assert not {"compose-lite-image-list.1", "compose-lite-convert.1"} & set(PAGES)


def test_what_roff_would_take_for_a_request_is_text() -> None:
    lines = "\n".join(PAGES.values()).splitlines()
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".TP"}


@pytest.mark.parametrize("program", CHECKERS)
def test_pages_render_without_a_warning(program: str, tmp_path: Path) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not there")
    for name, text in PAGES.items():
        (tmp_path / name).write_text(text)
    for name in (
        "compose-lite.1",
        "compose-lite-up.1",
        "compose-lite-container.1",
        "compose-lite-container-run.1",
        "compose-lite-config.1",
    ):
        done = subprocess.run([*CHECKERS[program], str(tmp_path / name)], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr if program == "mandoc" else done.stderr
        assert (done.returncode, said) == (0, ""), name


async def written(folder: Path, **environ: str) -> dict[str, str]:
    await man.run(Context(Globals(), {"PWD": str(folder), **environ}, io.StringIO(), io.StringIO()), str(folder / "man1"))
    return {one.name: one.read_text() for one in (folder / "man1").iterdir()}


@pytest.mark.anyio
async def test_the_command_writes_them_with_the_date_that_a_package_wants(tmp_path: Path) -> None:
    assert await written(tmp_path, SOURCE_DATE_EPOCH="1795737600") == PAGES


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "man1").write_text("")
    with pytest.raises(UsageError, match="man1: File exists"):
        await written(tmp_path)
