"""The text of a Dockerfile as instructions: parser directives, comments, continuations, heredocs, arguments. Pure.

Follows BuildKit's parser, whose recorded trees are the tests. Nothing here knows what an instruction means
beyond the form of its arguments, and nothing is expanded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from compose_lite.build.dockerfile import words
from compose_lite.errors import BuildError, Place

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_DIRECTIVES = ("escape", "syntax", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)", re.DOTALL)
_BLANKS = re.compile(r"[\t\v\f\r ]+")
_WITH_HEREDOC = ("add", "copy", "run")


@dataclass(frozen=True, slots=True)
class Span:
    """Lines from `first` to `last`, counted from 1."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Heredoc:
    """name: the delimiter without its quotes. content: as written. strip: `<<-`."""

    name: str
    content: str = ""
    expand: bool = True
    strip: bool = False

    @property
    def text(self) -> str:
        """The content, leading tabs taken off if asked for."""
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE) if self.strip else self.content


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction. args: what its form gives; json: written as a JSON list; inner: that of ONBUILD."""

    keyword: str
    args: tuple[str, ...]
    span: Span
    original: str
    flags: tuple[str, ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    inner: Line | None = None
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.keyword.lower()


@dataclass(slots=True)
class Text:
    """A whole Dockerfile. empty_continuations: the lines (last of their instruction) that BuildKit warns of."""

    lines: list[Line]
    escape: str
    directives: dict[str, str]
    empty_continuations: list[Span] = field(default_factory=list)


def read(content: bytes, file: str = "Dockerfile") -> Text:
    """Splits a Dockerfile; BuildError `dockerfile` with its place where it cannot be."""
    if not content.strip():
        raise BuildError("dockerfile", "the Dockerfile cannot be empty", place=Place(file))
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    reader = _Splitter(text.splitlines(keepends=True) if "\r" not in text.replace("\r\n", "") else _newlines(text), file)
    return reader.read()


def _newlines(text: str) -> list[str]:
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class _Splitter:
    def __init__(self, lines: list[str], file: str) -> None:
        self._lines, self._file = lines, file
        self._at = 0
        self._escape = "\\"
        self._directives: dict[str, str] = {}
        self._directives_over = False
        self._continuation = _continuation("\\")

    def read(self) -> Text:
        found: list[Line] = []
        empty: list[Span] = []
        comments: list[str] = []
        while self._at < len(self._lines):
            raw = self._lines[self._at].rstrip("\r\n").lstrip()
            self._at += 1
            start = self._at
            self._directive(raw)
            if raw.startswith("#"):
                comments.append(raw[1:].strip())
                continue
            line, ended = self._cut(raw)
            if ended and not line:
                comments = []
                continue
            line, hole = self._continued(line, ended)
            if hole:
                empty.append(Span(start, self._at))
            made = self._instruction(line, start, tuple(comments))
            comments = []
            found.append(made)
        if not found:
            raise BuildError("dockerfile", "file with no instructions", place=Place(self._file))
        return Text(found, self._escape, self._directives, empty)

    def _continued(self, line: str, ended: bool) -> tuple[str, bool]:
        hole = False
        while not ended and self._at < len(self._lines):
            more = self._lines[self._at].rstrip("\r\n")
            self._at += 1
            if more.lstrip().startswith("#"):
                continue
            if not more.strip():
                hole = True
                continue
            piece, ended = self._cut(more)
            line += piece
        return line, hole

    def _cut(self, line: str) -> tuple[str, bool]:
        """The line without its continuation mark, and whether it ends the instruction."""
        found = self._continuation.search(line)
        return (line[: found.start() + len(found[1] or "")], False) if found else (line, True)

    def _directive(self, line: str) -> None:
        if self._directives_over:
            return
        found = _DIRECTIVE.match(line)
        if not found:
            self._directives_over = True
            return
        key, value = found[1].lower(), found[2]
        if key not in _DIRECTIVES:
            return
        if key in self._directives:
            raise self._error(f"only one {key} parser directive can be used", self._at, self._at)
        self._directives[key] = value
        if key == "escape":
            if value not in ("`", "\\"):
                raise self._error(f"invalid escape token '{value}' does not match ` or \\", self._at, self._at)
            self._escape, self._continuation = value, _continuation(value)

    def _instruction(self, line: str, start: int, comments: tuple[str, ...]) -> Line:
        try:
            made = _parse(line, self._escape, Span(start, self._at), comments)
        except BuildError as error:
            raise self._error(error.says, start, self._at) from error
        carrier = made.inner if made.name == "onbuild" else made
        if not (carrier and carrier.name in _WITH_HEREDOC and not carrier.json and "<<" in line):
            return made
        filled = []
        for heredoc in _heredocs(line):
            content: list[str] = []
            while True:
                if self._at >= len(self._lines):
                    raise self._error("unterminated heredoc", start, self._at)
                raw = self._lines[self._at]
                self._at += 1
                end = raw.rstrip("\r\n")
                if (end.lstrip("\t") if heredoc.strip else end) == heredoc.name:
                    break
                content.append(raw)
            filled.append(Heredoc(heredoc.name, "".join(content), heredoc.expand, heredoc.strip))
        span = Span(start, self._at)
        inner = made.inner and Line(
            made.inner.keyword, made.inner.args, span, made.inner.original, made.inner.flags, made.inner.json, tuple(filled)
        )
        return Line(made.keyword, made.args, span, made.original, made.flags, made.json, tuple(filled), inner, comments)

    def _error(self, says: str, first: int, last: int) -> BuildError:
        return BuildError("dockerfile", says, place=Place(self._file, first), lines=(first, last))


def _continuation(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(rf"([^{mark}]){mark}[ \t]*$|^{mark}[ \t]*$")


# One instruction


def _parse(line: str, escape: str, span: Span, comments: tuple[str, ...] = ()) -> Line:
    parts = _BLANKS.split(line.strip(), maxsplit=1)
    keyword = parts[0]
    rest, flags = _flags(parts[1]) if len(parts) == 2 else ("", [])
    rest = rest.strip()
    if keyword.lower() == "onbuild":
        inner = _parse(rest, escape, span) if rest else None
        return Line(keyword, (rest,) if rest else (), span, line, tuple(flags), inner=inner, comments=comments)
    form = _FORMS.get(keyword.lower(), _ignored)
    args, is_json = form(rest, keyword, escape)
    return Line(keyword, tuple(args), span, line, tuple(flags), is_json, comments=comments)


def _flags(text: str) -> tuple[str, list[str]]:
    """`--a=b --c rest`: the rest and the flags; quotes and backslashes of a flag are taken off."""
    flags: list[str] = []
    at, size = 0, len(text)
    while True:
        while at < size and text[at].isspace():
            at += 1
        if not text.startswith("--", at):
            return text[at:], flags
        word, quote, blank_counts = "", "", False
        while at < size and (quote or not text[at].isspace()):
            char = text[at]
            at += 1
            if quote and char == quote:
                quote = ""
            elif not quote and char in "'\"":
                quote, blank_counts = char, True
            elif char == "\\":
                word += text[at : at + 1]
                at += 1
            else:
                word += char
        if word == "--":
            return text[at:], flags
        if word or blank_counts:
            flags.append(word)


def _words(rest: str, escape: str) -> list[str]:
    """Splits at blanks; quotes and escapes stay in the words."""
    found: list[str] = []
    word, quote, at = "", "", 0
    while at < len(rest):
        char = rest[at]
        at += 1
        if not quote and char.isspace():
            if word:
                found.append(word)
            word = ""
            continue
        if char == escape and quote != "'":
            if at == len(rest):
                break
            word += char + rest[at]
            at += 1
            continue
        if quote and char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        word += char
    return [*found, word] if word else found


Form = Callable[[str, str, str], tuple[list[str], bool]]


def _json(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        value = json.loads(rest)
    except ValueError:
        return None
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, str) for item in value):
        raise BuildError("dockerfile", "when using JSON array syntax, arrays must be comprised of strings only")
    return value


def _json_or_text(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    value = _json(rest)
    return (value, True) if value is not None else ([rest] if rest else [], False)


def _json_or_words(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    value = _json(rest)
    return (value, True) if value is not None else (rest.split(), False)


def _plain_words(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    return rest.split(), False


def _text(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    return ([rest] if rest else []), False


def _quoted_words(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    return _words(rest, escape), False


def _pairs(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    """name, value, separator; three arguments a pair. The separator is empty in the old form `NAME the rest`."""
    found = _words(rest, escape)
    if not found:
        return [], False
    if "=" not in found[0]:
        parts = _BLANKS.split(rest, maxsplit=1)
        if len(parts) < 2:
            raise BuildError("dockerfile", f"{keyword.upper()} must have two arguments")
        return [*parts, ""], False
    out: list[str] = []
    for word in found:
        name, sign, value = word.partition("=")
        if not sign:
            raise BuildError("dockerfile", f"Syntax error - can't find = in {json.dumps(word)}. Must be of the form: name=value")
        out += [name, value, "="]
    return out, False


def _health(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    parts = rest.split(None, 1)
    if len(parts) < 2:
        return parts, False
    args, is_json = _json_or_text(parts[1].strip(), keyword, escape)
    return [parts[0], *args], is_json


def _ignored(rest: str, keyword: str, escape: str) -> tuple[list[str], bool]:
    return ([rest] if rest else []), False


_FORMS: dict[str, Form] = {
    "add": _json_or_words,
    "arg": _quoted_words,
    "cmd": _json_or_text,
    "copy": _json_or_words,
    "entrypoint": _json_or_text,
    "env": _pairs,
    "expose": _plain_words,
    "from": _plain_words,
    "healthcheck": _health,
    "label": _pairs,
    "maintainer": _text,
    "run": _json_or_text,
    "shell": _json_or_text,
    "stopsignal": _text,
    "user": _text,
    "volume": _json_or_words,
    "workdir": _text,
}
KEYWORDS = (*_FORMS, "onbuild")


# Heredocs

_RAW = words.Rules(raw_quotes=True, raw_escapes=True, keep_unset=True)
_COOKED = words.Rules(keep_unset=True)


def _heredocs(line: str) -> list[Heredoc]:
    try:
        found = words.expand(line, {}, _RAW).words
    except BuildError:
        return []
    return [made for word in found if (made := heredoc(word))]


def heredoc(word: str) -> Heredoc | None:
    """What `<<EOF`, `<<-EOF` or `3<<"E F"` announces, if the word is one."""
    found = _HEREDOC.fullmatch(word)
    if not found or not found[3]:
        return None
    try:
        cooked, raw = words.expand(found[3], {}, _COOKED).words, words.expand(found[3], {}, _RAW).words
    except BuildError:
        return None
    if len(cooked) != 1:
        return None
    return Heredoc(cooked[0], expand=cooked == raw, strip=found[2] == "-")
