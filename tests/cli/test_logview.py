"""Following containers: how their ends, restarts and replacements are told."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from compose_lite.cli.context import Context, Globals
from compose_lite.cli.logview import LogView
from compose_lite.errors import ApiError

pytestmark = pytest.mark.anyio
State = dict[str, Any]


def state(status: str, run: int, code: int = 0) -> State:
    """Of the container's run of that number; FinishedAt is that of the last one that ended."""
    ended = run if status in ("exited", "restarting") else run - 1
    running = status in ("running", "restarting")
    return {
        "Status": status,
        "Running": running,
        "Restarting": status == "restarting",
        "ExitCode": code,
        "StartedAt": f"2026-01-01T00:00:0{run}Z",
        "FinishedAt": f"2026-01-01T00:00:0{ended}.5Z" if ended else "0001-01-01T00:00:00Z",
    }


@dataclass
class Engine:
    """One container. states: what inspect says, the last one for ever; None: it is gone."""

    states: list[State | None]
    by_hand: list[bool] = field(default_factory=list)
    happens: Sequence[Mapping[str, Any]] = ()
    output: Sequence[bytes] = (b"hello\n",)
    streams: int = 0

    async def container(self, _: str) -> dict[str, Any]:
        now = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if now is None:
            raise ApiError("no such container", http_status=404)
        return {"State": now, "Config": {"Tty": False}}

    async def logs(self, _: str, **options: Any) -> AsyncIterator[list[tuple[int, bytes]]]:
        self.streams += 1
        yield [(1, line) for line in self.output]

    async def events(self, **_: Any) -> AsyncIterator[Mapping[str, Any]]:
        for event in self.happens:
            yield event

    async def extension(self, *_: Any, **__: Any) -> Any:
        return {"RestartsByHand": self.by_hand.pop(0) if self.by_hand else False}


def die(code: int) -> dict[str, Any]:
    return {"Action": "die", "Actor": {"ID": "id", "Attributes": {"exitCode": str(code)}}}


async def shown(engine: Engine, *, again: bool = True, notes: bool = True) -> str:
    """What following it writes, to its last end."""
    out, typed = io.StringIO(), engine
    view = LogView(Context(Globals(ansi="never"), {}, out, io.StringIO()), typed, services=["a"], notes=notes)  # type: ignore[arg-type]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            view.group = group
            await view.follow("id", "p-a-1", "a", again=again)
            group.start_soon(view.listen, "p")
    return out.getvalue()


RUNS = [state("running", 1)] * 2  # the first look, and the one that its stream starts with


async def test_an_end() -> None:
    assert await shown(Engine([*RUNS, state("exited", 1, 3)])) == "a-1  | hello\na-1 exited with code 3\n"


async def test_an_end_that_was_there_before_is_not_told() -> None:
    assert await shown(Engine([state("exited", 1, 3)]), again=False) == "a-1  | hello\n"


async def test_no_notes_after_a_signal() -> None:
    assert await shown(Engine([*RUNS, state("exited", 1, 3)]), notes=False) == "a-1  | hello\n"


async def test_its_policy_restarts_it() -> None:
    engine = Engine([*RUNS, state("restarting", 1, 3), state("restarting", 1, 3), state("running", 2), state("exited", 2, 4)])
    assert await shown(engine) == "a-1  | hello\na-1 exited with code 3 (restarting)\na-1  | hello\na-1 exited with code 4\n"


async def test_it_runs_again_before_anybody_has_looked() -> None:
    """Only the event knows with which status the first run ended."""
    engine = Engine([*RUNS, state("running", 2), state("running", 2), state("exited", 2, 4)], happens=[die(143)])
    assert await shown(engine) == "a-1  | hello\na-1 exited with code 143 (restarting)\na-1  | hello\na-1 exited with code 4\n"


async def test_restarted_by_hand() -> None:
    over = state("exited", 1, 143)
    engine = Engine([*RUNS, over, over, state("running", 2), state("exited", 2)], by_hand=[True, True])
    assert await shown(engine) == "a-1  | hello\na-1 exited with code 143 (restarting)\na-1  | hello\na-1 exited with code 0\n"


async def test_stopped_while_it_waits_for_its_restart() -> None:
    engine = Engine([*RUNS, state("restarting", 1, 3), state("exited", 1, 3)])
    assert await shown(engine) == "a-1  | hello\na-1 exited with code 3 (restarting)\n"


async def test_gone_when_it_has_ended() -> None:
    assert await shown(Engine([*RUNS, None], happens=[die(137)])) == "a-1  | hello\na-1 exited with code 137\n"
    assert await shown(Engine([*RUNS, None])) == "a-1  | hello\n"


async def test_a_stream_that_ends_is_not_its_end() -> None:
    engine = Engine([*RUNS, *RUNS, state("exited", 1)])
    assert await shown(engine) == "a-1  | hello\na-1  | hello\na-1 exited with code 0\n"
    assert engine.streams == 2


async def test_it_is_replaced() -> None:
    made = {"Action": "create", "Actor": {"ID": "other", "Attributes": {"com.docker.compose.replace": "a-1"}}}
    engine = Engine([*RUNS, None], happens=[made, die(143)])
    assert "a-1 has been recreated\n" in await shown(engine)
    assert "a-1 exited with code 143\n" in await shown(Engine([*RUNS, None], happens=[made, die(143)]))
    strange = {"Action": "create", "Actor": {"ID": "other", "Attributes": {"com.docker.compose.replace": "b-1"}}}
    assert "recreated" not in await shown(Engine([*RUNS, None], happens=[strange]))


async def test_what_takes_its_place_is_waited_for() -> None:
    """`logs -f` of one service goes on when that is recreated."""
    made = {"Action": "create", "Actor": {"ID": "other", "Attributes": {"com.docker.compose.replace": "a-1"}}}
    view = LogView(Context(Globals(), {}, io.StringIO(), io.StringIO()), Engine([None]), services=["a"])  # type: ignore[arg-type]
    view._followed.add("a-1")
    ended: list[str] = []

    async def wait() -> None:
        await view.until_all_ended()
        ended.append("x")

    async with anyio.create_task_group() as group:
        view.group = group
        view.engine.happens = [made]  # type: ignore[attr-defined]
        await view.listen("p")
        group.start_soon(wait)
        await anyio.sleep(0.05)
        assert not ended
        view.engine.happens = [{"Action": "destroy", "Actor": {"ID": "other"}}]  # type: ignore[attr-defined]
        await view.listen("p")
    assert ended
