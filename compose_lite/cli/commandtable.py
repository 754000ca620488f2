"""The table of commands and the global options: what a command line may say. For main, completion and the manual.

A command is a module of cli/commands with COMMAND (cli/pflag.py) and `async def run(context, **values) -> int | None`; without
`async` where it asks no engine (or gives a coroutine when it does after all).
A noun (`image`, `container`, ...) is one with SUBCOMMANDS: name -> the same pair.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from compose_lite.cli.context import Globals, is_true
from compose_lite.cli.pflag import Command, flag, option, options
from compose_lite.cli.program import NAME
from compose_lite.errors import UsageError, nearest

_INTEGER = re.compile(r"[+-]?\d+")

# One word a command, one file a command: cli/commands/<word>.py.
COMMANDS: dict[str, str] = {
    name: name
    for name in (
        "attach",
        "build",
        "commit",
        "completion",
        "config",
        "container",
        "convert",
        "cp",
        "create",
        "down",
        "engine",
        "events",
        "exec",
        "export",
        "graph",
        "image",
        "images",
        "kill",
        "lint",
        "logs",
        "ls",
        "man",
        "network",
        "pause",
        "plan",
        "port",
        "ps",
        "publish",
        "pull",
        "push",
        "restart",
        "rm",
        "run",
        "scale",
        "start",
        "stats",
        "stop",
        "system",
        "top",
        "unpause",
        "up",
        "version",
        "volume",
        "volumes",
        "wait",
        "watch",
        "why",
    )
}

ROOT = Command(
    "compose-lite",
    "Define and run multi-container applications",
    (
        options("-f", "--file", "files", help="Compose configuration files"),
        option("-p", "--project-name", help="Project name"),
        option("--project-directory", help="Alternate working directory (default: the path of the first Compose file)"),
        options("--profile", "profiles", help="Profile to enable"),
        options("--env-file", "env_files", help="Alternate environment file"),
        option("--progress", default=None, help="Type of progress output (auto, tty, plain, json, quiet)"),
        option("--ansi", default="auto", help='When to print ANSI control characters ("never"|"always"|"auto")'),
        option("--parallel", type=int, default=-1, help="Max parallelism, -1 for unlimited"),
        option("--engine", help="Engine to use: its URL, docker or podman (default: our own)"),
        flag("--compatibility", help="Run in backward compatibility mode"),
        flag("--dry-run", help="Show the plan and change nothing"),
        flag("--allow-remote", help="Use Compose files from Git repositories and registries that `include` and `extends` name"),
        flag("--all-resources", help="Include all resources, even those not used by services"),
        flag("--verbose", hidden=True),
        flag("-v", "--version", help="Show the version"),
        flag("-h", "--help", "help_", help="Show this text"),
    ),
    interspersed=False,
)


UNSUPPORTED = {
    "bridge": "Convert the output of `compose-lite config` with the tool of the target platform.",
}
"""Commands of Docker Compose that are refused by name, and what to do instead."""


def find(words: Sequence[str], program: str = NAME) -> tuple[Command, Any, str, list[str]]:
    """(command, what runs it, its path for messages, the words after it)."""
    name = words[0]
    if name in UNSUPPORTED:
        raise UsageError("unsupported-command", f"`{name}` is not part of compose-lite", remedy=UNSUPPORTED[name])
    if name not in COMMANDS:
        raise UsageError("unknown-command", f"unknown command: {name}", remedy=nearest(name, COMMANDS) or "See 'compose-lite --help'.")
    module = command_module(name)
    table = getattr(module, "SUBCOMMANDS", None)
    if table is None:
        return with_dry_run(module.COMMAND), module.run, f"{program} {name}", list(words[1:])
    inner = words[1] if len(words) > 1 else ""
    if inner not in table:
        raise UsageError("unknown-command", f"unknown command: {name} {inner}", remedy=nearest(inner, table))
    command, act = table[inner]
    return command, act, f"{program} {name} {inner}", list(words[2:])


def with_dry_run(command: Command) -> Command:
    """Every command of Compose takes --dry-run after its name too."""
    if any(p.name == "dry_run" for p in command.params):
        return command
    more = flag("--dry-run", help="Show what would be done and change nothing")
    return Command(command.name or "", command.help or "", [*command.params, more], interspersed=command.allow_interspersed_args)


def noun_overview(name: str, program: str = NAME) -> str:
    """The text of --help of a noun; empty for any other command."""
    module = command_module(name) if name in COMMANDS else None
    table = getattr(module, "SUBCOMMANDS", None)
    if module is None or table is None:
        return ""
    lines = [f"  {inner:<12} {command.help}" for inner, (command, _) in sorted(table.items()) if inner == command.name]
    return f"Usage:  {program} {name} COMMAND\n\n{module.HELP}\n\nCommands:\n" + "\n".join(lines) + "\n"


def command_module(name: str) -> ModuleType:
    return importlib.import_module(f"compose_lite.cli.commands.{COMMANDS[name]}")


def overview(program: str = NAME) -> str:
    rows = [(name, command_module(name)) for name in sorted(COMMANDS) if name != "convert"]
    lines = [f"  {n:<12} {(m.COMMAND.help if hasattr(m, 'COMMAND') else m.HELP).splitlines()[0]}" for n, m in rows]
    options_text = ROOT.usage(program).split("Options:")[1]
    usage = f"Usage:  {program} [OPTIONS] COMMAND\n\n{ROOT.help}\n\nOptions:"
    more = f"Run '{program} COMMAND --help' for more information on a command.\n"
    return usage + options_text + "\nCommands:\n" + "\n".join(lines) + f"\n\n{more}"


def globals_of(argv: Sequence[str], environ: dict[str, str]) -> Globals:
    values, given, _ = split(argv)
    return globals_from(values, given, environ)


def split(argv: Sequence[str], program: str = NAME) -> tuple[dict[str, Any], set[str], list[str]]:
    """Global options, which of them are given, and the rest, from the command's name on."""
    rest: list[str] = []
    words = list(argv)
    rewritten = ROOT._rewritten(words)
    if "--" in rewritten:
        at = rewritten.index("--")
        rest, words = rewritten[at + 1 :], rewritten[:at]
    return (*ROOT.read_given(words, program), rest)


_APART = {("plain", "always"): "forced", ("tty", "never"): "disabled"}
"""Values of --progress and --ansi that contradict each other, and how the reference calls the latter."""


def globals_from(values: dict[str, Any], given: set[str], environ: dict[str, str]) -> Globals:
    """given: names of the options that the command line has; the environment speaks for the others."""
    progress = values["progress"] or environ.get("COMPOSE_PROGRESS") or "auto"
    if progress not in ("auto", "tty", "plain", "json", "quiet", "rawjson"):
        raise UsageError("progress", f'unsupported --progress value "{progress}"', remedy="Say auto, tty, plain, json or quiet.")
    ansi = values["ansi"] if "ansi" in given else environ.get("COMPOSE_ANSI") or values["ansi"]
    if ansi not in ("auto", "never", "always"):
        raise UsageError("ansi", f'unknown --ansi value "{ansi}"', remedy="Say never, always or auto.")
    if (progress, ansi) in _APART:
        raise UsageError("progress", f"can't use --progress {progress} while ANSI support is {_APART[progress, ansi]}")
    kept = {k: v for k, v in values.items() if k in Globals.__dataclass_fields__ and k not in ("progress", "ansi")}
    kept["engine"] = kept["engine"] or ""
    kept["compatibility"] = kept["compatibility"] or is_true(environ.get("COMPOSE_COMPATIBILITY"))
    limit = environ.get("COMPOSE_PARALLEL_LIMIT")
    if limit is not None and "parallel" not in given:
        if not _INTEGER.fullmatch(limit):
            raise UsageError(
                "parallel", f'COMPOSE_PARALLEL_LIMIT must be an integer (found: "{limit}")', remedy="Unset it, or say a number."
            )
        kept["parallel"] = int(limit)
    return Globals(**kept, progress=progress, ansi=ansi)
