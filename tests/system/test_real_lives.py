"""Random commands, ends and kill -9 against a model, on real containers: what tests/engine/test_lives.py does on a kernel in memory.

The model is the table of engine/lifecycle.py. Where something is killed while a command is at work, either what was or what was
asked for has to be there afterwards, wholly. The full number, with a seed of one's choice: `REAL_LIVES=200 SEED=1 pytest
tests/system/test_real_lives.py`.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, precondition, rule

from compose_lite.api.client import EngineClient
from compose_lite.api.protocol import DockerEngine
from compose_lite.engine import restart
from compose_lite.engine.lifecycle import NEXT, Event, State
from compose_lite.errors import ApiError
from tests.system.engines import Engine, alive, eventually

LIVES = int(os.environ.get("REAL_LIVES", "2"))
SEED = int(os.environ.get("SEED", "0"))
MOST = 4
LASTS = 20.0  # seconds until what was asked for has to be seen
PROGRAM = "while ! [ -e /ends/{name} ]; do sleep 0.05; done; s=$(cat /ends/{name}); rm /ends/{name}; exit $s"
TRANSITIONAL = (State.RESTARTING, State.REMOVING)
WATCHERS = ("engine", "zygote", "monitor", "engine and zygote", "all")
TIMES = st.floats(0, 0.3)


@dataclass(slots=True)
class Model:
    """What one container has to be. None where that cannot be known."""

    id: str
    name: str
    policy: str
    kind: str  # heeds, ignores (SIGTERM), broken (its program is not there)
    state: State | None = State.CREATED  # None: gone
    status: int | None = 0
    by_hand: bool | None = False


class RealLives(RuleBasedStateMachine):
    ids: Bundle[Model] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine(Path(tempfile.mkdtemp(prefix="real-lives-", dir="/tmp")) / "base")
        self.ends = self.engine.base / "ends"
        self.ends.mkdir()
        self.engine.run("engine", "start")
        self.models: list[Model] = []
        self.steps: list[str] = []

    # the engine

    def call(self, work: Callable[[DockerEngine], Awaitable[Any]]) -> Any:
        """The answer, or the ApiError."""

        async def act() -> Any:
            engine = DockerEngine(EngineClient(f"unix://{self.engine.base}/run/engine.sock"))
            try:
                return await work(engine)
            except ApiError as error:
                return error
            finally:
                await engine.aclose()

        return anyio.run(act)

    def document(self, model: Model) -> dict[str, Any]:
        found = self.call(lambda engine: engine.container(model.id))
        if isinstance(found, ApiError):
            self.check(found.http_status == 404, f"{model}: {found}")
            return {}
        return dict(found)

    def seen(self, model: Model) -> tuple[State | None, int]:
        found = self.document(model)
        return (State(found["State"]["Status"]), found["State"]["ExitCode"]) if found else (None, 0)

    def do(self, model: Model, event: Event) -> Any:
        async def act(engine: DockerEngine) -> Any:
            match event:
                case Event.START:
                    return await engine.start(model.id)
                case Event.STOP:
                    return await engine.stop(model.id, timeout=1)
                case Event.KILL:
                    return await engine.kill(model.id)
                case Event.SIGNAL:
                    return await engine.kill(model.id, signal="CONT")
                case Event.RESTART:
                    return await engine.restart(model.id, timeout=1)
                case Event.PAUSE:
                    return await engine.pause(model.id)
                case Event.UNPAUSE:
                    return await engine.unpause(model.id)
                case Event.EXEC:
                    return await engine.exec_create(model.id, {"Cmd": ["true"]})
                case Event.REMOVE:
                    return await engine.remove(model.id)
                case _:
                    return await engine.remove(model.id, force=True)

        return self.call(act)

    def check(self, holds: bool, says: object) -> None:
        if not holds:
            raise AssertionError("\n".join([*self.steps, f"{says}", self.engine.tasks()[-4000:]]))

    def settle(self, model: Model, states: set[State | None]) -> None:
        """Until it stays in one of these, which the model takes over."""
        until, last = time.monotonic() + LASTS, None
        while True:
            now = self.seen(model)
            if now == last and now[0] in states and now[0] not in TRANSITIONAL:
                break
            self.check(time.monotonic() < until, f"{model} is {now}, not one of {states}")
            last = now
            time.sleep(0.05)
        model.state, model.status = now

    # the model

    def started(self, model: Model) -> None:
        if model.kind == "broken":
            after = NEXT[model.state, Event.FAILS] if model.state else None
            assert isinstance(after, State)
            model.state, model.status = after, 127
        else:
            model.state, model.status = State.RUNNING, 0

    def ended(self, model: Model, status: int | None) -> None:
        if model.by_hand is None:
            self.settle(model, {State.RUNNING, State.EXITED})
        elif restart.starts_again({"Name": model.policy}, 255 if status is None else status, 0, model.by_hand):
            self.settle(model, {State.RUNNING})
        else:
            model.state, model.status = State.EXITED, status

    # commands

    @initialize(target=ids, policies=st.lists(st.sampled_from(("no", "always", "on-failure")), min_size=2, max_size=2))
    def two_that_run(self, policies: list[str]) -> Any:
        made = [self.create(policy, "heeds") for policy in policies]
        for model in made:
            self._command(model, Event.START)
        return multiple(*made)

    def create(self, policy: str, kind: str) -> Model:
        name = f"c{len(self.models)}"
        policy = "no" if kind == "broken" else policy
        body = {
            "Image": "rootfs:/",
            "Cmd": ["/nonexistent"] if kind == "broken" else ["/bin/sh", "-c", PROGRAM.format(name=name)],
            "HostConfig": {"RestartPolicy": {"Name": policy}, "Init": kind == "heeds", "Binds": [f"{self.ends}:/ends"]},
        }
        made = self.call(lambda engine: engine.create_container(name, body))
        self.steps.append(f"create {name} {policy} {kind}")
        self.check(isinstance(made, dict), made)
        model = Model(made["Id"], name, policy, kind)
        self.models.append(model)
        return model

    @rule(
        target=ids,
        policy=st.sampled_from(("no", "always", "on-failure", "unless-stopped")),
        kind=st.sampled_from(("heeds", "heeds", "ignores", "broken")),
    )
    def one_more(self, policy: str, kind: str) -> Any:
        return self.create(policy, kind) if len([model for model in self.models if model.state]) < MOST else multiple()

    @rule(model=ids, event=st.sampled_from((Event.START, Event.STOP, Event.KILL, Event.SIGNAL, Event.RESTART, Event.EXEC)))
    def command(self, model: Model, event: Event) -> None:
        self._command(model, event)

    @rule(model=ids, event=st.sampled_from((Event.PAUSE, Event.UNPAUSE)))
    def freezing(self, model: Model, event: Event) -> None:
        self._command(model, event)

    @rule(model=consumes(ids), event=st.sampled_from((Event.REMOVE, Event.REMOVE_FORCED)))
    def remove(self, model: Model, event: Event) -> Any:
        self._command(model, event)

    def _command(self, model: Model, event: Event) -> None:
        was = model.state
        found = self.do(model, event)
        self.steps.append(f"{event.value} {model.name} ({was}): {found!r}")
        wanted = NEXT[was, event] if was else None
        if not isinstance(wanted, State):
            status = wanted.status if wanted else 404
            refused = found is False if status == 304 else isinstance(found, ApiError) and found.http_status == status
            self.check(refused, f"{model}: {found!r}, not {wanted}")
            return
        fails = model.kind == "broken" and event in (Event.START, Event.RESTART)
        self.check(isinstance(found, ApiError) is fails, f"{model}: {found!r}")
        match event:
            case Event.START:
                model.by_hand = False
                self.started(model)
            case Event.STOP | Event.KILL:
                model.by_hand, model.state = True, State.EXITED
                model.status = 137 if event is Event.KILL or model.kind == "ignores" else 143
            case Event.RESTART:
                model.by_hand = False
                model.state = State.EXITED if was is not State.CREATED else was
                self.started(model)
            case Event.PAUSE | Event.UNPAUSE:
                model.state = wanted
            case Event.REMOVE | Event.REMOVE_FORCED:
                model.state = None
            case _:
                pass

    # what happens

    def running(self) -> list[Model]:
        return [model for model in self.models if model.state is State.RUNNING]

    @rule(model=ids, status=st.sampled_from((0, 3)))
    def ends_by_itself(self, model: Model, status: int) -> None:
        if model.state is State.RUNNING:
            self._let_end(model, status)
            self.steps.append(f"{model.name} ends with {status}")
            self.ended(model, status)

    def _let_end(self, model: Model, status: int) -> None:
        before = self.document(model)["State"]["Pid"]
        draft = self.ends / f".{model.name}"
        draft.write_text(f"{status}\n")
        draft.rename(self.ends / model.name)
        eventually(lambda: not alive(before))
        eventually(lambda: self.document(model)["State"]["Pid"] != before)

    @precondition(lambda self: self.running())
    @rule(who=st.sampled_from(WATCHERS), number=st.integers(0, MOST - 1))
    def kill_in_a_quiet_moment(self, who: str, number: int) -> None:
        self.steps.append(f"kill {who} {number}")
        self.kill(who, number)
        self.engine.run("engine", "start")

    @precondition(lambda self: self.running())
    @rule(who=st.sampled_from(("engine", "engine and zygote", "all")), status=st.sampled_from((1, 3)))
    def one_ends_unseen(self, who: str, status: int) -> None:
        """While no engine is there. Who watched may be gone too: then the status may be not known (255), which is a failure as well."""
        model = self.running()[0]
        pid = self.document(model)["State"]["Pid"]
        self.kill(who, 0)
        (self.ends / model.name).write_text(f"{status}\n")
        eventually(lambda: not alive(pid))
        self.engine.run("engine", "start")
        self.steps.append(f"kill {who}, then {model.name} ends with {status}")
        self.ended(model, None)

    @rule(
        model=ids,
        event=st.sampled_from((Event.START, Event.START, Event.STOP, Event.KILL, Event.RESTART, Event.PAUSE, Event.REMOVE_FORCED)),
        who=st.sampled_from(WATCHERS),
        after=TIMES,
        number=st.integers(0, MOST - 1),
    )
    def kill_while_a_command_is_at_work(self, model: Model, event: Event, who: str, after: float, number: int) -> None:
        was, answers = model.state, list[Any]()
        wanted = NEXT[was, event] if was else None
        thread = threading.Thread(target=lambda: answers.append(self.do(model, event)))
        thread.start()
        time.sleep(after)
        self.kill(who, number)
        thread.join(40)
        self.steps.append(f"{event.value} {model.name} ({was}), after {after:.3f} s kill {who} {number}: {answers}")
        self.check(bool(answers), "the command hangs")
        self.engine.run("engine", "start")
        if not isinstance(wanted, State) and event is not Event.RESTART:
            return
        allowed: set[State | None] = {was, State.EXITED, None if wanted is State.REMOVING else wanted}  # type: ignore[arg-type]
        if was in (State.RUNNING, State.PAUSED) and model.policy != "no":
            allowed.add(State.RUNNING)
        if event is Event.REMOVE_FORCED:
            allowed.add(State.DEAD)
        if event is Event.START and was is State.CREATED and model.kind != "broken":
            allowed -= {State.EXITED} if not isinstance(answers[0], ApiError) and model.policy != "no" else set()
        self.settle(model, allowed)
        if event in (Event.STOP, Event.KILL, Event.RESTART, Event.START, Event.REMOVE_FORCED):
            model.by_hand = None  # what the killed engine had noted is not seen from here

    def kill(self, who: str, number: int) -> None:
        names = self.engine.processes()
        zygotes = self.engine.zygotes()
        engines = []
        with contextlib.suppress(OSError):
            engines = [self.engine.engine()]
        monitors = sorted(pid for pid, name in names.items() if name == "cl-monitor")
        victims = {
            "engine": engines,
            "zygote": zygotes,
            "monitor": monitors[number : number + 1],
            "engine and zygote": [*engines, *zygotes],
            "all": [*engines, *zygotes, *monitors],
        }[who]
        random.Random(number).shuffle(victims)
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        eventually(lambda: not any(alive(pid) for pid in victims))

    # what always holds

    @invariant()
    def the_engine_is_the_model(self) -> None:
        there = {model.id: model for model in self.models if model.state}
        rows = self.call(lambda engine: engine.containers(all=True))
        self.check(not isinstance(rows, ApiError), rows)
        found = {row["Id"] for row in rows}
        self.check(found == set(there), f"{found} != {there}")
        for model in there.values():
            self._is(model)

    def _is(self, model: Model) -> None:
        document = self.document(model)["State"]
        state = State(document["Status"])
        known = model.status is None or document["ExitCode"] == model.status
        self.check(state is model.state and known, f"{model}: {document}")
        runs = state in (State.RUNNING, State.PAUSED)
        self.check(alive(document["Pid"]) is runs if document["Pid"] else not runs, f"{model}: its process: {document}")

    @invariant()
    def the_machine_has_what_the_engine_says(self) -> None:
        running = {model.id for model in self.models if model.state in (State.RUNNING, State.PAUSED)}

        def bundles() -> set[str]:
            folder = self.engine.base / "run/c"
            return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()

        until = time.monotonic() + LASTS
        while (found := bundles()) != running:
            self.check(time.monotonic() < until, f"bundles {found}, running {running}")
            time.sleep(0.05)

    def teardown(self) -> None:
        for model in self.models:
            self.do(model, Event.REMOVE_FORCED)
        ids = {model.id for model in self.models}
        self.engine.close()
        left = {kind: found for kind, found in self.engine.on_the_machine(ids).items() if found}
        self.engine.base.parent.rmdir()
        assert not left, "\n".join([*self.steps, f"left: {left}"])


@pytest.mark.system
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
class TestRealLives(RealLives.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(
        max_examples=LIVES,
        stateful_step_count=25 if "REAL_LIVES" in os.environ else 12,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


TestRealLives = seed(SEED)(TestRealLives)
