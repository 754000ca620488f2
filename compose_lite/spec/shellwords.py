r"""The string form of `command` and `entrypoint` as words: quotes and backslashes, no globbing, no variables.

As Docker Compose reads it (go-shellwords): an unquoted `;`, `&`, `|`, `<` or `>` ends the command there, since no shell
is run. `dropped_words` tells what is lost, so that a warning can be given. Pure.
"""

from __future__ import annotations

OPERATORS = frozenset(";&|<>")
_QUOTES = "'\""
_CLOSES = {"`": "`", "(": ")"}
_OPENS = {"`": "`", "(": "(", ")": "("}  # for go-shellwords a bracket that would close opens, too


def split_words(text: str) -> list[str]:
    """The words of the text. Raises ValueError for what is left open: quotes, brackets, a backslash at the end."""
    return _scan(text)[0]


def dropped_words(text: str) -> str:
    """What follows the first unquoted shell operator, the operator included; empty when there is none."""
    return text[_scan(text)[1] :]


def _scan(text: str) -> tuple[list[str], int]:
    words: list[str] = []
    buffer: list[str] = []
    within: list[str] = []  # what is open: a quote, or ` or $( which keep their text as it is; a quote may stand in a `
    escaped = seen = False
    for at, char in enumerate(text):
        opened = within[-1] if within else ""
        if escaped:
            # "\n" within double quotes keeps meaning the letter, as in go-shellwords.
            buffer.append(char)
            escaped, seen = False, True
        elif char == "\\" and opened != "'":
            escaped = True
        elif char in _QUOTES and opened in ("", "`", char):
            within.pop() if opened == char else within.append(char)
            seen = True
        elif opened:
            if char == "(" == opened:
                raise ValueError(f"invalid command line string: a bracket within $(...) in {text!r}")
            if char == _CLOSES.get(opened):
                within.pop()
            buffer.append(char)
        elif char in " \t\r\n":
            if seen:
                words.append("".join(buffer))
                buffer.clear()
                seen = False
        elif char in OPERATORS:
            if char == ">" and buffer and "0" <= buffer[0] <= "9":
                buffer.clear()  # the descriptor of a redirection such as 2>&1
                seen = False
            if seen:
                words.append("".join(buffer))
            return words, at
        elif char == "(" and buffer[-1:] != ["$"]:
            raise ValueError(f"invalid command line string: an unquoted bracket in {text!r}")
        else:
            if char in _OPENS:
                within.append(_OPENS[char])
            buffer.append(char)
            seen = True
    if within or escaped:
        what = "a backslash at the end" if escaped else f"{within[-1]} is not closed"
        raise ValueError(f"invalid command line string: {what} in {text!r}")
    if seen:
        words.append("".join(buffer))
    return words, len(text)
