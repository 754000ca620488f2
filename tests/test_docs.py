"""The documents are true: every error has its page, every attribute of a service its row, every named file is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from compose_lite import errors
from compose_lite.spec.models import resources, service

ROOT = Path(__file__).parents[1]
PAGES = {page.stem for page in (ROOT / "docs/errors").glob("*.md")}
CLASSES = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.Error)}
# The code is their first argument; of these two it is `code=`.
BY_KEYWORD = {"ApiError", "EngineError"}
PLAIN = {"engine-answer", "engine"}  # shown as Docker shows them, without a code


def codes() -> Iterator[tuple[str, str]]:
    """(code, where) of each error that is raised with a code of its own."""
    for file in sorted((ROOT / "compose_lite").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in {*CLASSES, "_Told"}:
                continue
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if node.func.id not in BY_KEYWORD:
                given += node.args[:1]
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, f"{file.relative_to(ROOT)}:{node.lineno}"


def test_every_error_has_a_page() -> None:
    assert {code: where for code, where in codes() if code not in PAGES} == {}


def test_every_page_has_an_error() -> None:
    source = "\n".join(file.read_text() for file in (ROOT / "compose_lite").rglob("*.py"))
    assert {page for page in PAGES if f'"{page}"' not in source} == set()


def test_a_page_says_what_it_means_and_what_to_do() -> None:
    texts = {page: (ROOT / f"docs/errors/{page}.md").read_text() for page in PAGES}
    assert [page for page, text in texts.items() if not re.match(rf"# {page}: \S.*\n\n\S", text)] == []
    assert [page for page, text in texts.items() if "**What to do.**" not in text] == []


def test_files_that_a_document_names_are_there() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        named = set(re.findall(r"(?:docs|tests|examples|benchmarks|compose_lite)/[\w./-]*\w", document.read_text()))
        missing = {name for name in named if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()}
        assert missing == set(), document


MODELS: dict[str, type[BaseModel]] = {
    "services": service.Service,
    "build": service.Build,
    "deploy": service.Deploy,
    "develop.watch": service.Trigger,
    "healthcheck": service.Healthcheck,
    "networks of a service": service.ServiceNetwork,
    "ports": service.PortConfig,
    "volumes of a service": service.VolumeMount,
    "networks": resources.Network,
    "volumes": resources.Volume,
    "secrets and configs": resources.FileObject,
}


@pytest.mark.parametrize("section", MODELS)
def test_every_attribute_has_its_row(section: str) -> None:
    text = (ROOT / "docs/compatibility.md").read_text()
    body = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (yes|part|none|refused) \| (.*?) ?\|$", body, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(MODELS[section].model_fields)
    assert all(note for _, state, note in rows if state != "yes"), "what is not plainly there is explained"


@pytest.mark.parametrize("room", ["build", "cli", "engine", "project", "runtime"])
def test_a_large_room_says_what_is_where(room: str) -> None:
    """The docstring of its package names every module once, below what it is for."""
    folder = ROOT / "compose_lite" / room
    said = re.findall(
        r"\w+", "".join(re.findall(r"(?m)^    .*$", ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""))
    )
    modules = [m.stem for m in folder.iterdir() if m.suffix == ".py" or (m / "__init__.py").exists()]
    assert sorted(said) == sorted(set(modules) - {"__init__"})
