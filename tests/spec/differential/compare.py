"""Asks both sides about documents and counts what they say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compose_lite.errors import Error
from compose_lite.spec.load import LoadOptions, load
from tests.spec.differential.documents import make
from tests.spec.differential.newer import explained, newer
from tests.spec.differential.oracle import refusal

FILES = {
    "there.env": "A=1\n",
    "bad.env": "A B=1\n",
    "there.yaml": "services: {base: {image: c, environment: {A: 2}}}\n",
    "other.yaml": "services: {included: {image: d}}\n",
}
ENVIRON = {"IS_SET": "value", "HOME": "/home/u", "PATH": "/usr/bin:/bin"}


def files(folder: Path) -> None:
    """What the documents name beside themselves."""
    for name, text in FILES.items():
        (folder / name).write_text(text)


@dataclass(slots=False)
class Compared:
    documents: int = 0
    taken: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    disagreements: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Compared) -> None:
        self.documents += other.documents
        self.taken += other.taken
        self.disagreements += other.disagreements
        for name, count in other.explained.items():
            self.explained[name] = self.explained.get(name, 0) + count

    def line(self) -> str:
        known = "".join(f", {name}: {count}" for name, count in sorted(self.explained.items()))
        return f"{self.documents} documents, {self.taken} taken, {len(self.disagreements)} disagreements{known}"


def ours(document: dict[str, Any], folder: str) -> str | None:
    """Why our loader refuses the document; None when it takes it."""
    options = LoadOptions(ENVIRON, folder, files=("-",), project_name="p", stdin=lambda: json.dumps(document))
    try:
        load(options)
    except Error as error:
        return f"{error.code}: {error.says}"
    return None


def compare(seed: int, numbers: Iterable[int], folder: str) -> Compared:
    found = Compared()
    for number in numbers:
        document = make(seed, number)
        wanted, answer = refusal(document), ours(document, folder)
        found.documents += 1
        found.taken += answer is None
        if (wanted is None) != (answer is None):
            note(found, explained(document, wanted, answer), number, document, oracle=wanted, ours=answer)
    return found


def reference(seed: int, numbers: Iterable[int], folder: str, command: list[str]) -> Compared:
    """As compare, but with a Docker Compose of 2.40 as the one who decides."""
    found = Compared()
    for number in numbers:
        document = make(seed, number)
        done = subprocess.run(
            [*command, "-p", "p", "-f", "-", "config", "-q"],
            input=json.dumps(document),
            cwd=folder,
            env={**os.environ, **ENVIRON, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        answer = ours(document, folder)
        found.documents += 1
        found.taken += answer is None
        if (done.returncode == 0) != (answer is None):
            says = done.stderr.strip()[-300:] if done.returncode else None
            name = newer(document) if answer is None else None
            note(found, name or explained(document, says, answer), number, document, reference=says, ours=answer)
    return found


def note(found: Compared, name: str | None, number: int, document: dict[str, Any], **said: str | None) -> None:
    if name:
        found.explained[name] = found.explained.get(name, 0) + 1
    else:
        found.disagreements.append({"number": number, **said, "document": document})
