"""Options as Go's pflag reads them, on click: `--detach=false`, optional values only with `=`, no abbreviations.

A command is a `Command` with a tuple of parameters; `parse` gives its values. Nothing is run by click.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from compose_lite.errors import UsageError

_TRUE, _FALSE = {"1", "t", "T", "true", "TRUE", "True"}, {"0", "f", "F", "false", "FALSE", "False"}


class Flag(click.Option):
    """A switch; `--name=false` turns it off (click knows that as `--off:name`). default None: three-valued."""


class Optional(click.Option):
    """An option whose value may be left out (`--pull`, `--pull=always`); then it is `implied`."""

    def __init__(self, *args: Any, implied: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.implied = implied


def flag(*names: str, help: str = "", default: bool | None = False, hidden: bool = False) -> click.Option:
    longest = max((n for n in names if n.startswith("-")), key=len)
    spelled = [f"{n}/--off:{longest.lstrip('-')}" if n == longest else n for n in names]
    return Flag(spelled, is_flag=True, default=default, help=help, hidden=hidden)


def option(*names: str, help: str = "", default: Any = None, type: Any = str, hidden: bool = False) -> click.Option:
    return click.Option(list(names), default=default, type=type, help=help, hidden=hidden)


def options(*names: str, help: str = "", hidden: bool = False) -> click.Option:
    """An option that may be given more than once."""
    return click.Option(list(names), multiple=True, help=help, hidden=hidden)


def optional(*names: str, implied: str, help: str = "", default: Any = None) -> click.Option:
    return Optional(list(names), implied=implied, default=default, help=help)


def argument(name: str, *, required: bool = True, metavar: str | None = None) -> click.Argument:
    """metavar: how usage lines write it, where that is not the name in capitals."""
    return click.Argument([name], required=required, metavar=metavar)


def arguments(name: str, *, required: bool = False, metavar: str | None = None) -> click.Argument:
    """Any number of words; usage lines write the name in the singular."""
    return click.Argument([name], nargs=-1, required=required, metavar=metavar)


_DOCKERS_WORDS = ("cp", "publish", "wait")
"""Commands of which the reference counts arguments by docker's own helpers."""


class Command(click.Command):
    """One command line. interspersed False: the first word that is no option ends the options (run, exec)."""

    def __init__(self, name: str, help: str, parameters: Iterable[click.Parameter], *, interspersed: bool = True) -> None:
        super().__init__(name, help=help, params=list(parameters), add_help_option=False, context_settings={"help_option_names": []})
        self.allow_interspersed_args = interspersed

    def read(self, argv: Sequence[str], path: str, *, noun: bool = False) -> dict[str, Any]:
        """The values by parameter name. Raises UsageError in pflag's words; path: `compose-lite up`, for the message.

        noun: it is a command of one (`container rm`), so that docker's words and statuses are due.
        """
        try:
            return self.read_given(argv, path, noun=noun)[0]
        except UsageError as error:
            if noun and error.code in ("unknown-flag", "flag-value", "flag-needs-argument"):
                error.status = 125
            raise

    def read_given(self, argv: Sequence[str], path: str, *, noun: bool = False) -> tuple[dict[str, Any], set[str]]:
        """`read`, and the names of the parameters that the words give: what they do not may have another source than its default."""
        try:
            words = list(argv)
            context = self.make_context(path, self._rewritten(words), resilient_parsing=False)
        except click.NoSuchOption as error:
            name = error.option_name
            says = f"unknown flag: {name}" if name.startswith("--") else f"unknown shorthand flag: {name[1:2]!r} in {name}"
            raise UsageError("unknown-flag", says, remedy=f"See '{path} --help'.") from None
        except click.BadOptionUsage as error:
            raise _needs_argument(error.option_name) from None
        except click.MissingParameter:
            raise self._number_of_arguments(words, path, "argument-missing", noun) from None
        except click.BadParameter as error:
            assert isinstance(error.param, click.Option)
            says = f'invalid argument {_quoted(error.message)} for "{spelled(error.param)}" flag'
            raise UsageError("flag-value", f"{says}: {_parsing(error.param, error.message)}", remedy=f"See '{path} --help'.") from None
        except click.UsageError as error:
            if error.message.startswith("Got unexpected extra argument"):
                raise self._number_of_arguments(words, path, "usage", noun) from None
            raise UsageError("usage", error.format_message(), remedy=f"See '{path} --help'.") from None
        given = {name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
        return dict(context.params), given

    def _number_of_arguments(self, argv: Sequence[str], path: str, code: str, noun: bool) -> UsageError:
        """Too few or too many of them, in cobra's words or those of docker."""
        own = [p for p in self.params if isinstance(p, click.Argument)]
        least, most = sum(a.required for a in own), len(own)
        any_number = [*(p for p in self.params if isinstance(p, click.Option)), arguments("given")]
        given = Command("", "", any_number, interspersed=self.allow_interspersed_args).read(argv, path)["given"]
        if not own and not noun:
            says = f'unknown command "{given[0]}" for "{path}"'
        elif not own:
            says = f"'{path}' accepts no arguments"
        elif noun or self.name in _DOCKERS_WORDS:
            at_least = "at least " if any(a.nargs == -1 for a in own) else ""
            says = f"'{path}' requires {at_least}{least} argument{'s' if least > 1 else ''}"
        elif least < most and all(a.nargs != -1 for a in own):
            says = f"accepts between {least} and {most} arg(s), received {len(given)}"
        elif len(given) < least:
            says = f"requires at least {least} arg(s), only received {len(given)}"
        else:
            says = f"accepts {most} arg(s), received {len(given)}"
        return UsageError(code, says, remedy=f"Usage: {path} {self.synopsis()}")

    def _rewritten(self, argv: list[str]) -> list[str]:
        """The words in click's dialect: switches without values, optional values with one."""
        by_name = {name: p for p in self.params if isinstance(p, click.Option) for name in p.opts}
        made: list[str] = []
        at = 0
        while at < len(argv):
            word = argv[at]
            at += 1
            if word == "--":
                return [*made, word, *argv[at:]]
            if not word.startswith("-") or word == "-":
                if not self.allow_interspersed_args:
                    return [*made, "--", word, *argv[at:]]
                made.append(word)
                continue
            name, equals, value = word.partition("=")
            found = by_name.get(name)
            if isinstance(found, Flag) and equals:
                if value not in _TRUE | _FALSE:
                    says = f'invalid argument "{value}" for "{spelled(found)}" flag: strconv.ParseBool: parsing "{value}": invalid syntax'
                    raise UsageError("flag-value", says)
                made.append(name if value in _TRUE else found.secondary_opts[0])
            elif isinstance(found, Optional):
                made.append(word if equals else f"{name}={found.implied}")
            elif found is not None and not isinstance(found, Flag) and not equals:
                if at >= len(argv):
                    raise _needs_argument(name)
                made += [f"{name}={argv[at]}"] if name.startswith("--") else [name, argv[at]]
                at += 1
            elif found is not None and equals and not name.startswith("--"):
                made += [name, value]
            else:
                made.append(word)
                if found is None and not word.startswith("--") and self._bundle_wants_value(word, by_name) and at < len(argv):
                    made.append(argv[at])
                    at += 1
        return made

    @staticmethod
    def _bundle_wants_value(word: str, by_name: dict[str, click.Option]) -> bool:
        """`-dp NAME`: the last letter of a bundle takes the next word."""
        letters = word[1:]
        for at, letter in enumerate(letters):
            found = by_name.get("-" + letter)
            if found is None:
                return False
            if not isinstance(found, Flag):
                return at == len(letters) - 1
        return False

    def usage(self, path: str) -> str:
        """The text of --help."""
        lines = [f"Usage:  {path} {self.synopsis()}".rstrip()]
        lines += ["", self.help or ""]
        rows = [(self._spelling(p), meaning(p)) for p in self.shown_options()]
        if rows:
            width = max(len(left) for left, _ in rows)
            lines += [
                "",
                "Options:",
                *(f"  {left:<{width}}   {right}" for left, right in sorted(rows, key=lambda row: row[0].partition("--")[2].lower())),
            ]
        return "\n".join(lines) + "\n"

    def shown_options(self) -> list[click.Option]:
        return [p for p in self.params if isinstance(p, click.Option) and not p.hidden]

    def synopsis(self) -> str:
        """What follows the command's name: `[OPTIONS] SERVICE [COMMAND]`."""
        words = ["[OPTIONS]"] if self.shown_options() else []
        return " ".join([*words, *(metavar(p) for p in self.params if isinstance(p, click.Argument))])

    @staticmethod
    def _spelling(parameter: click.Option) -> str:
        short = next((o for o in parameter.opts if not o.startswith("--")), None)
        long = next((o for o in parameter.opts if o.startswith("--")), "")
        return f"{short + ', ' if short else '    '}{long} {kind(parameter)}".rstrip()


def _needs_argument(name: str) -> UsageError:
    """name: as it stands on the line, `--tail` or `-n`."""
    return UsageError("flag-needs-argument", f"flag needs an argument: {name if name.startswith('--') else f'{name[1]!r} in {name}'}")


def _parsing(option: click.Option, value: str) -> str:
    """Why Go's strconv would not read the value."""
    return f"strconv.{'ParseInt' if option.type is click.INT else 'ParseFloat'}: parsing {_quoted(value)}: invalid syntax"


def _quoted(message: str) -> str:
    """The value that click's message names, in Go's quotes."""
    return '"' + message.split(" is not a valid")[0].strip("'") + '"'


def spelled(option: click.Option) -> str:
    """An option's names in messages: `-t, --timeout`."""
    return ", ".join(sorted(option.opts, key=len))


def kind(option: click.Option) -> str:
    """The kind of an option's value in pflag's words; empty for a switch."""
    if isinstance(option, Flag):
        return ""
    if option.multiple:
        return "stringArray"
    return {"text": "string", "integer": "int"}.get(option.type.name, option.type.name)


def meaning(option: click.Option) -> str:
    """An option's help with its default, where it has one that says something."""
    default = option.default
    if not default or callable(default) or option.multiple or "default" in (option.help or "").lower():
        return option.help or ""
    said = "true" if default is True else f'"{default}"' if isinstance(default, str) else str(default)
    return f"{option.help} (default {said})"


def metavar(argument: click.Argument) -> str:
    """An argument in a usage line: `SERVICE`, `[SERVICE...]`, `SERVICE [SERVICE...]`."""
    if argument.metavar:
        return argument.metavar
    name = (argument.name or "").upper()
    if argument.nargs != -1:
        return name if argument.required else f"[{name}]"
    name = name.removesuffix("S")
    return f"{name} [{name}...]" if argument.required else f"[{name}...]"
