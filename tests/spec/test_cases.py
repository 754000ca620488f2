"""Loading by example: cases/<name>/ holds the files and expected.yaml or error.txt. A new case is a new folder.

A first line `# args: ...` in compose.yaml gives profiles (`--profile x`) or services. `ACCEPT=1 pytest` writes the
expected files anew; the review reads their diff. `DIR` stands for the case's folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compose_lite.errors import Error
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.render import render

CASES = Path(__file__).parent / "cases"


def outcome(folder: Path) -> tuple[str, str]:
    head = (folder / "compose.yaml").read_text().partition("\n")[0]
    words = head.removeprefix("# args:").split() if head.startswith("# args:") else []
    profiles = tuple(words[i + 1] for i, w in enumerate(words) if w == "--profile")
    services = tuple(w for i, w in enumerate(words) if not w.startswith("--") and (i == 0 or words[i - 1] != "--profile"))
    options = LoadOptions(environ={"HOME": "/home/u", "FROM_SHELL": "shell"}, cwd=str(folder), profiles=profiles, services=services)
    try:
        loaded = load(options)
    except Error as error:
        return "error.txt", f"{error}\n"
    warnings = "".join(f"# warning: {text}\n" for text in loaded.warnings)
    return "expected.yaml", warnings + render(loaded.project)


@pytest.mark.parametrize("name", sorted(folder.name for folder in CASES.iterdir()))
def test_case(name: str) -> None:
    folder = CASES / name
    file, text = outcome(folder)
    text = text.replace(str(folder), "DIR")
    if os.environ.get("ACCEPT"):
        (folder / file).write_text(text)
    assert (folder / file).read_text() == text
