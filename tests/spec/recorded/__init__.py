"""Compose files with what Docker Compose 2.40 printed for them, character by character.

A case is one file of cases/: sections `-- NAME --` hold the files of a folder, sections `-- $ WORDS --` a command line and what it
printed (`refused` for an exit status other than 0), `-- env --` the environment, one pair a line. `-- stdin --` goes to each command. DIR
stands for the folder, whose name, and so the project's, is that of the case, PARENT for the one around it. Outputs are recorded by
`python -m tests.spec.recorded docker compose` (and the names of cases after `--only`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).parent / "cases"
REFUSED = "refused\n"
_HEAD = re.compile(r"^-- (.+) --\n", re.MULTILINE)


@dataclass(slots=True)
class Case:
    """outputs: command line → stdout, or REFUSED."""

    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    stdin: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def lay_out(self, folder: Path) -> None:
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)


def read(path: Path) -> Case:
    case = Case()
    _, *parts = _HEAD.split(path.read_text())
    for head, text in zip(parts[::2], parts[1::2], strict=True):
        if head.startswith("$ "):
            case.outputs[head.removeprefix("$ ")] = text
        elif head == "env":
            case.env = dict(line.split("=", 1) for line in text.splitlines())
        elif head == "stdin":
            case.stdin = text
        else:
            case.files[head] = text
    return case


def write(path: Path, case: Case) -> None:
    sections = {"env": "".join(f"{key}={value}\n" for key, value in case.env.items()), "stdin": case.stdin}
    texts = [(head, text) for head, text in sections.items() if text]
    texts += [*case.files.items(), *((f"$ {words}", text) for words, text in case.outputs.items())]
    path.write_text("".join(f"-- {head} --\n{text}" for head, text in texts))


def shown(text: str, folder: Path) -> str:
    """As it stands in a case: with a line end, which the reference leaves out after JSON."""
    text = text.replace(str(folder), "DIR").replace(str(folder.parent), "PARENT")
    return text if not text or text.endswith("\n") else text + "\n"
