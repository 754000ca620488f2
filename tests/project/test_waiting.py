"""On what is waited, in words."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from compose_lite.errors import ApiError, ProjectError
from compose_lite.project.report import Silent
from compose_lite.project.waiting import Look, healthy, on_what, ready

RUNS = {"Status": "running", "Health": {"Status": "starting"}, "ExitCode": 0}


@pytest.mark.parametrize(
    ("state", "probed", "said"),
    [
        (RUNS, {}, ("for its first probe", 0)),
        (RUNS, {"Count": 3, "ExitCode": 1, "Output": "trying\nconnection refused\n\n"}, ("connection refused", 3)),
        (RUNS, {"Count": 1, "ExitCode": 7, "Output": ""}, ("exit status 7", 1)),
        ({"Status": "created"}, {}, ("as it is created", 0)),
    ],
)
def test_on_what(state: dict[str, Any], probed: dict[str, Any], said: tuple[str, int]) -> None:
    assert on_what(Look(state, probed)) == said


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        self.lines.append((on, probe))


class Ours:
    """Our engine: answers when there is something new. foreign: knows no such call."""

    def __init__(self, *states: dict[str, Any], foreign: bool = False) -> None:
        self.states, self.foreign = list(states), foreign

    async def extension(self, method: str, path: str, *, query: Any = None, body: Any = None) -> Any:
        if self.foreign:
            raise ApiError("no", code="engine-foreign")
        return {"Version": query["since"] + 1, "State": self.states.pop(0), "Probed": {"Count": 1, "ExitCode": 1, "Output": "no\n"}}

    async def container(self, id: str) -> Any:
        return {"State": self.states.pop(0) if len(self.states) > 1 else self.states[0]}


@pytest.mark.parametrize("foreign", [False, True])
def test_until_healthy(foreign: bool) -> None:
    heard = Heard()
    engine: Any = Ours(RUNS, {**RUNS, "Health": {"Status": "healthy"}}, foreign=foreign)
    anyio.run(healthy, engine, heard, "0", "web")
    assert heard.lines == [("for its first probe", 0) if foreign else ("no", 1)]


def test_an_end_with_0_is_fine_for_wait_and_no_other() -> None:
    engine: Any = Ours({"Status": "exited", "ExitCode": 0})
    assert anyio.run(ready, engine, Silent(), "0", "job") == "Exited"
    engine = Ours({"Status": "exited", "ExitCode": 3})
    with pytest.raises(ProjectError, match="exited"):
        anyio.run(ready, engine, Silent(), "0", "job")
