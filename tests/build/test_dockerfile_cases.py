"""BuildKit's own cases of the parser and of the word expansion; skipped where the conformance suites are not at hand."""

import json
import os
from pathlib import Path

import pytest

from compose_lite.build.dockerfile import lines, words
from compose_lite.errors import BuildError

CASES = Path(os.environ.get("CONFORMANCE_DIR", "/nowhere")) / "dockerfile"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="CONFORMANCE_DIR is not set")


def folders(name: str) -> list[Path]:
    return sorted((CASES / name).iterdir()) if (CASES / name).is_dir() else []


def quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\\u0000", "\\x00")


def dump(line: lines.Line) -> str:
    parts = [line.name]
    if line.flags:
        parts.append("[" + " ".join(quote(flag) for flag in line.flags) + "]")
    if line.inner:
        return f"({line.name} {dump(line.inner)})"
    return "(" + " ".join([*parts, *(quote(arg) for arg in line.args)]) + ")"


@pytest.mark.parametrize("folder", folders("parser"), ids=lambda f: f.name)
def test_tree(folder: Path):
    text = lines.read((folder / "Dockerfile").read_bytes())
    assert "\n".join(dump(line) for line in text.lines) + "\n" == (folder / "result").read_text()


@pytest.mark.parametrize("folder", folders("parser-negative"), ids=lambda f: f.name)
def test_refused(folder: Path):
    with pytest.raises(BuildError):
        lines.read((folder / "Dockerfile").read_bytes())


def test_line_numbers():
    text = lines.read((CASES / "parser-line/Dockerfile").read_bytes())
    assert [(line.span.first, line.span.last) for line in text.lines] == [(5, 5), (11, 12), (17, 31)]


def test_expansion_of_one_word():
    env = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}
    wrong = []
    for row in (CASES / "shell/envVarTest").read_text().splitlines():
        if not row.strip() or row.startswith("#"):
            continue
        key, source, wanted = (part.strip() for part in row.split("|"))
        if key == "W":
            continue
        try:
            got = words.expand(source, env).text
        except BuildError:
            got = "error"
        if got != wanted:
            wrong.append((source, wanted, got))
    assert not wrong


def test_expansion_into_words():
    env: dict[str, str] = {}
    wrong = []
    for row in (CASES / "shell/wordsTest").read_text().split("\n"):
        if not row.strip() or row.startswith("#"):
            continue
        if row.startswith("ENV "):
            name, _, value = row[4:].lstrip(" ").partition("=")
            env[name] = value
            continue
        source, _, wanted = row.partition("|")
        try:
            got = ",".join(words.expand(source.strip(), env).words)
        except BuildError:
            got = "error"
        if got != wanted.lstrip(" "):
            wrong.append((source, wanted, got))
    assert not wrong
