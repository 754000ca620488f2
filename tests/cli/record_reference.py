"""Commands and flags of Docker Compose as facts: `python -m tests.cli.record_reference docker compose > tests/cli/reference.txt`.

A line: command, long name, short name (or -), kind of value (- for a switch), default (or -). `ROOT`: the options before a command.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

_FLAG = re.compile(r"^ {2,6}(?:-(\w), )?--([\w-]+)(?: (\w+))?(?: {2,}(.*))?$")
_DEFAULT = re.compile(r"\(default:? \"?([^\")]*)\"?\)")
_COMMAND = re.compile(r"^  ([a-z]+) +\S")


def help_of(program: list[str], *words: str) -> str:
    return subprocess.run([*program, *words, "--help"], capture_output=True, text=True, check=True).stdout


def flags(text: str) -> Iterator[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for line in text.partition("Options:")[2].partition("\nCommands:")[0].splitlines():
        found = _FLAG.match(line)
        if found:
            rows.append((found[2], found[1] or "-", found[3] or "-", found[4] or ""))
        elif rows:
            rows[-1] = (*rows[-1][:3], f"{rows[-1][3]} {line.strip()}")
    for name, short, kind, text in rows:
        default = _DEFAULT.search(text)
        yield name, short, kind, default[1].replace(" ", "_") if default else "-"


def main() -> None:
    program = sys.argv[1:]
    overview = help_of(program)
    commands = [found[1] for line in overview.partition("Commands:")[2].splitlines() if (found := _COMMAND.match(line))]
    for command in ["ROOT", *commands]:
        print(command)
        for row in sorted(flags(overview if command == "ROOT" else help_of(program, command))):
            print(command, *row)


if __name__ == "__main__":
    main()
