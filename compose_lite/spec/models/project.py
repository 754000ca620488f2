"""The project: what `load` makes of all files, as one value. Equal files and environment, equal project.

Never changed in place: every function gives a new project.
"""

from __future__ import annotations

from typing import Any

from pydantic import PrivateAttr

from compose_lite.errors import Place
from compose_lite.spec.models.resources import FileObject, LanguageModel, Network, Volume
from compose_lite.spec.models.service import Service
from compose_lite.spec.models.values import DICT, Model


class Project(Model):
    """services: those that are active; disabled_services: those that a profile or a selection leaves out."""

    name: str = ""
    working_dir: str = ""
    compose_files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    """What was given by --env-file or COMPOSE_ENV_FILES (the label project.environment_file)."""
    profiles: tuple[str, ...] = ()
    services: dict[str, Service] = DICT
    disabled_services: dict[str, Service] = DICT
    networks: dict[str, Network] = DICT
    volumes: dict[str, Volume] = DICT
    secrets: dict[str, FileObject] = DICT
    configs: dict[str, FileObject] = DICT
    models: dict[str, LanguageModel] = DICT

    _tree: Any = PrivateAttr(default=None)
    _separator: str = PrivateAttr(default="-")

    def with_separator(self, separator: str) -> Project:
        """Between the parts of its containers' and images' names: `_` with --compatibility, as Docker Compose 1 had it."""
        made = self.model_copy()
        made._separator = separator
        return made

    def joined(self, *parts: str | int) -> str:
        """`project-web-1`"""
        return self._separator.join((self.name, *map(str, parts)))

    def image_of(self, service: Service) -> str:
        """The image to run: the one named, else the one that is built here."""
        return service.image or self.joined(service.name)

    def all_services(self) -> dict[str, Service]:
        return {**self.services, **self.disabled_services}


def place(project: Project, path: tuple[str | int, ...]) -> Place | None:
    """Where the value at this path was written, through merges, extends and includes; None when it is a default.

    `place(p, ("services", "web", "ports", 0))`. Where a list was written for what is a mapping now
    (`environment: [A=1]`), the key finds its entry.
    """
    from compose_lite.spec.document import place_of

    return place_of(project._tree, path) if project._tree is not None else None
