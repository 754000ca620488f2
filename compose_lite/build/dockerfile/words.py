"""Words of a Dockerfile: quotes, escapes and `$VARIABLE` expansion as BuildKit's shell lexer has them. Pure.

This is not a shell: no globbing, no commands, no arithmetic. What a RUN's shell sees is never expanded here.
Specification: https://docs.docker.com/reference/dockerfile/#environment-replacement
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from compose_lite.errors import BuildError

_SPECIAL = "@*#?-$!0"
_END = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to read. raw_quotes and raw_escapes keep the characters; keep_unset leaves `$X` as it is when X is not set."""

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    plain_quotes: bool = False
    """Quotes mean nothing (the text of a heredoc)."""
    keep_unset: bool = False


@dataclass(slots=True)
class Expansion:
    text: str
    words: list[str]
    unset: set[str] = field(default_factory=set)
    """Names that were asked for and are not set."""
    used: set[str] = field(default_factory=set)
    """Those that are."""


def expand(text: str, env: Mapping[str, str], rules: Rules = Rules()) -> Expansion:
    """The text with its variables replaced, as one word and split into words; BuildError `expansion` where it cannot be."""
    reader = _Reader(text, env, rules)
    result, words = reader.until(_END, rules.raw_escapes)
    return Expansion(result, words, reader.unset, reader.used)


class _Words:
    """Splits at blanks that are neither quoted nor escaped."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._word = ""
        self._inside = False

    def char(self, char: str) -> None:
        if not char.isspace():
            self.raw(char)
        elif self._inside and self._word:
            self.done.append(self._word)
            self._word, self._inside = "", False

    def raw(self, text: str) -> None:
        self._word += text
        self._inside = True

    def text(self, text: str) -> None:
        for char in text:
            self.char(char)

    def finish(self) -> list[str]:
        return [*self.done, self._word] if self._word else self.done


class _Reader:
    def __init__(self, text: str, env: Mapping[str, str], rules: Rules) -> None:
        self._text, self._env, self._rules, self._at = text, env, rules, 0
        self._raw_escapes = rules.raw_escapes
        self.unset: set[str] = set()
        self.used: set[str] = set()

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else _END

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def until(self, stop: str, raw_escapes: bool) -> tuple[str, list[str]]:
        before, self._raw_escapes = self._raw_escapes, raw_escapes
        try:
            return self._until(stop)
        finally:
            self._raw_escapes = before

    def _until(self, stop: str) -> tuple[str, list[str]]:
        result: list[str] = []
        words = _Words()
        special: dict[str, Callable[[], str]] = {"$": self._dollar}
        if not self._rules.plain_quotes:
            special |= {"'": self._single, '"': self._double}
        while (char := self._peek()) != _END:
            if stop and char == stop:
                self._next()
                return "".join(result), words.finish()
            if char in special:
                piece = special[char]()
                result.append(piece)
                (words.text if char == "$" else words.raw)(piece)
                continue
            self._next()
            if char == self._rules.escape:
                if self._raw_escapes:
                    words.raw(char)
                    result.append(char)
                char = self._next()
                if char == _END:
                    break
                words.raw(char)
            else:
                words.char(char)
            result.append(char)
        if stop:
            raise _bad(f"unexpected end of statement while looking for matching {stop}")
        return "".join(result), words.finish()

    def _single(self) -> str:
        quote = self._next()
        end = self._text.find("'", self._at)
        if end < 0:
            raise _bad("unexpected end of statement while looking for matching single-quote")
        inner, self._at = self._text[self._at : end], end + 1
        return f"{quote}{inner}{quote}" if self._rules.raw_quotes else inner

    def _double(self) -> str:
        quote = self._next()
        result = [quote] if self._rules.raw_quotes else []
        while True:
            char = self._peek()
            if char == _END:
                raise _bad("unexpected end of statement while looking for matching double-quote")
            if char == "$":
                result.append(self._dollar())
                continue
            self._next()
            if char == '"':
                return "".join([*result, quote] if self._rules.raw_quotes else result)
            if char == self._rules.escape:
                if self._raw_escapes:
                    result.append(char)
                char = self._next()
                if char == _END:
                    continue
                if char not in ('"', "$", self._rules.escape) and not self._raw_escapes:
                    result.append(self._rules.escape)
            result.append(char)

    # Variables

    def _lookup(self, name: str) -> tuple[str, bool]:
        if name in self._env:
            self.used.add(name)
            return self._env[name], True
        if name and name not in _SPECIAL and not name[0].isdigit():
            self.unset.add(name)
        return "", False

    def _name(self) -> str:
        char = self._peek()
        start = self._at
        if char and char.isdigit():
            while self._peek() != _END and self._peek().isdigit():
                self._next()
        elif char and char in _SPECIAL:
            self._next()
        else:
            while (c := self._peek()) != _END and (c.isalnum() or c == "_"):
                self._next()
        return self._text[start : self._at]

    def _dollar(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value, found = self._lookup(name)
            return f"${name}" if not found and self._rules.keep_unset else value
        self._next()
        if self._peek() == _END:
            raise _bad("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise _bad("syntax error: bad substitution")
        name = self._name()
        return self._operator(name)

    def _operator(self, name: str) -> str:
        operator = self._next()
        if operator == "}":
            value, found = self._lookup(name)
            return f"${{{name}}}" if not found and self._rules.keep_unset else value
        if operator == "/":
            return self._replacement(name)
        empty_counts = operator == ":"
        if empty_counts:
            operator = self._next()
        shown = (":" if empty_counts else "") + operator
        if operator == _END:
            raise _bad("syntax error: missing '}'")
        if operator not in "+-?#%" or (empty_counts and operator in "#%"):
            raise _bad(f"unsupported modifier ({shown}) in substitution")
        word = self._braced("}", operator in "#%")
        value, found = self._lookup(name)
        if not found and self._rules.keep_unset:
            return f"${{{name}{shown}{word}}}"
        missing = not found or (empty_counts and not value)
        if operator == "-":
            return word if missing else value
        if operator == "+":
            return "" if missing else word
        if operator == "?":
            if missing:
                raise _bad(f"{name}: {word or ('is not allowed to be empty' if found else 'is not allowed to be unset')}")
            return value
        longest = word.startswith(operator)
        return _trim(value, word[1:] if longest else word, longest, operator == "#")

    def _replacement(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._braced("/", True)
        replacement = self._braced("}", True)
        value, found = self._lookup(name)
        if not found and self._rules.keep_unset:
            return f"${{{name}/{'/' if everywhere else ''}{pattern}/{replacement}}}"
        return re.sub(_regex(pattern, greedy=True), lambda _: replacement, value, count=0 if everywhere else 1)

    def _braced(self, stop: str, raw_escapes: bool) -> str:
        try:
            return self.until(stop, raw_escapes)[0]
        except BuildError:
            if self._peek() == _END:
                raise _bad("syntax error: missing '}'") from None
            raise


def _trim(value: str, pattern: str, longest: bool, front: bool) -> str:
    whole = re.compile(_regex(pattern, greedy=True), re.DOTALL)
    if front:
        ends = range(len(value), -1, -1) if longest else range(len(value) + 1)
        return next((value[i:] for i in ends if whole.fullmatch(value, 0, i)), value)
    starts = range(len(value) + 1) if longest else range(len(value), -1, -1)
    return next((value[:i] for i in starts if whole.fullmatch(value, i)), value)


def _regex(pattern: str, *, greedy: bool) -> str:
    out, characters = [], iter(pattern)
    for char in characters:
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            out.append(re.escape(next(characters, "\\")))
        else:
            out.append(re.escape(char))
    return "".join(out)


def _bad(says: str) -> BuildError:
    return BuildError("expansion", says)
