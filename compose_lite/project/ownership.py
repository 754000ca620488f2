"""Whose containers are these? A project's name is that of its folder, so two folders can have one name. Pure.

Containers say by their labels which folder and files made them. They are somebody else's when that folder and those files are
still there and are not ours; a folder that was moved or deleted owns nothing. Who names the project on the command line means it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from compose_lite import ids
from compose_lite.errors import ProjectError
from compose_lite.project.observe import Seen
from compose_lite.project.plan import Plan, RemoveContainer, StopContainer
from compose_lite.spec.models.project import Project, place

Real = Callable[[str], str | None]
"""A path without symbolic links; None when there is nothing."""


def foreign(project: Project, containers: Iterable[Seen], real: Real) -> list[Seen]:
    """Those that a project of the same name in another folder has made."""
    own, files = real(project.working_dir), {real(file) for file in project.compose_files} - {None}
    return [container for container in containers if _is_foreign(container, own, files, real)]


def _is_foreign(container: Seen, own: str | None, files: set[str | None], real: Real) -> bool:
    folder = container.labels.get(ids.WORKING_DIR, "")
    theirs = {real(file) for file in container.labels.get(ids.CONFIG_FILES, "").split(",") if file}
    there = real(folder) if folder else None
    return there is not None and there != own and bool(theirs) and None not in theirs and not theirs & files


def touched(plan: Plan, containers: Iterable[Seen]) -> list[Seen]:
    """What the plan stops, removes or replaces."""
    steps = [planned.step for planned in plan.steps]
    found = {step.id for step in steps if isinstance(step, StopContainer | RemoveContainer)}
    found |= {step.replaces for step in plan.creations()}
    return [container for container in containers if container.id in found]


def refusal(project: Project, containers: Sequence[Seen]) -> ProjectError:
    """They belong to somebody else, and what was asked for would stop or remove them."""
    first = containers[0]
    folder, file = first.labels.get(ids.WORKING_DIR, ""), first.labels.get(ids.CONFIG_FILES, "").split(",")[0]
    names = ", ".join(c.name for c in containers[:5]) + (f" and {len(containers) - 5} more" if len(containers) > 5 else "")
    says = f"{names} would be stopped or removed, but another project called {project.name!r} made {_them(containers)}: {folder}"
    remedy = (
        f"Give one of the two another name (`name:` or `-p NAME`), or end the other one first (`compose-lite -f {file} down`). "
        f"If it is meant, say so: `compose-lite -p {project.name} ...`."
    )
    return ProjectError("foreign-project", says, place=place(project, ("name",)), remedy=remedy)


def _them(containers: Sequence[Seen]) -> str:
    return "it" if len(containers) == 1 else "them"
