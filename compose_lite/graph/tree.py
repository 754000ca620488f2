"""A picture as a tree for the terminal: first those that nobody needs, below each what it needs. Pure.

A service that several need is unfolded once; elsewhere `↑` says that it stands above. So 50 services stay 50 and some lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from compose_lite.graph.picture import Arrow, Box, Picture
from compose_lite.spec.models.project import Project

ROUNDED = {"branch": "├─ ", "last": "└─ ", "line": "│  ", "gap": "   ", "again": " ↑", "to": "→"}
ASCII = {"branch": "|- ", "last": "`- ", "line": "|  ", "gap": "   ", "again": " ^", "to": "->"}


def tree(picture: Picture, *, ascii: bool = False) -> str:
    """ascii: for terminals that cannot show lines."""
    signs = ASCII if ascii else ROUNDED
    needed = {arrow.target for arrow in picture.arrows}
    roots = [name for name in picture.boxes if name not in needed]
    leaves = [name for name in roots if not picture.needs(name)]
    roots = [name for name in roots if name not in leaves] + leaves
    lines = [picture.title, *_branches(picture, roots, signs)]
    return "".join(line.replace("→", signs["to"]) + "\n" for line in lines)


def inactive(project: Project) -> str:
    """A line that names the services which no active profile brings along; empty when there are none."""
    off = [f"{name} ({', '.join(service.profiles)})" for name, service in sorted(project.disabled_services.items()) if service.profiles]
    return f"by profile: {', '.join(off)}\n" if off else ""


def _branches(picture: Picture, roots: list[str], signs: dict[str, str]) -> Iterator[str]:
    """One line a branch; a stack of its own, since chains of services may be longer than Python's."""
    seen: set[str] = set()
    stack = _siblings([Arrow("", name) for name in roots], "")
    while stack:
        arrow, indent, last = stack.pop()
        name = arrow.target
        below = picture.needs(name)
        words = [word for word in (arrow.label, "optional" if arrow.optional else "") if word]
        head = indent + signs["last" if last else "branch"] + name + (f" ({', '.join(words)})" if words else "")
        if name in seen:
            yield head + (signs["again"] if below else "")
            continue
        seen.add(name)
        yield head + details(picture.boxes[name])
        stack += _siblings(below, indent + signs["gap" if last else "line"])


def _siblings(arrows: list[Arrow], indent: str) -> list[tuple[Arrow, str, bool]]:
    """For a stack: the first one last."""
    return [(arrow, indent, index == 0) for index, arrow in enumerate(reversed(arrows))]


def details(box: Box) -> str:
    """What there is to say of a box beside its name, on the same line."""
    parts = [f"×{box.replicas}"] if box.replicas != 1 else []
    parts += box.ports
    parts += [f"volumes: {', '.join(box.volumes)}"] if box.volumes else []
    parts += [f"networks: {', '.join(box.networks)}"] if box.networks else []
    return "  " + "  ".join(parts) if parts else ""
