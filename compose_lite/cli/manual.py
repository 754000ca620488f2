"""Man pages, made from the same table of commands as `--help`. Pure: text in man(7)'s macros, a page a command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from compose_lite import __version__
from compose_lite.cli.commandtable import COMMANDS, ROOT, command_module, with_dry_run
from compose_lite.cli.pflag import Command, kind, meaning
from compose_lite.cli.program import NAME

ENVIRONMENT = {
    "COMPOSE_FILE": "Compose files, separated by COMPOSE_PATH_SEPARATOR (`:`)",
    "COMPOSE_PROJECT_NAME": "the project's name, as --project-name gives it",
    "COMPOSE_PROFILES": "profiles to enable, separated by commas",
    "COMPOSE_ENV_FILES": "environment files, separated by commas",
    "COMPOSE_DISABLE_ENV_FILE": "do not read .env",
    "COMPOSE_IGNORE_ORPHANS": "say nothing of containers that no service asks for",
    "COMPOSE_REMOVE_ORPHANS": "remove them, as --remove-orphans does",
    "COMPOSE_COMPATIBILITY": "as --compatibility: names of containers and images with `_`",
    "COMPOSE_PARALLEL_LIMIT": "as --parallel",
    "COMPOSE_PROGRESS": "as --progress",
    "COMPOSE_ANSI": "as --ansi",
    "COMPOSE_MENU": "as --menu of up",
    "COMPOSE_STATUS_STDOUT": "write progress to standard output",
    "NO_COLOR": "do not colour anything",
    "COMPOSE_LITE_ENGINE": "as --engine",
    "COMPOSE_LITE_DATA_DIR": "where images, volumes and containers are kept",
    "COMPOSE_LITE_RUN_DIR": "where sockets and what does not outlive a reboot are kept",
    "COMPOSE_LITE_IDLE": "seconds without a container after which the engine ends by itself",
}


def pages(date: str) -> dict[str, str]:
    """File name -> text, one page a command. date: of the pages, as 2026-11-27."""
    found = {NAME: _page(NAME, ROOT, ROOT.help or "", date, [*_commands(), *_environment(), *_statuses()])}
    for name in sorted(COMMANDS):
        module = command_module(name)
        table = getattr(module, "SUBCOMMANDS", None)
        if table is None:
            if module.COMMAND.name == name:  # an alias has no page of its own
                found[f"{NAME}-{name}"] = _page(f"{NAME} {name}", with_dry_run(module.COMMAND), module.COMMAND.help, date)
            continue
        inner = {word: command for word, (command, _) in sorted(table.items()) if word == command.name}
        noun = Command(name, module.HELP, ())
        rows = _listed("COMMANDS", [(f"{NAME}-{name}-{word}(1)", command.help or "") for word, command in inner.items()])
        found[f"{NAME}-{name}"] = _page(f"{NAME} {name}", noun, module.HELP, date, rows, words="COMMAND")
        for word, command in inner.items():
            found[f"{NAME}-{name}-{word}"] = _page(f"{NAME} {name} {word}", command, command.help or "", date)
    return {f"{name}.1": text for name, text in found.items()}


def _page(path: str, command: Command, about: str, date: str, more: Sequence[str] = (), words: str = "") -> str:
    title = path.replace(" ", "-")
    synopsis = f"{command.synopsis()} {'COMMAND' if command is ROOT else words}".strip()
    lines = [
        f'.TH "{_text(title.upper())}" "1" "{date}" "{NAME} {__version__}" "Commands"',
        ".SH NAME",
        f"{_text(title)} \\- {_text(about.rstrip('.'))}",
        ".SH SYNOPSIS",
        f"\\fB{_text(path)}\\fR {_text(synopsis)}".rstrip(),
    ]
    options = sorted(command.shown_options(), key=lambda o: max(o.opts, key=len))
    if options:
        lines += [".SH OPTIONS", *(line for option in options for line in _option(option))]
    lines += more
    if command is not ROOT:
        lines += [".SH SEE ALSO", f"\\fB{_text(NAME)}\\fR(1)"]
    return "\n".join(lines) + "\n"


def _option(option: click.Option) -> Iterator[str]:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in sorted(option.opts, key=len))
    value = kind(option)
    yield ".TP"
    yield f"{names} \\fI{_text(value)}\\fR" if value else names
    yield _text(meaning(option))


def _listed(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f".SH {title}", *(line for head, text in rows for line in (".TP", f"\\fB{_text(head)}\\fR", _text(text)))]


def _commands() -> list[str]:
    rows = []
    for name in sorted(COMMANDS):
        module = command_module(name)
        if hasattr(module, "SUBCOMMANDS") or module.COMMAND.name == name:
            rows.append((f"{NAME}-{name}(1)", (module.COMMAND.help if hasattr(module, "COMMAND") else module.HELP) or ""))
    return _listed("COMMANDS", rows)


def _environment() -> list[str]:
    return _listed("ENVIRONMENT", list(ENVIRONMENT.items()))


def _statuses() -> list[str]:
    return [
        ".SH EXIT STATUS",
        _text(
            "0 for success and 1 for a failure. Commands that wait for a container (run, exec, up --exit-code-from) end with its status,"
        ),
        _text("130 says that Ctrl-C was pressed."),
    ]


def _text(text: str) -> str:
    """Plain text in roff: a backslash, a hyphen and a line's first period or quote mean themselves."""
    escaped = (
        " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("~", "\\(ti").replace("^", "\\(ha")
    )
    return re.sub(r"^([.'])", r"\\&\1", escaped)
