"""What a row of GET /containers/json tells of a service's container."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from compose_lite import ids
from compose_lite.project.observe import containers_of, observe, seen
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.resources import Network, Volume


def row(name: str = "p-web-1", service: str = "web", number: int = 1, oneoff: bool = False, **more: Any) -> dict[str, Any]:
    labels = {ids.PROJECT: "p", ids.SERVICE: service, ids.NUMBER: str(number), ids.ONEOFF: str(oneoff)}
    return {"Id": name, "Names": [f"/{name}"], "State": "running", "Status": "Up 2 seconds", "Labels": labels, **more}


@pytest.mark.parametrize(
    ("state", "status", "health", "code", "running"),
    [
        ("running", "Up 2 seconds (healthy)", "healthy", 0, True),
        ("running", "Up 2 seconds (health: starting)", "starting", 0, True),
        ("paused", "Up 2 seconds (Paused)", "", 0, True),
        ("exited", "Exited (137) 3 seconds ago", "", 137, False),
        ("created", "Created", "", 0, False),
    ],
)
def test_states(state: str, status: str, health: str, code: int, running: bool) -> None:
    found = seen(row(State=state, Status=status))
    assert (found.health, found.exit_code, found.running) == (health, code, running)


class Engine:
    """Answers as an engine that holds one network and one volume of the project, and a network of somebody else."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [row("p-web-2", number=2), row("p-web-1"), row("p-web-run-ab", oneoff=True), row("p-db-1", "db")]

    async def networks(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        self.asked.append(filters)
        return [{"Name": "p_a"}] if "label" in filters else [{"Name": "other"}, {"Name": "other2"}]

    async def volumes(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        return [{"Name": "p_v"}] if "label" in filters else []


def test_containers_come_by_service_and_number_without_one_offs() -> None:
    engine: Any = Engine()
    found = anyio.run(containers_of, engine, "p")
    assert [c.name for c in found] == ["p-db-1", "p-web-1", "p-web-2"]


def test_what_has_a_wanted_name_is_seen_too() -> None:
    engine: Any = Engine()
    wanted = Project(name="p", networks={"a": Network(name="p_a"), "o": Network(name="other")}, volumes={"v": Volume(name="p_v")})
    snapshot = anyio.run(observe, engine, wanted)
    assert sorted(snapshot.networks) == ["other", "p_a"] and sorted(snapshot.volumes) == ["p_v"]
    assert engine.asked[1] == {"name": ["other"]}
    assert [c.name for c in snapshot.of("web")] == ["p-web-1", "p-web-2"]
