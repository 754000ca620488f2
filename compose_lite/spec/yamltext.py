"""Plain values -> YAML text, in the block style of Docker Compose, character by character. Pure.

What is written reads back as the same value under YAML 1.1 and 1.2 alike: a string that either would take for something
else is quoted (but for the values `=` and `<<`, which the reference leaves plain). Keys stand in the order in which they come: see
`in_yaml_order`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cmp_to_key
from typing import Any

from compose_lite.spec.document import Timestamp
from compose_lite.spec.models.values import go_float

_WORDS = frozenset("true True TRUE false False FALSE null Null NULL ~".split()) | frozenset(
    "y Y yes Yes YES on On ON n N no No NO off Off OFF .nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF".split()
)
_NUMBER = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # to base 60
    r"|0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|\s+)[0-9].*)?")
_FIRST = frozenset("#,[]{}&*!|>'\"%@`")
"""A plain scalar cannot begin with these."""
_SPECIAL = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
"""What is not printed as it is (the reference escapes what lies beyond the first plane too)."""
_BREAKS = re.compile("[\n\r\x85\u2028\u2029]")
_ESCAPES = dict(zip('\0\a\b\t\n\v\f\r\x1b"\\\x85\u2028\u2029', '0abtnvfre"\\NLP', strict=True))


def yaml_text(value: Any) -> str:
    """The document, with a line end."""
    if isinstance(value, dict | list) and value:
        return "\n".join(_lines(value)) + "\n"
    return _scalar(value, "") + "\n"


def in_yaml_order(keys: Iterable[str]) -> list[str]:
    """As the reference sorts the keys of mappings in YAML: numbers in them by value, letters behind all else."""
    names = list(keys)
    return names if len(names) < 2 else sorted(names, key=_order)


def _before(one: str, other: str) -> int:
    digits = False
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a == b:
            digits = a.isdecimal()
            continue
        if a.isalpha() and b.isalpha():
            return -1 if a < b else 1
        if a.isalpha() or b.isalpha():
            return -1 if a.isalpha() == digits else 1
        more = ("0" in (a, b)) and bool(one[:at][len(one[:at].rstrip("0123456789")) :].strip("0"))
        left, right = _digits(one, at), _digits(other, at)
        first, second = int(f"{int(more)}{left}"), int(f"{int(more)}{right}")
        if first != second:
            return -1 if first < second else 1
        if len(left) != len(right):
            return -1 if len(left) < len(right) else 1
        return -1 if a < b else 1
    return len(one) - len(other)


def _digits(text: str, at: int) -> str:
    end = at
    while end < len(text) and text[end].isdecimal():
        end += 1
    return text[at:end]


_order = cmp_to_key(_before)


def _lines(value: Any) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _entry(f"{_key(str(key))}:", item, "  ")
    else:
        for item in value:
            found += _entry("-", item, "  ")
    return found


def _entry(head: str, item: Any, indent: str) -> list[str]:
    if not isinstance(item, dict | list) or not item:
        first, *more = _scalar(item, indent).split("\n")
        return [f"{head} {first}", *more]
    inner = _lines(item)
    if head == "-":
        return [f"- {inner[0]}", *(indent + line if line else line for line in inner[1:])]
    return [head, *(indent + line if line else line for line in inner)]


def _scalar(value: Any, indent: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return go_float(value) if value == value and abs(value) != float("inf") else {"nan": ".nan", "inf": ".inf"}.get(str(value), "-.inf")
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value) if isinstance(value, Timestamp) else _string(str(value), indent)


def _key(text: str) -> str:
    """`<<` too is quoted, as it would mean a merge key when it is read back (the reference leaves it plain)."""
    return f'"{text}"' if text == "<<" else _string(text, "")


def _string(text: str, indent: str) -> str:
    """indent: empty for keys, which stand on one line."""
    special = _SPECIAL.search(text)
    if "\n" in text:
        return _block(text) if indent and not (special and special[0] != "\t") and _fits_block(text) else _double_quoted(text)
    if not text or text in _WORDS or _NUMBER.fullmatch(text) or _DATE.fullmatch(text):
        return _double_quoted(text)
    if special or " \u2028" in text or " \u2029" in text:
        return _double_quoted(text)
    if _BREAKS.search(text) or _has_indicators(text) or text[0] == " " or text[-1] == " ":
        return "'" + text.replace("'", "''") + "'"
    return text


def _has_indicators(text: str) -> bool:
    first = text[0]
    if first in _FIRST or text.startswith(("---", "...")):
        return True
    if first in "-?:" and text[1:2] in ("", " "):
        return True
    return ": " in text or text.endswith(":") or " #" in text


def _fits_block(text: str) -> bool:
    """Trailing blanks of a literal block would not be seen."""
    return not text.endswith(" ") and " \n" not in text and "\t\n" not in text and not any(char in text for char in "\r\x85\u2028\u2029")


def _block(text: str) -> str:
    stripped = text.rstrip("\n")
    ends = len(text) - len(stripped)
    style = "|" + ("2" if text[0] in " \n" else "") + ("-" if not ends else "" if ends == 1 and stripped else "+")
    lines = (stripped + "\n" * max(ends - 1, 0)).split("\n")
    return "\n".join([style, *("  " + line if line else line for line in lines)])


def _double_quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return "\\" + _ESCAPES[char]
    code = ord(char)
    if not _SPECIAL.match(char):
        return char
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
