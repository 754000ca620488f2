"""One command line: what it asks for (cli/commandtable.py), done; an error to its text and exit status."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from compose_lite import __version__
from compose_lite.cli.commandtable import command_module, find, globals_from, globals_of, noun_overview, overview, split
from compose_lite.cli.context import Context, Globals, OutputClosed, fail
from compose_lite.cli.pflag import Command
from compose_lite.cli.program import METADATA, PLUGIN, called, metadata
from compose_lite.errors import Error, first_error


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
        values, given, rest = split(argv, program)
        context.options = globals_from(values, given, environ)
        if values["version"]:
            context.print(f"compose-lite version v{__version__}")
            return 0
        if rest[:1] == ["help"] and len(rest) > 1:
            rest = [*rest[1:], "--help"]
        if values["help_"] or not rest or rest[0] == "help":
            context.out.write(overview(program))
            return 0
        if len(rest) < 2 or rest[1] in ("-h", "--help"):
            noun = noun_overview(rest[0], program)
            if noun:
                context.out.write(noun)
                return 0
        command, act, path, words = find(rest, program)
        if asks_for_help(words, command):
            context.out.write(command.usage(path))
            return 0
        said = command.read(words, path, noun=hasattr(command_module(rest[0]), "SUBCOMMANDS"))
        if said.pop("dry_run", False):
            context.options = replace(context.options, dry_run=True)
        answer = act(context, **said)
        return _to_its_end(context, answer) if isinstance(answer, Coroutine) else answer or 0
    except Error as error:
        return fail(context, error)
    except KeyboardInterrupt:
        return 130
    except (BrokenPipeError, OutputClosed):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


def _to_its_end(context: Context, work: Coroutine[Any, Any, int | None]) -> int:
    import anyio  # a command that talks to nobody is done by now, and a cold one does not pay for the event loop

    return anyio.run(_act, context, work, backend_options={"use_uvloop": False})


async def _act(context: Context, work: Coroutine[Any, Any, int | None]) -> int:
    try:
        return await work or 0
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        await context.close()


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
        "compose_lite.cli.dryrun",
        "compose_lite.cli.remotes",
        "compose_lite.graph.services",
        "compose_lite.project.converge",
        "anyio._backends._asyncio",
    ):
        importlib.import_module(heavy)
    _practise()


_PRACTICE = """
name: practice
services:
  a:
    image: ${NONE:-a}
    environment: {A: $NONE}
    ports: ["127.0.0.1:8080:80"]
    volumes: [/a:/b:ro]
    healthcheck: {test: "true", interval: 1s}
    deploy: {resources: {limits: {memory: 1g}}}
  b: {build: {context: /}, command: sleep 1, networks: [c]}
networks: {c: {}}
"""


def _practise() -> None:
    """Reads a command line and a project once, as the first time costs the double: patterns, validators and tables are made on it."""
    from compose_lite.project.configtext import ConfigWish, config_text
    from compose_lite.spec.load import LoadOptions

    globals_of(["config"], {})
    find(["config"])[0].read([], "compose-lite config")
    config_text(LoadOptions({"COMPOSE_DISABLE_ENV_FILE": "1"}, "/", files=("-",), stdin=lambda: _PRACTICE), ConfigWish())


def asks_for_help(words: Sequence[str], command: Command) -> bool:
    """`--help`, and `-h` where that is no flag of the command's own (`container run -h NAME`)."""
    asked = {"--help", "-h"} - {name for one in command.params for name in one.opts}
    return bool(asked & set(_before_words(words, command)))


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
