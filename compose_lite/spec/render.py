"""A project as the text that `config` prints. Pure."""

from __future__ import annotations

from compose_lite.spec.models.project import Project


def render(project: Project, format: str = "yaml") -> str:
    """The canonical model as YAML or JSON, `$` doubled so that it can be loaded again."""
    raise NotImplementedError
