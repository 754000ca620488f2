"""What a picture of a project shows: boxes, arrows between them and, on request, ports, volumes and networks. Pure.

Every renderer (tree, dot, mermaid, svg) draws from this one value, so all of them show the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from compose_lite.graph.services import dependencies, start_levels
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Dependency, PortConfig, Service

CONDITIONS = {"service_started": "", "service_healthy": "healthy", "service_completed_successfully": "completed"}
"""What is written at an arrow; nothing for the ordinary case."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to show beside services and their dependencies."""

    ports: bool = False
    volumes: bool = False
    networks: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A service. ports: `8080→80/tcp`. volumes: keys of named volumes. networks: their keys. replicas: as wished for."""

    name: str
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Arrow:
    """source needs target. label: the condition, where it is not the ordinary one. optional: `required: false`."""

    source: str
    target: str
    label: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """boxes: by name. levels: names, those that need nobody first (services.start_levels)."""

    title: str
    boxes: dict[str, Box]
    arrows: tuple[Arrow, ...]
    levels: tuple[tuple[str, ...], ...]

    @property
    def volumes(self) -> list[str]:
        return sorted({volume for box in self.boxes.values() for volume in box.volumes})

    @property
    def networks(self) -> list[str]:
        return sorted({network for box in self.boxes.values() for network in box.networks})

    def needs(self, name: str) -> list[Arrow]:
        """The arrows that leave a box, by name of what they reach."""
        return [arrow for arrow in self.arrows if arrow.source == name]


def picture(project: Project, wishes: Wishes) -> Picture:
    """Raises GraphError for a cycle."""
    levels = tuple(tuple(level) for level in start_levels(project))
    edges = sorted(dependencies(project).edges(data="dependency"))
    arrows = tuple(_arrow(source, target, dependency) for source, target, dependency in edges)
    boxes = {name: _box(project.services[name], wishes) for name in sorted(project.services)}
    return Picture(project.name, boxes, arrows, levels)


def _arrow(source: str, target: str, dependency: Dependency) -> Arrow:
    return Arrow(source, target, CONDITIONS.get(dependency.condition, dependency.condition), not dependency.required)


def _box(service: Service, wishes: Wishes) -> Box:
    mounted = {mount.source for mount in service.volumes if mount.type == "volume" and mount.source}
    return Box(
        service.name,
        tuple(port_text(port) for port in service.ports) if wishes.ports else (),
        tuple(sorted(mounted)) if wishes.volumes else (),
        tuple(sorted(service.networks)) if wishes.networks else (),
        service.replicas,
    )


def port_text(port: PortConfig) -> str:
    """`127.0.0.1:8080→80`, with the protocol where it is not TCP; `*→80` for a port that is chosen at the start."""
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    protocol = f"/{port.protocol}" if port.protocol not in ("", "tcp") else ""
    return f"{host + ':' if host else ''}{port.published or '*'}→{port.target}{protocol}"
