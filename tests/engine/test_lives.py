"""Random commands, ends and engine kills against a model: the engine's own code, on a kernel in memory (tests/engine/kernel.py).

The model is the table of engine/lifecycle.py and what it does not say: statuses, restarts, who waits, what the kernel has.
More of it: `LIVES=3000 pytest tests/engine/test_lives.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from compose_lite.disk import Folders
from compose_lite.engine import restart
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.execs import Execs
from compose_lite.engine.lifecycle import NEXT, Event, State
from compose_lite.engine.recover import go_down, recover
from compose_lite.engine.store import Store
from compose_lite.errors import EngineError
from tests.engine.kernel import Clock, Kernel

LIVES = int(os.environ.get("LIVES", "40"))
LONG = 150.0  # seconds: longer than any back-off
COMMANDS = st.sampled_from([event for event in Event if event.value in ("start", "pause", "unpause", "exec", "update", "signal", "kill")])


@dataclass(slots=True)
class Model:
    """What one container has to be."""

    id: str
    policy: str
    auto_remove: bool
    state: State | None = State.CREATED  # None: gone
    status: int = 0
    by_hand: bool = False
    ends: int = 0
    waits: list[tuple[str, int, asyncio.Future[int]]] = field(default_factory=list)  # condition, ends so far


class Lives(RuleBasedStateMachine):
    ids: Bundle[Model] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="lives-"))
        self.loop = Clock()
        self.kernel = Kernel()
        self.models: list[Model] = []
        self.engine: Containers
        self.boot()

    # the engine

    def boot(self) -> None:
        self.run(self._boot())

    async def _boot(self) -> None:
        folders = Folders(self.base / "run", self.base / "data")
        for id in self.kernel.bundles:
            (folders.run / "c" / id).mkdir(parents=True, exist_ok=True)
        folders.data.mkdir(exist_ok=True)
        self.store = Store(folders.data / "state.db")
        self.engine = Containers(self.store, folders, self.kernel, Bus())  # type: ignore[arg-type]
        self.engine.runtime = self.engine.births.preparation = self.kernel  # type: ignore[assignment]
        self.execs = Execs(self.engine)
        await recover(self.engine)
        self.kernel.heard = self.engine.heard_exit
        await self.settle()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(work)

    async def settle(self) -> None:
        """Everything that is to be done without time passing."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.settle()
        for model in self.models:
            if model.state is State.RESTARTING:
                self.started(model)

    def command(self, model: Model, event: Event, work: Coroutine[Any, Any, Any]) -> bool:
        """True when it was done; a refusal has to be the table's."""

        async def act() -> Any:
            try:
                done = await work
            except EngineError as error:
                done = error
            await self.settle()
            return done

        found = self.run(act())
        wanted = NEXT[model.state, event] if model.state else None
        if wanted is None:
            assert isinstance(found, EngineError) and found.http_status == 404
        elif isinstance(wanted, State):
            assert not isinstance(found, EngineError) or found.http_status == 400, found  # 400: its program cannot be started
            return True
        elif wanted.status == 304:
            assert found is False
        else:
            assert isinstance(found, EngineError) and found.http_status == wanted.status, (found, wanted)
        return False

    # the model

    def started(self, model: Model) -> None:
        if model.id in self.kernel.broken:
            was = model.state
            assert was
            after = NEXT[was, Event.FAILS]
            assert isinstance(after, State)
            model.state, model.status = after, 127
            model.ends += 1
            self.removed_by_itself(model)
        else:
            model.state, model.status = State.RUNNING, 0

    def ended(self, model: Model, status: int) -> None:
        again = restart.starts_again({"Name": model.policy}, status, 0, model.by_hand)
        model.state, model.status = State.RESTARTING if again else State.EXITED, status
        model.ends += 1
        if not again:
            self.removed_by_itself(model)

    def removed_by_itself(self, model: Model) -> None:
        if model.auto_remove:
            model.state = None

    # commands

    @rule(
        target=ids, policy=st.sampled_from(("no", "always", "on-failure", "unless-stopped")), broken=st.booleans(), stubborn=st.booleans()
    )
    def create(self, policy: str, broken: bool, stubborn: bool) -> Any:
        if len(self.models) > 3:
            return multiple()
        auto_remove = policy == "no" and stubborn
        host = {"RestartPolicy": {"Name": policy}, "AutoRemove": auto_remove}

        async def act() -> str:
            return self.engine.create("", {"Image": "x", "Cmd": ["x"], "HostConfig": host}).id

        model = Model(self.run(act()), policy, auto_remove)
        if broken:
            self.kernel.broken.add(model.id)
        if stubborn:
            self.kernel.stubborn.add(model.id)
        self.models.append(model)
        return model

    async def _do(self, model: Model, event: Event) -> Any:
        one = self.engine.find(model.id)
        match event:
            case Event.START:
                return await self.engine.start(one)
            case Event.PAUSE:
                return await self.engine.pause(one)
            case Event.UNPAUSE:
                return await self.engine.unpause(one)
            case Event.EXEC:
                return self.execs.create(one, {"Cmd": ["x"]})
            case Event.SIGNAL:
                return await self.engine.kill(one, "USR1")
            case Event.KILL:
                return await self.engine.kill(one)
            case Event.STOP:
                return await self.engine.stop(one, 3)
            case Event.RESTART:
                return await self.engine.restart(one, 3)
            case Event.REMOVE:
                return await self.engine.remove(one)
            case Event.REMOVE_FORCED:
                return await self.engine.remove(one, force=True)
            case _:
                return self.engine.update(one, {})

    @rule(model=ids, event=COMMANDS, deaths=st.sampled_from((0, 0, 1, 2, 3)))
    def short_command(self, model: Model, event: Event, deaths: int) -> None:
        was, self.kernel.deaths = model.state, deaths if event is Event.START else 0
        if not self.command(model, event, self._do(model, event)):
            return
        if event is Event.START:
            model.by_hand = False
            self.started(model)
        elif event is Event.KILL or (event is Event.SIGNAL and was is State.RESTARTING):
            model.by_hand = True
            self._ends_by_command(model, was, 137)
        elif event in (Event.PAUSE, Event.UNPAUSE, Event.SIGNAL):
            after = NEXT[was, event] if was else None
            assert isinstance(after, State)
            model.state = after

    def _ends_by_command(self, model: Model, was: State | None, status: int) -> None:
        if was is State.RESTARTING:
            model.state = State.EXITED
            model.ends += 1
        elif was in (State.RUNNING, State.PAUSED):
            self.ended(model, status)

    @rule(model=ids, deaths=st.sampled_from((0, 0, 1)), changed=st.booleans())
    def prepare(self, model: Model, deaths: int, changed: bool) -> None:
        """Nothing to be seen of it, whatever becomes of it; a change before the start makes it useless."""
        if model.state is None:
            return
        self.kernel.deaths = deaths

        async def act() -> None:
            one = self.engine.find(model.id)
            await self.engine.prepare(one)
            if model.state is State.CREATED:
                assert (model.id in self.kernel.bundles) == (model.id in self.engine.births.ahead.ids()), (
                    "prepared, or all of it taken back"
                )
            if changed:
                self.engine.put_files(one, [*one.files, {"Path": "/x"}] if len(one.files) < 3 else [])

        self.run(act())
        self.kernel.deaths = 0

    @rule(model=ids, event=st.sampled_from((Event.STOP, Event.RESTART)))
    def long_command(self, model: Model, event: Event) -> None:
        """May take its grace, in which others' restarts come."""
        was = model.state
        done = self.command(model, event, self._do(model, event))
        if done:
            model.by_hand = True
            kept, model.auto_remove = model.auto_remove, model.auto_remove and event is Event.STOP
            self._ends_by_command(model, was, 137 if model.id in self.kernel.stubborn else 143)
            model.auto_remove = kept
            if event is Event.RESTART:
                model.by_hand = False
                self.started(model)
        self.run(self.passes(LONG))

    @rule(model=consumes(ids), event=st.sampled_from((Event.REMOVE, Event.REMOVE_FORCED)))
    def remove(self, model: Model, event: Event) -> None:
        if self.command(model, event, self._do(model, event)):
            model.ends += model.state not in (State.CREATED, State.EXITED)
            model.state = None

    @rule(model=ids, condition=st.sampled_from(("not-running", "next-exit", "removed")))
    def wait(self, model: Model, condition: str) -> None:
        async def act() -> asyncio.Future[int]:
            return self.engine.waiter(self.engine.find(model.id), condition)

        with contextlib.suppress(EngineError):
            model.waits.append((condition, model.ends, self.run(act())))

    # what happens

    @rule(model=ids, status=st.sampled_from((0, 1, 137)))
    @precondition(lambda self: self.kernel.processes)
    def ends(self, model: Model, status: int) -> None:
        if model.id in self.kernel.processes:

            async def act() -> None:
                self.kernel.end(model.id, status)
                await self.settle()

            self.run(act())
            self.ended(model, status)

    @rule()
    def time_passes(self) -> None:
        self.run(self.passes(LONG))

    @rule(fates=st.lists(st.sampled_from((None, 0, 1, "lives")), min_size=4, max_size=4))
    def engine_is_killed(self, fates: list[Any]) -> None:
        """Meanwhile some end, with a status (None: their monitors are killed too, so nobody knows it)."""
        self.kernel.heard = None

        async def die() -> None:
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
            await self.settle()

        self.run(die())
        self.store.close()
        for model, fate in zip(self.models, fates, strict=False):
            model.waits.clear()
            if model.id in self.kernel.processes and fate != "lives":
                self.kernel.end(model.id, fate)
                self._ended_unseen(model, 255 if fate is None else fate, fate is None)
            elif model.state is State.RESTARTING:
                self._ended_unseen(model, model.status, False)
        self.boot()
        self.run(self.passes(LONG))

    @rule()
    def machine_goes_down(self) -> None:
        """In order: all are stopped, and the next engine starts whom its policy wants."""

        async def act() -> None:
            await go_down(self.engine)
            await self.settle()
            self.kernel.heard = None

        was = [(model, model.state) for model in self.models if model.state in (State.RUNNING, State.PAUSED, State.RESTARTING)]
        self.run(act())
        self.store.close()
        for model in self.models:
            model.waits.clear()
        for model, state in was:
            if state is not State.RESTARTING:
                model.status = 137 if model.id in self.kernel.stubborn else 143
            model.state = State.EXITED
            self.removed_by_itself(model)
        self.boot()
        for model, _ in was:
            if restart.starts_again({"Name": model.policy}, model.status, 0, stopped_by_hand=False):
                model.by_hand = False
                self.started(model)
        self.run(self.passes(LONG))

    def _ended_unseen(self, model: Model, status: int, unknown: bool) -> None:
        policy = {"Name": model.policy}
        again = restart.starts_again(policy, status, 0, model.by_hand)
        again = again or (unknown and restart.starts_with_engine(policy, True, model.by_hand))
        model.state, model.status = State.EXITED, status
        if again:
            model.by_hand = False
            self.started(model)
        else:
            self.removed_by_itself(model)

    # what always holds

    @invariant()
    def the_engine_is_the_model(self) -> None:
        there = {model.id: model for model in self.models if model.state}
        assert set(self.engine.all) == set(there)
        for id, model in there.items():
            one = self.engine.all[id]
            assert (one.state, one.exit_code) == (model.state, model.status)

    @invariant()
    def the_store_is_the_engine(self) -> None:
        assert {one.id: one for one in self.store.containers()} == self.engine.all

    @invariant()
    def the_kernel_has_what_the_engine_says(self) -> None:
        running = {model.id: model.state is State.PAUSED for model in self.models if model.state in (State.RUNNING, State.PAUSED)}
        assert {id: process.frozen for id, process in self.kernel.processes.items()} == running
        assert self.kernel.bundles == {*running, *self.engine.births.ahead.ids()}
        assert {id: one.pid for id, one in self.engine.all.items() if one.pid} == {id: p.pid for id, p in self.kernel.processes.items()}

    @invariant()
    def who_waits_is_told(self) -> None:
        for model in self.models:
            for condition, before, future in model.waits:
                if model.state is None or (condition == "next-exit" and model.ends > before):
                    assert future.done(), condition
                if condition == "not-running" and model.state in (State.CREATED, State.EXITED):
                    assert future.done()
                if condition == "removed" and model.state:
                    assert not future.done()

    def teardown(self) -> None:
        async def end() -> None:
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
            await self.settle()

        self.run(end())
        self.store.close()
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        asyncio.set_event_loop(None)
        shutil.rmtree(self.base, ignore_errors=True)


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=LIVES,
    stateful_step_count=30,
    deadline=None,
    derandomize="LIVES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
