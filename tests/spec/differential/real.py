"""Compose files of the world, as they lie in a folder: what a Docker Compose prints for each, and what we do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from compose_lite.errors import Error
from compose_lite.project.configtext import ConfigWish, config_text
from compose_lite.spec.load import LoadOptions
from tests.spec.differential.compare import ENVIRON, Compared, note

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def projects(top: Path) -> list[tuple[Path, str]]:
    """(folder, file); an empty file: what the folder has by the usual names, with its override."""
    found = []
    for folder, _, names in os.walk(top):
        usual = [name for name in NAMES if name in names]
        others = [name for name in names if "compose" in name and name.endswith((".yaml", ".yml")) and name not in usual]
        found += [(Path(folder), name) for name in ([""] if usual else []) + sorted(others)]
    return sorted(found)


def compare_real(top: Path, command: list[str]) -> Compared:
    """`config` of each, character by character; of what is refused only that it is."""
    found = Compared()
    for number, (folder, file) in enumerate(projects(top)):
        environ = {**ENVIRON, "PATH": os.environ["PATH"], "PWD": str(folder)}
        words = [*command, *(["-f", file] if file else []), "config"]
        done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True)
        wanted = done.stdout if done.returncode == 0 else None
        answer, says = _ours(LoadOptions(environ, str(folder), files=(file,) if file else ()))
        found.documents += 1
        found.taken += answer is not None
        if answer != wanted:
            what = {"folder": str(folder), "file": file}
            note(found, None, number, what, reference=None if wanted is not None else done.stderr.strip()[-300:], ours=says)
    return found


def _ours(options: LoadOptions) -> tuple[str | None, str | None]:
    """What is printed, or why nothing is."""
    try:
        return config_text(options, ConfigWish()).text, None
    except Error as error:
        return None, f"{error.code}: {error.says}"
