"""Go templates as `--format` takes them: fields, pipes, variables, if, range, with, and the functions of Docker's command line.

Works on JSON values; a callable in a dict is a method (`{{.Label "x"}}`). Pure: prints nothing, reads nothing, calls nothing but those.
Reference: https://pkg.go.dev/text/template and https://docs.docker.com/engine/cli/formatting/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compose_lite.errors import UsageError

# What Docker's documents leave out when it is empty: asking for it is no error.
OPTIONAL = frozenset(
    "Health Healthcheck StopTimeout StopSignal Shell OnBuild MacAddress Labels ExposedPorts Volumes ArgsEscaped NetworkDisabled"
    " SizeRw SizeRootFs Options Status UsageData Variant Parent Comment DockerVersion Container ContainerConfig ImageManifestDescriptor"
    " Descriptor Manifests IPAMConfig Links Aliases DriverOpts Peers Services Domainname Entrypoint Annotations ConfigFrom".split()
)
_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<field>(?:\.[A-Za-z_]\w*)+|\.)"""
    r"""|(?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)|(?P<word>[A-Za-z_]\w*)|(?P<mark>:=|=|[|(),]))"""
)


class TemplateError(ValueError):
    """The text is no template, or asks for what is not there. Translated by `Template.render` and `compile`."""


@dataclass(frozen=True, slots=True)
class _Pipe:
    """Commands, each fed to the next one's last argument; names: the variables that take the result."""

    names: tuple[str, ...]
    commands: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """kind: text, show, if, range or with. body and other: what follows it, and what follows `else`."""

    kind: str
    pipe: _Pipe | None = None
    text: str = ""
    body: tuple[_Block, ...] = ()
    other: tuple[_Block, ...] = ()


_PLACE = re.compile(r"at <(\.[^>]*)>")  # of the error in the text


@dataclass(frozen=True, slots=True)
class Template:
    blocks: tuple[_Block, ...]
    text: str = ""

    def render(self, value: Any) -> str:
        """The text for one value. Raises UsageError."""
        made: list[str] = []
        try:
            _run(self.blocks, value, {"$": value}, made)
        except TemplateError as error:
            found = _PLACE.match(str(error))
            column = f":{self.text.find(found[1])}" if found and found[1] in self.text else ""
            raise UsageError("template", f'template parsing error: template: :1{column}: executing "" {error}') from None
        return "".join(made)


def compile(text: str) -> Template:
    """Raises UsageError for what is no template."""
    try:
        blocks, _ = _blocks(_pieces(text), 0, ())
        return Template(blocks, text)
    except TemplateError as error:
        raise UsageError("template", f"template parsing error: template: :1: {error}") from None


# --- reading


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(is an action, text) in order, spaces trimmed as `{{-` and `-}}` say."""
    made: list[tuple[bool, str]] = []
    at, trim = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        before = before.lstrip() if trim else before
        made.append((False, before.rstrip() if found[1] else before))
        if not found[2].startswith("/*"):
            made.append((True, found[2]))
        at, trim = found.end(), bool(found[3])
    rest = text[at:].lstrip() if trim else text[at:]
    if "{{" in rest:
        raise TemplateError("unclosed action")
    return [*made, (False, rest)]


def _blocks(pieces: list[tuple[bool, str]], at: int, until: tuple[str, ...]) -> tuple[tuple[_Block, ...], int]:
    """The blocks from a piece on, and the place of the `end` or `else` that ends them."""
    made: list[_Block] = []
    while at < len(pieces):
        is_action, text = pieces[at]
        word = text.split(None, 1)[0] if text.strip() else ""
        if not is_action:
            made.append(_Block("text", text=text))
        elif word in ("end", "else"):
            if word not in until:
                raise TemplateError(f"unexpected {{{{{word}}}}}")
            return tuple(made), at
        elif word in ("if", "range", "with"):
            block, at = _nested(pieces, at, word, text.partition(word)[2])
            made.append(block)
        elif not text:
            raise TemplateError("missing value for command")
        else:
            made.append(_Block("show", _pipe(text)))
        at += 1
    if until:
        raise TemplateError("unexpected EOF")
    return tuple(made), at


def _nested(pieces: list[tuple[bool, str]], at: int, kind: str, head: str) -> tuple[_Block, int]:
    pipe = _pipe(head)
    body, at = _blocks(pieces, at + 1, ("end", "else"))
    other: tuple[_Block, ...] = ()
    rest = pieces[at][1].removeprefix("else").strip() if pieces[at][1].startswith("else") else None
    if rest == "":
        other, at = _blocks(pieces, at + 1, ("end",))
    elif rest is not None:
        inner = rest.split(None, 1)[0]
        if inner not in ("if", "with"):
            raise TemplateError(f"unexpected <{rest}> after else")
        block, at = _nested(pieces, at, inner, rest.partition(inner)[2])
        other = (block,)
    return _Block(kind, pipe, "", body, other), at


def _tokens(text: str) -> list[tuple[str, str, bool]]:
    """(kind, text, has a space before it)."""
    made: list[tuple[str, str, bool]] = []
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found or not found.lastgroup:
            raise TemplateError(f"unexpected {text[at:].strip()[:1]!r} in operand")
        made.append((found.lastgroup, found[found.lastgroup], found[0][:1].isspace()))
        at = found.end()
    return made


def _pipe(text: str) -> _Pipe:
    tokens = _tokens(text)
    names: list[str] = []
    marks = [n for n, token in enumerate(tokens) if token[1] in (":=", "=") and token[0] == "mark"]
    if marks:
        names = [value for kind, value, _ in tokens[: marks[0]] if kind == "variable"]
        tokens = tokens[marks[0] + 1 :]
    commands, rest = _commands(tokens)
    if rest:
        raise TemplateError("unexpected right paren")
    return _Pipe(tuple(names), commands)


def _commands(tokens: list[tuple[str, str, bool]]) -> tuple[tuple[tuple[Any, ...], ...], list[tuple[str, str, bool]]]:
    """Commands up to the end or a closing parenthesis; the tokens from there on."""
    commands: list[tuple[Any, ...]] = []
    words: list[Any] = []
    while tokens:
        (kind, text, spaced), tokens = tokens[0], tokens[1:]
        if (kind, text) == ("mark", ")"):
            tokens = [(kind, text, spaced), *tokens]
            break
        if (kind, text) == ("mark", "|"):
            commands.append(tuple(words))
            words = []
        elif (kind, text) == ("mark", "("):
            inner, tokens = _commands(tokens)
            if not tokens:
                raise TemplateError("unclosed left paren")
            words.append(("pipe", _Pipe((), inner)))
            tokens = tokens[1:]
        elif kind == "field" and not spaced and words and words[-1][0] == "pipe":
            words[-1] = ("of", (words[-1][1], text))
        else:
            words.append((kind, text))
    commands.append(tuple(words))
    if not all(commands):
        raise TemplateError("missing value for command")
    return tuple(commands), tokens


# --- running


def _run(blocks: Sequence[_Block], dot: Any, names: dict[str, Any], made: list[str]) -> None:
    for block in blocks:
        if block.pipe is None:
            made.append(block.text)
        elif block.kind == "range":
            _range(block, dot, dict(names), made)
        else:
            scope = names if block.kind == "show" else dict(names)
            value = _value(block.pipe, dot, scope)
            if block.kind == "show":
                if not block.pipe.names:
                    made.append(shown(value))
            else:
                inside = value if block.kind == "with" and truth(value) else dot
                _run(block.body if truth(value) else block.other, inside, scope, made)


def _range(block: _Block, dot: Any, names: dict[str, Any], made: list[str]) -> None:
    assert block.pipe
    value = _value(_Pipe((), block.pipe.commands), dot, names)
    if isinstance(value, Mapping):
        pairs: list[tuple[Any, Any]] = sorted((k, v) for k, v in value.items() if not callable(v))
    elif isinstance(value, list | tuple):
        pairs = list(enumerate(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        pairs = [(n, n) for n in range(value)]
    elif value is None:
        pairs = []
    else:
        raise TemplateError(f"range can't iterate over {shown(value)}")
    for key, one in pairs:
        names.update(zip(block.pipe.names, (key, one) if len(block.pipe.names) > 1 else (one,), strict=False))
        _run(block.body, one, names, made)
    if not pairs:
        _run(block.other, dot, names, made)


def _value(pipe: _Pipe, dot: Any, names: dict[str, Any]) -> Any:
    value: Any = None
    for n, command in enumerate(pipe.commands):
        value = _command(command, dot, names, (value,) if n else ())
    for name in pipe.names:
        names[name] = value
    return value


def _command(words: tuple[Any, ...], dot: Any, names: dict[str, Any], last: tuple[Any, ...]) -> Any:
    (kind, text), rest = words[0], words[1:]
    arguments = (*(_operand(word, dot, names) for word in rest), *last)
    if kind == "word" and text in FUNCTIONS:
        try:
            return FUNCTIONS[text](*arguments)
        except (TypeError, ValueError, LookupError) as error:
            raise TemplateError(f"error calling {text}: {error}") from None
    if kind == "field" and arguments:
        *path, method = text.split(".")[1:]
        found = _fields(dot, path)
        if isinstance(found, Mapping) and callable(found.get(method)):
            return found[method](*arguments)
    if arguments:
        raise TemplateError(f"can't give argument to non-function {text}")
    return _operand(words[0], dot, names)


def _operand(word: tuple[str, Any], dot: Any, names: dict[str, Any]) -> Any:
    kind, text = word
    if kind == "field":
        return _fields(dot, text.split(".")[1:] if text != "." else [])
    if kind == "variable":
        name, *path = text.split(".")
        if name not in names:
            raise TemplateError(f'undefined variable "{name}"')
        return _fields(names[name], path)
    if kind == "string":
        return text[1:-1] if text[0] == "`" else json.loads(text)
    if kind == "number":
        return float(text) if "." in text else int(text)
    if kind == "pipe":
        return _value(text, dot, names)
    if kind == "of":
        return _fields(_value(text[0], dot, names), text[1].split(".")[1:])
    if text in ("true", "false", "nil"):
        return {"true": True, "false": False, "nil": None}[text]
    if text in FUNCTIONS:
        return _command((word,), dot, names, ())
    raise TemplateError(f'function "{text}" not defined')


def _fields(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
            value = value() if callable(value) else value
        elif isinstance(value, Mapping) and name in OPTIONAL:
            value = None
        elif value is None:
            raise TemplateError(f"at <.{'.'.join(path)}>: nil pointer evaluating .{name}")
        elif isinstance(value, Mapping):
            raise TemplateError(f'at <.{".".join(path)}>: map has no entry for key "{name}"')
        else:
            raise TemplateError(f"at <.{'.'.join(path)}>: can't evaluate field {name} in {shown(value)}")
    return value


# --- values


def truth(value: Any) -> bool:
    """What `if` takes for true: neither zero nor empty."""
    return bool(value)


def shown(value: Any) -> str:
    """Go's %v."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{k}:{_inner(v)}" for k, v in sorted(value.items()) if not callable(v)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_inner, value)) + "]"
    return str(value)


def _inner(value: Any) -> str:
    return "<nil>" if value is None else shown(value)


def plain(value: Any) -> Any:
    """A value without its methods."""
    return {k: v for k, v in value.items() if not callable(v)} if isinstance(value, Mapping) else value


class Shown(dict[str, Any]):
    """A row of a listing: as a whole it is JSON by Go's Marshal; the function `json` leaves `<`, `>` and `&` of other values alone."""


def go_json(value: Any) -> str:
    """As Go's json.Marshal writes it."""
    return _compact(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def as_json(value: Any) -> str:
    if isinstance(value, Shown):
        return go_json(dict(sorted(plain(value).items())))
    return _compact(plain(value))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "" if all(isinstance(v, str) for v in value.values()) else None)
        elif isinstance(value, list | tuple | str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise ValueError(f"index out of range: {key}")
            value = value[key]
        else:
            raise ValueError(f"can't index {shown(value)} with {shown(key)}")
    return value


def _printf(form: str, *values: Any) -> str:
    rest = iter(values)

    def one(found: re.Match[str]) -> str:
        flags, verb = found[1], found[2]
        if verb == "%":
            return "%"
        value = next(rest, None)
        if verb in "vs":
            return f"%{flags.replace('+', '').replace('#', '')}s" % shown(value)
        if verb == "q":
            return json.dumps(shown(value), ensure_ascii=False)
        if verb == "t":
            return shown(bool(value))
        return f"%{flags}{verb}" % value

    return re.sub(r"%([-+# 0]*\d*(?:\.\d+)?)([vsqtdxXofgeTc%])", one, form)


def _all(*values: Any) -> Any:
    return next((value for value in values if not truth(value)), values[-1])


def _any(*values: Any) -> Any:
    return next((value for value in values if truth(value)), values[-1])


def _slice(value: Any, *bounds: int) -> Any:
    return value[slice(*bounds[:2])] if len(bounds) > 1 else value[bounds[0] :] if bounds else value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": as_json,
    "index": _index,
    "len": len,
    "slice": _slice,
    "print": lambda *values: "".join(map(shown, values)),
    "println": lambda *values: " ".join(map(shown, values)) + "\n",
    "printf": _printf,
    "join": lambda values, separator="": separator.join(map(shown, values or ())),
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "title": lambda text: str(text).title(),
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "truncate": lambda text, length: text[:length],
    "not": lambda value: not truth(value),
    "and": _all,
    "or": _any,
    "eq": lambda one, *others: any(one == other for other in others),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
}
