"""Imports go one way, as docs/architecture.md says, and the small processes stay small.

What a process has imported is counted by `sys.modules` in a fresh interpreter, never by time.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "compose_lite"
LEAVES = {"reference", "starting", "handoff", "errors", "ids", "units", "disk", "ignore", "subordinate", "logins", "__version__"}
ARROWS: dict[str, set[str]] = {
    "linux": set(),
    "runtime": {"linux"},
    "network": {"linux"},
    "image": {"linux"},
    "build": {"image", "linux"},
    "api": set(),
    "engine": {"api", "build", "image", "network", "runtime", "linux", "rootless"},
    "spec": set(),
    "graph": {"spec"},
    "lint": {"spec"},
    "project": {"spec", "graph", "api"},
    "cli": {"project", "spec", "graph", "lint", "api"},
}
# What each small process must not have imported when it begins to serve.
HEAVY = {"asyncio", "anyio", "pydantic", "yaml", "ssl", "subprocess", "typing", "dataclasses", "logging", "inspect", "pathlib", "urllib"}
SMALL = {
    "compose_lite.runtime.zygote": HEAVY,
    "compose_lite.runtime.monitor": HEAVY,
    "compose_lite.network.forward": HEAVY - {"selectors"},
    "compose_lite.family": {"asyncio", "anyio", "pydantic_core", "sqlite3", "compose_lite.engine", "compose_lite.cli"},
    "compose_lite.engine.main": {
        "urllib3",
        "watchfiles",
        "compose_lite.build",
        "compose_lite.cli",
        "compose_lite.spec",
        "yaml",
        "networkx",
    },
    "compose_lite.cli.main": {"urllib3", "watchfiles", "sqlite3", "compose_lite.engine", "compose_lite.image", "compose_lite.network"}
    | {"compose_lite.build", "compose_lite.runtime", "compose_lite.linux"},
}


def imports(file: Path) -> set[str]:
    """The rooms and leaves of ours that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("compose_lite.")}
    return found


@pytest.mark.parametrize("room", sorted(p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"))
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    allowed = ARROWS[room] | {room} | (LEAVES if room != "linux" else set())
    strangers = {str(file.relative_to(PACKAGE)): imports(file) - allowed for file in (PACKAGE / room).rglob("*.py")}
    assert {file: found for file, found in strangers.items() if found} == {}


def test_leaves_import_nothing_but_leaves() -> None:
    assert {leaf for leaf in LEAVES - {"__version__"} if imports(PACKAGE / f"{leaf}.py") - LEAVES} == set()


def test_the_arrows_make_no_cycle() -> None:
    from graphlib import TopologicalSorter

    assert list(TopologicalSorter(ARROWS).static_order())


def needs(file: Path) -> Iterator[str]:
    """The modules of ours that a file imports to run, wherever in it: all but those under `if TYPE_CHECKING`."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.ImportFrom):
                yield from (f"{child.module}.{alias.name}" for alias in child.names)
                yield str(child.module)
            elif isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            yield from walk(child)

    return walk(ast.parse(file.read_text()))


def test_no_two_modules_need_each_other() -> None:
    from graphlib import TopologicalSorter

    def name(file: Path) -> str:
        return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")

    files = {name(file): file for file in PACKAGE.rglob("*.py")}
    arrows = {module: {other for other in needs(file) if other in files} - {module} for module, file in files.items()}
    assert list(TopologicalSorter(arrows).static_order())


def modules_after(module: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(done.stdout.split())


def test_the_front_imports_builtin_modules_only() -> None:
    ours = {"compose_lite", "compose_lite.front", "compose_lite.handoff"}
    # an interpreter may have these as extension modules instead of built in
    assert {m for m in modules_after("compose_lite.front") - ours if m not in sys.builtin_module_names} <= {"_socket"}


@pytest.mark.parametrize("module", SMALL)
def test_a_process_imports_no_more_than_it_needs(module: str) -> None:
    assert modules_after(module) & SMALL[module] == set()


def test_what_only_some_projects_need_is_not_in_the_template() -> None:
    code = "import sys; from compose_lite.cli import main; main.import_commands(); print(*(set(main.LATE) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent).stdout == "\n"
