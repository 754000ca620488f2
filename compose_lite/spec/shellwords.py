r"""The string form of `command` and `entrypoint` as words: quotes and backslashes, no globbing, no variables.

As Docker Compose reads it (go-shellwords): an unquoted `;`, `&`, `|`, `<` or `>` ends the command there, since no shell
is run. `dropped_words` tells what is lost, so that a warning can be given. Pure.
"""

from __future__ import annotations

OPERATORS = frozenset(";&|<>")


def split_words(text: str) -> list[str]:
    """The words of the text. Raises ValueError for an open quote or a backslash at the end."""
    return _scan(text)[0]


def dropped_words(text: str) -> str:
    """What follows the first unquoted shell operator, the operator included; empty when there is none."""
    return text[_scan(text)[1] :]


def _scan(text: str) -> tuple[list[str], int]:
    words: list[str] = []
    buffer: list[str] = []
    quote = ""
    escaped = seen = False
    for at, char in enumerate(text):
        if escaped:
            # "\n" within double quotes keeps meaning the letter, as in go-shellwords.
            buffer.append(char)
            escaped, seen = False, True
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                buffer.append(char)
        elif char in " \t\r\n":
            if seen:
                words.append("".join(buffer))
                buffer.clear()
                seen = False
        elif char in "'\"":
            quote, seen = char, True
        elif char in OPERATORS:
            if char == ">" and buffer and "0" <= buffer[0] <= "9":
                buffer.clear()  # the descriptor of a redirection such as 2>&1
                seen = False
            if seen:
                words.append("".join(buffer))
            return words, at
        else:
            buffer.append(char)
            seen = True
    if quote or escaped:
        raise ValueError(f"invalid command line string: unbalanced {'quote' if quote else 'backslash'} in {text!r}")
    if seen:
        words.append("".join(buffer))
    return words, len(text)
