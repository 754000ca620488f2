"""What exists of a project: the only reading before a plan is made. By labels, as Docker Compose finds its things."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose_lite import ids
from compose_lite.api.protocol import Engine
from compose_lite.spec.models.project import Project

Document = dict[str, Any]
_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")


@dataclass(frozen=True, slots=True)
class Seen:
    """One container. state: Docker's word (created, running, exited, ...); health: "", starting, healthy, unhealthy."""

    id: str
    name: str
    service: str
    number: int
    state: str
    health: str
    exit_code: int
    image: str
    image_id: str
    labels: Mapping[str, str]
    document: Document = field(compare=False, repr=False)

    @property
    def config_hash(self) -> str:
        return self.labels.get(ids.CONFIG_HASH, "")

    @property
    def oneoff(self) -> bool:
        """Not one of the service's own containers: of a `run`, or a step of its pre_start."""
        return self.labels.get(ids.ONEOFF) == "True" or self.hook

    @property
    def hook(self) -> bool:
        return ids.HOOK in self.labels

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")

    @property
    def at_work(self) -> bool:
        """It need not be started. One that is paused is told of by its start."""
        return self.running and self.state != "paused"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """networks and volumes: by the engine's name; those of other projects too where their names are wanted."""

    containers: tuple[Seen, ...] = ()
    networks: Mapping[str, Document] = field(default_factory=dict)
    volumes: Mapping[str, Document] = field(default_factory=dict)

    def of(self, service: str) -> list[Seen]:
        """The service's containers by number, one-offs left out."""
        return sorted((c for c in self.containers if c.service == service and not c.oneoff), key=lambda c: (c.number, c.name))


def project_filter(project: str) -> dict[str, list[str]]:
    return {"label": [f"{ids.PROJECT}={project}"]}


async def observe(engine: Engine, project: Project) -> Snapshot:
    """Everything with the project's label, and what else has a name that it wants."""
    wanted = project_filter(project.name)
    containers = await engine.containers(all=True, filters=wanted)
    networks = {n["Name"]: n for n in await engine.networks(filters=wanted)}
    volumes = {v["Name"]: v for v in await engine.volumes(filters=wanted)}
    strangers = {n.name for n in project.networks.values() if not n.external} - networks.keys()
    if strangers:  # the filter finds parts of names too
        networks |= {n["Name"]: n for n in await engine.networks(filters={"name": sorted(strangers)}) if n["Name"] in strangers}
    strangers = {v.name for v in project.volumes.values() if not v.external} - volumes.keys()
    if strangers:
        volumes |= {v["Name"]: v for v in await engine.volumes(filters={"name": sorted(strangers)}) if v["Name"] in strangers}
    return Snapshot(tuple(seen(c) for c in containers), networks, volumes)


async def containers_of(
    engine: Engine, project: str, services: Sequence[str] = (), *, oneoff: bool | None = False, all: bool = True
) -> list[Seen]:
    """The project's containers by service and number. oneoff: True for those of `run` alone, None for both."""
    found = [seen(c) for c in await engine.containers(all=all, filters=project_filter(project))]
    kept = [c for c in found if (oneoff is None or c.oneoff == oneoff) and (not services or c.service in services)]
    return sorted(kept, key=lambda c: (c.service, c.oneoff, c.number, c.name))


def seen(document: Document) -> Seen:
    """A row of GET /containers/json."""
    labels = document.get("Labels") or {}
    status = document.get("Status") or ""
    health = _HEALTH.search(status)
    code = re.match(r"Exited \((-?\d+)\)", status)
    return Seen(
        id=document["Id"],
        name=(document.get("Names") or ["/"])[0].lstrip("/"),
        service=labels.get(ids.SERVICE, ""),
        number=int(labels.get(ids.NUMBER) or 0),
        state=document.get("State") or "",
        health=health[1].removeprefix("health: ") if health else "",
        exit_code=int(code[1]) if code else 0,
        image=document.get("Image") or "",
        image_id=document.get("ImageID") or "",
        labels=labels,
        document=document,
    )
