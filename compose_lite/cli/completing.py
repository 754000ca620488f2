"""What may stand where the cursor is: commands, flags, services, profiles, containers. For the scripts of `completion`.

`choices` is pure but for the two functions it is given, one for names in the project and one for those of the engine. It must never
say anything but choices: a Compose file with an error, or no engine, has none.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence

import anyio
import click

from compose_lite.api.client import EngineClient
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.commands.engine import listening_pid
from compose_lite.cli.commandtable import COMMANDS, ROOT, command_module, globals_of, with_dry_run
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, Flag, Optional
from compose_lite.errors import Error

_TILDE = re.compile(r"(?:^|(?<==))~[^/]*(?=/)")  # at the start of a value

Names = Callable[[str], Sequence[str]]
VALUES = {
    "ansi": ("never", "always", "auto"),
    "progress": ("auto", "tty", "plain", "json", "quiet"),
    "pull": ("always", "missing", "never", "build"),
    "status": ("paused", "restarting", "removing", "running", "dead", "created", "exited"),
    "shell": ("bash", "zsh", "fish"),
    "rmi": ("local", "all"),
}
KINDS = {"profiles": "profile", "services": "service", "service": "service", "containers": "container", "container": "container"}
"""Parameters whose values are names of things. The same words in the nouns' commands (container rm CONTAINER...) are containers."""


def choices(words: Sequence[str], names: Names) -> Iterator[tuple[str, str]]:
    """(word, what it is) for the last of the words, which is being typed. names: kind of thing → its names."""
    *before, typed = words or [""]
    at = _command_at(before)
    if at is None:
        yield from _matching(typed, before, ROOT, names, commands=True)
        return
    name, rest = before[at], before[at + 1 :]
    if name not in COMMANDS:
        return
    module = command_module(name)
    table = getattr(module, "SUBCOMMANDS", None)
    if table is None:
        yield from _matching(typed, rest, with_dry_run(module.COMMAND), names)
    elif not rest:
        yield from ((inner, command.help) for inner, (command, _) in sorted(table.items()) if inner.startswith(typed))
    elif rest[0] in table:
        yield from _matching(typed, rest[1:], table[rest[0]][0], lambda kind: names(kind or name))


def _command_at(words: Sequence[str]) -> int | None:
    skip = False
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = _wants_value(word, ROOT) is not None
        else:
            return at
    return None


def _wants_value(word: str, command: Command) -> click.Option | None:
    """The option that takes the next word as its value."""
    if "=" in word:
        return None
    found = next((p for p in command.params if isinstance(p, click.Option) and word in p.opts), None)
    return None if found is None or isinstance(found, Flag | Optional) else found


def _matching(typed: str, before: Sequence[str], command: Command, names: Names, *, commands: bool = False) -> Iterator[tuple[str, str]]:
    option = _wants_value(before[-1], command) if before and before[-1].startswith("-") else None
    if option is not None:
        yield from _values(typed, "", option.name or "", names)
    elif typed.startswith("--") and "=" in typed:
        name, _, value = typed.partition("=")
        found = next((p for p in command.params if isinstance(p, click.Option) and name in p.opts), None)
        if found is not None:
            yield from _values(value, f"{name}=", found.name or "", names)
    elif typed.startswith("-"):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                yield from ((name, parameter.help or "") for name in parameter.opts if name.startswith(typed) and len(name) > 2)
    elif commands:
        for name in sorted(COMMANDS):
            if name.startswith(typed):
                module = command_module(name)
                yield name, (module.COMMAND.help if hasattr(module, "COMMAND") else module.HELP) or ""
    else:
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        given = len([word for word in before if not word.startswith("-")])
        if arguments:
            position = min(given, len(arguments) - 1)
            if given < len(arguments) or arguments[position].nargs == -1:
                yield from _values(typed, "", arguments[position].name or "", names)


def _values(typed: str, start: str, name: str, names: Names) -> Iterator[tuple[str, str]]:
    kind = KINDS.get(name, "")
    for value in (*VALUES.get(name, ()), *(names(kind) if kind or name in ("name", "names") else ())):
        if value.startswith(typed):
            yield f"{start}{value}", kind


def told(context: Context, words: Sequence[str]) -> str:
    """The choices, a line each: the word, a tab, what it is."""

    def names(kind: str) -> Sequence[str]:
        with contextlib.suppress(Error, OSError):
            if kind in ("service", "profile"):
                return _of_project(context, words, kind)
            if kind:
                return anyio.run(_of_engine, context, kind)
        return ()

    rows = [f"{word}\t{' '.join(what.split())}".rstrip() for word, what in dict(choices(words, names)).items()]
    return "".join(f"{row}\n" for row in rows)


def _of_project(context: Context, words: Sequence[str], kind: str) -> Sequence[str]:
    at = _command_at(words[:-1])
    said = [_TILDE.sub(lambda found: os.path.expanduser(found[0]), word) for word in words[:-1][:at]]  # no shell has expanded them
    context.options = globals_of([*said, "ps"], context.environ)
    services = context.load(profiles=["*"]).all_services()
    return sorted(services) if kind == "service" else sorted({one for service in services.values() for one in service.profiles})


async def _of_engine(context: Context, kind: str) -> Sequence[str]:
    """Of the engine that runs; none is started for it."""
    socket = context.folders.engine_socket
    if not listening_pid(socket):
        return ()
    engine = DockerEngine(EngineClient(f"unix://{socket}"))
    try:
        if kind == "container":
            return sorted(one["Names"][0].lstrip("/") for one in await engine.containers(all=True))
        if kind == "network":
            return sorted(one["Name"] for one in await engine.networks())
        if kind == "volume":
            return sorted(one["Name"] for one in await engine.volumes())
        if kind == "image":
            return sorted(tag for one in await engine.images() for tag in one.get("RepoTags") or ())
        return ()
    finally:
        await engine.aclose()
