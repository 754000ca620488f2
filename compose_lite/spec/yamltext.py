"""Plain values -> YAML text, in the block style of Docker Compose. Pure.

What is written reads back as the same value under YAML 1.1 and 1.2 alike: a string that either would take for something
else is quoted.
"""

from __future__ import annotations

import json
import re
from typing import Any

from compose_lite.spec.document import Timestamp
from compose_lite.spec.models.values import go_float

_BARE = re.compile(r"[A-Za-z_/0-9](?:[\w./@%+=$~^()-]|:(?=[\w./@%+=$~^()-])| (?=[\w./@%+=$~^()-]))*", re.ASCII)
_NUMBER_LIKE = re.compile(r"[0-9][-+0-9_:.eExXoObBa-fA-FTZ ]*")
_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "y", "n", "null"])
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def yaml_text(value: Any) -> str:
    """The document, with a line end."""
    if isinstance(value, dict | list) and value:
        return "\n".join(_lines(value)) + "\n"
    return _scalar(value, "") + "\n"


def _lines(value: Any) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _entry(f"{_string(str(key), '')}:", item, "  ")
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


def _string(text: str, indent: str) -> str:
    if _BARE.fullmatch(text) and text.lower() not in _WORDS and not _NUMBER_LIKE.fullmatch(text):
        return text
    if indent and "\n" in text and _fits_block(text):
        return _block(text)
    if "\n" in text or "\t" in text or _UNSAFE.search(text):
        return _double_quoted(text)
    return "'" + text.replace("'", "''") + "'" if '"' in text or "\\" in text else f'"{text}"'


def _fits_block(text: str) -> bool:
    """A literal block cannot begin with white space, and trailing blanks in it would not be seen."""
    return not text[0].isspace() and "\t" not in text and not _UNSAFE.search(text) and not re.search(r" (\n|$)", text)


def _block(text: str) -> str:
    stripped = text.rstrip("\n")
    ends = len(text) - len(stripped)
    style = "|-" if not ends else "|" if ends == 1 else "|+"
    lines = (stripped + "\n" * max(ends - 1, 0)).split("\n")
    return "\n".join([style, *("  " + line if line else line for line in lines)])


def _double_quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]", lambda m: f"\\u{ord(m[0]):04x}", quoted)
