"""docs/commands.md is made from the table of commands: `python -m tests.test_commands_doc` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from compose_lite.cli.commandtable import COMMANDS, ROOT, UNSUPPORTED, command_module
from compose_lite.cli.pflag import Command, Flag, meaning

PAGE = Path(__file__).parents[1] / "docs/commands.md"
HEAD = """# Commands

`compose-lite [OPTIONS] COMMAND`. Commands and flags are Docker Compose's and, for the nouns, the `docker` program's; `--dry-run` goes with
each command of Compose and shows what would be done. A switch that is on by default is turned off by `--name=false`. This page is made
from the program itself: `python -m tests.test_commands_doc`.
"""


def rendered() -> str:
    parts = [HEAD, section("Global options", ROOT, "##")]
    compose, nouns = [], []
    for name in sorted(COMMANDS):
        module = command_module(name)
        if hasattr(module, "SUBCOMMANDS"):
            nouns.append(f"## {name}\\n\\n{module.HELP}.\\n".replace("\\n", "\n"))
            nouns += [
                section(f"{name} {inner}", command, "###")
                for inner, (command, _) in sorted(module.SUBCOMMANDS.items())
                if inner == command.name
            ]
        elif module.COMMAND.name == name:
            compose.append(section(name, module.COMMAND, "##"))
    refused = [f"| `{name}` | {remedy} |" for name, remedy in sorted(UNSUPPORTED.items())]
    parts += [*compose, *nouns, "\n".join(["## Not supported\n", "| command | instead |", "| --- | --- |", *refused, ""])]
    return "\n".join(parts)


def section(title: str, command: Command, level: str) -> str:
    words = command.synopsis().removeprefix("[OPTIONS]").strip()
    lines = [
        f"{level} {title}",
        "",
        f"`{title}{' ' + words if words else ''}`: {command.help}." if command is not ROOT else f"{command.help}.",
        "",
    ]
    rows = list(options(command))
    if rows:
        lines += ["| flag | meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(lines).replace("..:", ".:").replace("..\n", ".\n")


def options(command: Command) -> Iterator[str]:
    for parameter in sorted(command.params, key=lambda p: p.name or ""):
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.name != "dry_run":
            kind = "" if isinstance(parameter, Flag) else " …" if parameter.multiple else " VALUE"
            yield f"| `{', '.join(parameter.opts)}{kind}` | {meaning(parameter).replace('|', chr(92) + '|')} |"


def test_the_page_is_what_the_program_takes() -> None:
    assert PAGE.read_text() == rendered(), "write it anew: python -m tests.test_commands_doc"


def test_every_command_and_flag_says_what_it_does() -> None:
    silent = [line for line in rendered().splitlines() if line.endswith("|  |")]
    assert silent == []


if __name__ == "__main__":
    PAGE.write_text(rendered())
