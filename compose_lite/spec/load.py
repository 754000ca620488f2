"""Compose files -> Project: finds and reads the files, runs the passes in order.

The only file of spec/ that reads the disk; everything it calls is pure. Never talks to an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compose_lite.spec.models.project import Project


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a command line says about the project. environ is the caller's environment, cwd its folder.

    files: -f (`-` is stdin); empty: COMPOSE_FILE, else compose.yaml & Co. in cwd and its parents.
    services: names on the command line: they are activated, and the project is cut down to them and what they need.
    profiles: --profile; empty: COMPOSE_PROFILES. env_files: --env-file; empty: COMPOSE_ENV_FILES, else .env.
    all_resources: keep networks, volumes, ... that no active service uses.
    """

    environ: Mapping[str, str]
    cwd: str
    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    stdin: Callable[[], str] = lambda: ""
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    resolve_env: bool = True
    consistency: bool = True
    all_resources: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """environment: what variables were taken from: environ over .env files, with COMPOSE_PROJECT_NAME."""

    project: Project
    warnings: tuple[str, ...]
    environment: Mapping[str, str]


def load(options: LoadOptions) -> Loaded:
    """The project, complete and checked. Raises SpecError (or GraphError for a dependency cycle)."""
    raise NotImplementedError
