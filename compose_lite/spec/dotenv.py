r"""The grammar of .env and env_file. Pure: text and a lookup in, variables out.

`KEY=value`, `KEY: value`, `export KEY=value`, `KEY` alone (its value comes from the lookup), comments, `'raw'` and
`"escaped ${expanded}"` values over several lines; unquoted values are expanded and end at ` #`. The `raw` format is that
of `docker run --env-file`: all after the first `=` is the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from compose_lite.spec.interpolate import Lookup, Warn, substitute

_SPACES = "\t\v\f\r \x85\xa0"
_EXPORT = re.compile(r"export\s+")
_ESCAPES = re.compile(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})')
_SINGLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\", "$": "$$"}


class DotenvError(ValueError):
    """line: where, counted from 1."""

    def __init__(self, line: int, says: str) -> None:
        super().__init__(f"line {line}: {says}" if line else says)
        self.line = line


def parse(text: str, lookup: Lookup, known: Mapping[str, str] | None = None, warn: Warn | None = None) -> dict[str, str]:
    """The variables of the text. lookup wins over known and over earlier lines when a value is expanded."""
    found: dict[str, str] = dict(known or {})

    def resolve(name: str) -> str | None:
        value = lookup(name)
        return found.get(name) if value is None else value

    text = text.removeprefix("\ufeff")
    at = _skip(text, 0)
    while at < len(text):
        key, at, inherited = _key(text, at)
        if inherited:
            value = lookup(key)
            if value is not None:
                found[key] = value
        else:
            found[key], at = _value(text, at, resolve, warn)
        at = _skip(text, at)
    return found


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _skip(text: str, at: int) -> int:
    """Over white space and comments to where a statement begins, or to the end."""
    while at < len(text):
        if text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text[at].isspace():
            at += 1
        else:
            break
    return at


def _key(text: str, at: int) -> tuple[str, int, bool]:
    """The name, where its value begins, and whether it stands alone."""
    exported = _EXPORT.match(text, at)
    if exported:
        at = exported.end()
    end = at
    while end < len(text) and text[end] not in "=:\n":
        char = text[end]
        if char not in _SPACES and char not in "_.-[]" and not char.isalnum():
            line = text[at:].split("\n", 1)[0]
            raise DotenvError(_line(text, at), f'unexpected character "{char}" in variable name "{line}"')
        end += 1
    key = text[at:end].rstrip()
    if " " in key:
        raise DotenvError(_line(text, at), "key cannot contain a space")
    inherited = end >= len(text) or text[end] == "\n"
    end += 1
    while end < len(text) and text[end] in _SPACES:
        end += 1
    return key, end, inherited


def _value(text: str, at: int, resolve: Lookup, warn: Warn | None) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote not in ("'", '"') or not quote:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        bare = text[at:end].partition(" #")[0].rstrip()
        return substitute(bare, resolve, warn), end
    raw, end = _quoted(text, at, quote)
    return (substitute(_unescape(raw), resolve, warn) if quote == '"' else raw), end


def _quoted(text: str, at: int, quote: str) -> tuple[str, int]:
    """What stands between the quotes, and where it ends. A backslash hides the quote; other escapes stay for later."""
    parts: list[str] = []
    end = at + 1
    while end < len(text):
        char = text[end]
        if char == "\\" and end + 1 < len(text):
            following = text[end + 1]
            parts.append(following if following == quote else char + following)
            end += 2
            continue
        if char == quote:
            return "".join(parts), end + 1
        parts.append(char)
        end += 1
    line = text[at:].split("\n", 1)[0]
    raise DotenvError(_line(text, at), f"unterminated quoted value {line}")


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        body = match[0][1:]
        if body[0] == "0":
            # \0123 is the octal number 123; with other than three digits only the 0 goes
            octal = body[1:]
            return chr(int(octal, 8)) if re.fullmatch("[0-3][0-7]{2}", octal) else "\\" + octal
        return _SINGLE.get(body, match[0])

    return _ESCAPES.sub(one, text)


def parse_raw(text: str, lookup: Lookup) -> dict[str, str]:
    """The `raw` format: lines `KEY=value` taken as they are, `KEY` alone from the lookup, `#` comments."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.lstrip(" \t")
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not key:
            raise DotenvError(number, f"no variable name on line '{line}'")
        if " " in key or "\t" in key:
            raise DotenvError(number, f"variable '{key}' contains whitespaces")
        inherited = None if equals else lookup(key)
        if equals or inherited is not None:
            found[key] = value if equals else inherited or ""
    return found
