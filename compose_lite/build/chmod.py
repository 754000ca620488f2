"""`--chmod` of COPY and ADD: octal, or symbolic as chmod(1) has it. Pure."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import dataclass

from compose_lite.errors import BuildError


@dataclass(frozen=True, slots=True)
class Chmod:
    """change: (mode, whether it is a folder) to the new mode. fixed: the mode whatever there was; None: symbolic."""

    change: Callable[[int, bool], int]
    fixed: int | None = None

    def __call__(self, mode: int, folder: bool) -> int:
        return self.change(mode, folder)


_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")


def parse_chmod(text: str) -> Chmod:
    """Octal, or symbolic as chmod(1) has it; BuildError for anything else."""
    if re.fullmatch(r"[0-7]{1,5}", text) and int(text, 8) <= 0o7777:
        fixed = int(text, 8)
        return Chmod(lambda mode, folder: fixed, fixed)
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(",")]
    if not text or not all(clauses):
        raise BuildError("dockerfile", f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    parsed = [(found[1] or "a", re.findall(r"([-+=])([ugo]|[rwxXst]*)", found[2])) for found in clauses if found]

    def change(mode: int, folder: bool) -> int:
        for who, actions in parsed:
            for operator, letters in actions:
                mode = _change(mode, who, operator, letters, folder)
        return mode

    return Chmod(change)


_SHIFTS = {"u": 6, "g": 3, "o": 0}


def _change(mode: int, who: str, operator: str, letters: str, folder: bool) -> int:
    users = "ugo" if "a" in who else who
    bits = special = 0
    if letters in ("u", "g", "o") and letters:
        bits = mode >> _SHIFTS[letters] & 7
    else:
        bits = sum(value for letter, value in (("r", 4), ("w", 2), ("x", 1)) if letter in letters)
        if "X" in letters and (folder or mode & 0o111):
            bits |= 1
    if "s" in letters:
        special |= (stat.S_ISUID if "u" in users else 0) | (stat.S_ISGID if "g" in users else 0)
    if "t" in letters:
        special |= stat.S_ISVTX
    wanted = special
    covered = 0
    if operator == "=" and letters not in ("u", "g", "o"):  # unlike chmod(1), which keeps them on folders
        covered |= (stat.S_ISUID if "u" in users else 0) | (stat.S_ISGID if "g" in users else 0)
    for user in users:
        wanted |= bits << _SHIFTS[user]
        covered |= 7 << _SHIFTS[user]
    if operator == "+":
        return mode | wanted
    if operator == "-":
        return mode & ~wanted
    return mode & ~covered | wanted
