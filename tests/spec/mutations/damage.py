"""Damaged texts of real files. The same seed and number, the same text."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
PIECES = (
    *(
        "&a ",
        "*a",
        "<<: *a",
        "!reset ",
        "!override ",
        "!!binary ",
        "!!int ",
        "|\n",
        ">-\n",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "? ",
        "#",
        "%",
        "@",
    ),
    *("`", '"', "'", "\t", "\x00", "\ufeff", "\u2028", "é", "\U0001f600", "\r\n", "---\n", "...\n", "${", "}", "${A:-${B:?c}}", "$$", "~"),
    *("null", "true", "0x7f", "0o17", "1e400", ".nan", "-.inf", "2024-01-02", "9" * 30, "-1", "0", "1_000", "a" * 300, "{" * 300, "[" * 90),
    *(
        "services:",
        "extends: {service: a, file: compose.yaml}",
        "include: [compose.yaml]",
        "include: [.]",
        "env_file: .",
        "ports: ['1-65535']",
    ),
)


def files(*folders: Path) -> list[Path]:
    """The files that are damaged."""
    found = [file for folder in (ROOT / "tests/spec/cases", ROOT / "examples", *folders) for file in folder.rglob("*") if file.is_file()]
    return sorted(file for file in found if file.suffix in (".yaml", ".yml") and ".github" not in file.parts)


Move = Callable[[random.Random, list[str], list[str]], None]


def _drop(rng: random.Random, lines: list[str], others: list[str]) -> None:
    del lines[rng.randrange(len(lines))]


def _twice(rng: random.Random, lines: list[str], others: list[str]) -> None:
    at = rng.randrange(len(lines))
    lines[at:at] = lines[at : at + rng.choice((1, 1, 3))] * rng.choice((1, 1, 2, 50))


def _swap(rng: random.Random, lines: list[str], others: list[str]) -> None:
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]


def _foreign(rng: random.Random, lines: list[str], others: list[str]) -> None:
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(others))


def _indent(rng: random.Random, lines: list[str], others: list[str]) -> None:
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(("  " + lines[at], lines[at].removeprefix("  "), "\t" + lines[at], " " * 120 + lines[at]))


def _piece(rng: random.Random, lines: list[str], others: list[str]) -> None:
    at = rng.randrange(len(lines))
    column = rng.randint(0, len(lines[at]))
    lines[at] = lines[at][:column] + rng.choice(PIECES) + lines[at][column:]


def _word(rng: random.Random, lines: list[str], others: list[str]) -> None:
    """A word becomes one of another file."""
    at = rng.randrange(len(lines))
    words, theirs = re.findall(r"\S+", lines[at]), re.findall(r"[^\s:{}\[\],]+", rng.choice(others))
    if words and theirs:
        lines[at] = lines[at].replace(rng.choice(words), rng.choice(theirs) + rng.choice(("", ":", ",")), 1)


def _value(rng: random.Random, lines: list[str], others: list[str]) -> None:
    """What a key has becomes something else."""
    at = rng.randrange(len(lines))
    key, colon, _ = lines[at].partition(": ")
    if colon:
        lines[at] = f"{key}: {rng.choice((*PIECES, '[]', '{}', '', '[[], {}]', '{a: {b: [c]}}', '[null]', '1.5', 'x'))}\n"


def _byte(rng: random.Random, lines: list[str], others: list[str]) -> None:
    at = rng.randrange(len(lines))
    if lines[at]:
        column = rng.randrange(len(lines[at]))
        lines[at] = lines[at][:column] + chr(rng.choice((rng.randrange(128), rng.randrange(0xD7FF)))) + lines[at][column + 1 :]


def _cut(rng: random.Random, lines: list[str], others: list[str]) -> None:
    at = rng.randrange(len(lines))
    lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
    del lines[at + 1 :]


MOVES: tuple[Move, ...] = (_drop, _twice, _swap, _foreign, _indent, _piece, _piece, _word, _word, _value, _value, _byte, _cut)


VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**64,
        1.5,
        float("inf"),
        "",
        "x",
        "a:b",
        "a=b",
        "80:80",
        "1s",
        "64m",
        "service:a",
        "${A}",
        "${A",
        "é",
        "x" * 9999,
    ),
    *(
        [],
        {},
        [None],
        [[]],
        {"a": None},
        [{}],
        {"": ""},
        {"x-a": [1]},
        ["a", "a"],
        {"service": "a"},
        {"file": "compose.yaml", "service": "a"},
    ),
)


def _reshaped(rng: random.Random, value: Any, theirs: Any) -> Any:
    """The value with one part of it, somewhere, changed: dropped, replaced, renamed, doubled, or by one of another file."""
    steps = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not steps or rng.random() < 0.1:
        return copy.deepcopy(rng.choice((rng.choice(VALUES), [value], {"a": value}, theirs)))
    step = rng.choice(steps)
    move = rng.random()
    if move < 0.05:
        del value[step]
    elif move < 0.1 and isinstance(value, dict):
        value[str(rng.choice(("unknown", "web", "x-a", rng.choice(steps))))] = value.pop(step)
    elif move < 0.1:
        value.insert(0, value[step])
    else:
        if isinstance(theirs, dict) and theirs:
            theirs = theirs.get(step, rng.choice(list(theirs.values())))
        value[step] = _reshaped(rng, value[step], theirs)
    return value


def _tree(file: Path) -> Any:
    """What the file holds, as far as plain YAML has it."""
    try:
        return next(iter(yaml.safe_load_all(file.read_text("utf-8"))), None)
    except (yaml.YAMLError, UnicodeError, ValueError):
        return None


def damaged(seed: int, number: int, sources: list[Path]) -> tuple[Path, str]:
    """The file that was damaged and its text now."""
    rng = random.Random(f"{seed} {number}")
    file = sources[number % len(sources)]
    if number // len(sources) % 2 and isinstance(tree := _tree(file), dict):
        for _ in range(rng.choice((1, 1, 2, 4))):
            tree = _reshaped(rng, tree, _tree(rng.choice(sources)))
        with contextlib.suppress(ValueError):  # an alias within itself
            return file, json.dumps(tree, default=str)
    lines = file.read_text("utf-8", "replace").splitlines(keepends=True) or ["\n"]
    others = rng.choice(sources).read_text("utf-8", "replace").splitlines(keepends=True) or ["\n"]
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice(MOVES)(rng, lines, others)
        lines = lines or ["\n"]
    return file, "".join(lines)
