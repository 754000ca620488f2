"""The command line: global options, the table of commands, an error to its text and exit status.

A command is a module of cli/commands with COMMAND (cli/pflag.py) and `async def run(context, **values) -> int | None`.
A noun (`image`, `container`, ...) is one with SUBCOMMANDS: name -> the same pair.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import anyio

from compose_lite import __version__
from compose_lite.cli.context import Context, Globals, fail
from compose_lite.cli.pflag import Command, flag, option, options
from compose_lite.cli.program import METADATA, NAME, PLUGIN, called, metadata
from compose_lite.errors import Error, UsageError, first_error, nearest

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
        option("--ansi", default=None, help='When to print ANSI control characters ("never"|"always"|"auto")'),
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


def run(argv: Sequence[str], environ: dict[str, str], argv0: str = "") -> int:
    """One command line; its exit status. Prints errors, never a traceback for what users do. argv0: what we were called by."""
    program = called(argv0)
    context = Context(Globals(), environ, program=program)
    try:
        if argv[:1] == [METADATA]:
            context.out.write(metadata())
            return 0
        if argv[:1] in (["__complete"], ["__completeNoDesc"]):
            from compose_lite.cli.completing import told

            context.out.write(told(context, argv[1:]))
            if program == PLUGIN:
                context.out.write(":4\n")  # docker's completion wants cobra's last line: no file names
            return 0
        values, rest = _split(argv, program)
        context.options = _globals(values, environ)
        if values["version"]:
            context.print(f"compose-lite version v{__version__}")
            return 0
        if values["help_"] or not rest or rest[0] == "help":
            context.out.write(overview(program))
            return 0
        if len(rest) < 2 or rest[1] in ("-h", "--help"):
            noun = noun_overview(rest[0], program)
            if noun:
                context.out.write(noun)
                return 0
        command, act, path, words = find(rest, program)
        if {"-h", "--help"} & set(_before_words(words, command)):
            context.out.write(command.usage(path))
            return 0
        said = command.read(words, path)
        if said.pop("dry_run", False):
            context.options = replace(context.options, dry_run=True)
        return anyio.run(_act, context, act, said, backend_options={"use_uvloop": False})
    except Error as error:
        return fail(context, error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


async def _act(context: Context, act: Any, values: dict[str, Any]) -> int:
    try:
        return await act(context, **values) or 0
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        await context.close()


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


_WARM = ("config", "container", "down", "exec", "image", "logs", "ps", "restart", "run", "start", "stop", "up")
"""Commands that the template has imported; a worker imports another one itself."""
LATE = ("networkx",)
"""Packages that are dear and that only some projects need: the template imports them when a worker had to."""


def import_commands() -> None:
    """What the _WARM commands need, but for LATE: for the template, whose forks then import nothing."""
    for name in _WARM:
        command_module(name)
    for heavy in (
        "compose_lite.spec.load",
        "compose_lite.cli.remotes",
        "compose_lite.graph.services",
        "compose_lite.project.converge",
        "anyio._backends._asyncio",
    ):
        importlib.import_module(heavy)


def overview(program: str = NAME) -> str:
    rows = [(name, command_module(name)) for name in sorted(COMMANDS) if name != "convert"]
    lines = [f"  {n:<12} {(m.COMMAND.help if hasattr(m, 'COMMAND') else m.HELP).splitlines()[0]}" for n, m in rows]
    options_text = ROOT.usage(program).split("Options:")[1]
    usage = f"Usage:  {program} [OPTIONS] COMMAND\n\n{ROOT.help}\n\nOptions:"
    more = f"Run '{program} COMMAND --help' for more information on a command.\n"
    return usage + options_text + "\nCommands:\n" + "\n".join(lines) + f"\n\n{more}"


def globals_of(argv: Sequence[str], environ: dict[str, str]) -> Globals:
    return _globals(_split(argv)[0], environ)


def _split(argv: Sequence[str], program: str = NAME) -> tuple[dict[str, Any], list[str]]:
    """Global options and the rest, from the command's name on."""
    rest: list[str] = []
    words = list(argv)
    rewritten = ROOT._rewritten(words)
    if "--" in rewritten:
        at = rewritten.index("--")
        rest, words = rewritten[at + 1 :], rewritten[:at]
    return ROOT.read(words, program), rest


def _globals(values: dict[str, Any], environ: dict[str, str]) -> Globals:
    progress = values["progress"] or environ.get("COMPOSE_PROGRESS") or "auto"
    if progress not in ("auto", "tty", "plain", "json", "quiet", "rawjson"):
        raise UsageError("progress", f'unsupported --progress value "{progress}"', remedy="Say auto, tty, plain, json or quiet.")
    ansi = values["ansi"] or environ.get("COMPOSE_ANSI") or "auto"
    if ansi not in ("auto", "never", "always"):
        raise UsageError("ansi", f'unknown --ansi value "{ansi}"', remedy="Say never, always or auto.")
    kept = {k: v for k, v in values.items() if k in Globals.__dataclass_fields__ and k not in ("progress", "ansi")}
    kept["engine"] = kept["engine"] or ""
    if kept["parallel"] == -1:
        limit = environ.get("COMPOSE_PARALLEL_LIMIT", "-1")
        if not _INTEGER.fullmatch(limit):
            raise UsageError(
                "parallel", f'COMPOSE_PARALLEL_LIMIT must be an integer (found: "{limit}")', remedy="Unset it, or say a number."
            )
        kept["parallel"] = int(limit)
    return Globals(**kept, progress=progress, ansi=ansi)


_INTEGER = re.compile(r"[+-]?\d+")


def _before_words(words: Sequence[str], command: Command) -> list[str]:
    """The words that can be options: up to `--`, or to the first word of a command like exec."""
    found = []
    for word in words:
        if word == "--" or (not word.startswith("-") and not command.allow_interspersed_args):
            break
        found.append(word)
    return found


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], dict(os.environ), sys.argv[0]))
