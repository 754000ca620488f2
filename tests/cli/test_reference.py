"""Our table of commands and flags against Docker Compose's, as record_reference.py wrote it down; what differs has a reason here."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from compose_lite.cli import commandtable
from compose_lite.cli.pflag import Flag, Optional

RECORDED = [line.split() for line in (Path(__file__).parent / "reference.txt").read_text().splitlines()]
COMMANDS = [row[0] for row in RECORDED if len(row) == 1]
FLAGS = [tuple(row) for row in RECORDED if len(row) == 5]

MISSING_COMMANDS = {"bridge": "a converter for other platforms, refused by name"}
WORDS = {"to_stdout", "the_path_of_the,_first_specified,_Compose_file"}
"""Defaults that the reference's help describes in words: there is no such value."""
EXCEPTIONS = {
    ("build", "ssh"): "multiple True",  # Docker Compose takes it more than once too
    ("exec", "no-tty"): "default None",  # whether stdin is a terminal decides, which is what its help says in other words
}


def ours(command: str) -> dict[str, click.Option]:
    found = commandtable.ROOT if command == "ROOT" else commandtable.with_dry_run(commandtable.command_module(command).COMMAND)
    return {name.removeprefix("--"): p for p in found.params if isinstance(p, click.Option) for name in p.opts if name.startswith("--")}


def test_every_command_is_there() -> None:
    assert [name for name in COMMANDS if name not in commandtable.COMMANDS and name != "ROOT"] == list(MISSING_COMMANDS)


@pytest.mark.parametrize("row", [row for row in FLAGS if row[0] not in MISSING_COMMANDS], ids=lambda row: f"{row[0]}--{row[1]}")
def test_every_flag_is_there_with_its_short_form_kind_and_default(row: tuple[str, ...]) -> None:
    command, name, short, kind, default = row
    assert difference(command, name, short, kind, default) == EXCEPTIONS.get((command, name), "")


def difference(command: str, name: str, short: str, kind: str, default: str) -> str:
    found = ours(command).get(name)
    if found is None:
        return "missing"
    if ("-" + short not in found.opts) if short != "-" else any(len(o) == 2 for o in found.opts):
        return f"short form {[o for o in found.opts if len(o) == 2]}"
    if isinstance(found, Flag) != (kind == "-") and not isinstance(found, Optional):
        return f"kind {kind}"
    if found.multiple != (kind in ("stringArray", "list", "scale", "filter")):
        return f"multiple {found.multiple}"
    if kind == "int" and found.type is not click.INT and not isinstance(found, Optional):
        return f"type {found.type}"
    if kind == "-" and (default == "true") != bool(found.default):
        return f"default {found.default}"
    if kind in ("int", "string") and default not in ("-", *WORDS) and str(found.default) != default:
        return f"default {found.default}"
    if kind == "string" and default == "-" and found.default and not isinstance(found, Optional):
        return f"default {found.default}"
    return ""


def test_exceptions_are_still_needed() -> None:
    by_name = {row[:2]: row for row in FLAGS}
    assert all(difference(*by_name[key]) == said for key, said in EXCEPTIONS.items())
