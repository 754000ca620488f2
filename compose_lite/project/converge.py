"""Runs a plan: concurrency, cancellation and reports. It decides nothing; what it does stands in the plan.

Each step runs as soon as the steps it comes after are done. The first failure cancels what has not begun and is raised.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from compose_lite import ids
from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError, ProjectError
from compose_lite.ids import short
from compose_lite.project.containerspec import Instance, create_body, injected_files
from compose_lite.project.initsteps import run_steps, steps_of
from compose_lite.project.injecting import inject
from compose_lite.project.observe import Snapshot
from compose_lite.project.plan import (
    AwaitCondition,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Keep,
    Plan,
    PreStart,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    Rollout,
    StartContainer,
    StopContainer,
)
from compose_lite.project.report import Report, Silent
from compose_lite.project.rolling import Rolling
from compose_lite.project.stopping import Stopping, logged, run_hooks
from compose_lite.project.waiting import ended_well, healthy
from compose_lite.spec.models.project import Project

Document = dict[str, Any]


async def start_container(engine: Engine, id: str, name: str, report: Report) -> None:
    """And what the engine could not keep of its limits is told."""
    for limit in await engine.start(id) or ():
        report.warn(f"{name}: a limit is not kept: {limit}")


@dataclass(slots=True)
class Converging:
    """One run of one plan. timeout: seconds of grace for stops, None for the service's own. parallel: steps at once."""

    engine: Engine
    project: Project
    snapshot: Snapshot
    report: Report
    images: Mapping[str, str] = field(default_factory=dict)
    timeout: int | None = None
    renew_volumes: bool = False
    before_start: Callable[[str, str], Awaitable[None]] | None = None  # (service, container id): attach to what starts
    ids: dict[str, str] = field(default_factory=dict)  # container name -> id
    started: set[str] = field(default_factory=set)
    by_service: dict[str, dict[int, str]] = field(default_factory=dict)  # service -> number -> container id
    gone: set[str] = field(default_factory=set)  # ids of removed containers
    prepares: bool = True  # another engine is not asked again for what it does not know
    stopping: Stopping = field(init=False)
    said: dict[str, str] = field(default_factory=dict)  # container id -> output of its pre_start steps, for its log
    spans: list[tuple[object, tuple[int, ...]]] = field(default_factory=list)  # steps and the indices of those they come after
    times: dict[int, tuple[float, float]] = field(default_factory=dict)  # index -> when it began and ended (time.monotonic)

    def __post_init__(self) -> None:
        self.stopping = Stopping(self.engine, self.report, self.project, self.timeout)

    async def run(self, plan: Plan, parallel: int = -1) -> None:
        """Raises the first error of a step."""
        for warning in plan.warnings:
            self.report.warn(warning)
        for container in self.snapshot.containers:
            self.ids[container.name] = container.id
            if not container.oneoff:
                self.by_service.setdefault(container.service, {})[container.number] = container.id
        done = [anyio.Event() for _ in plan.steps]
        limit = anyio.CapacityLimiter(parallel if parallel > 0 else 64)

        first = len(self.spans)

        async def run_one(number: int) -> None:
            planned = plan.steps[number]
            if isinstance(planned.step, StartContainer):
                await self._prepare(planned.step, [(plan.steps[n - 1].step, done[n - 1]) for n in planned.after])
            for earlier in planned.after:
                await done[earlier - 1].wait()
            began = time.monotonic()
            if isinstance(planned.step, AwaitCondition | Rollout):
                await self.perform(planned.step)
            else:
                async with limit:
                    await self.perform(planned.step)
            self.times[first + number] = (began, time.monotonic())
            done[number].set()

        self.spans += [(p.step, tuple(first + n - 1 for n in p.after)) for p in plan.steps]

        async with anyio.create_task_group() as group:
            for number in range(len(plan.steps)):
                group.start_soon(run_one, number)

    async def _prepare(self, step: StartContainer, earlier: Sequence[tuple[object, anyio.Event]]) -> None:
        """While it waits for others to start, the engine does what does not depend on them. earlier: the steps it comes after."""
        made = [done for other, done in earlier if isinstance(other, CreateContainer) and other.name == step.name]
        for done in made:
            await done.wait()
        others = [done for other, done in earlier if isinstance(other, StartContainer | AwaitCondition | PreStart)]
        if self.prepares and made and not all(done.is_set() for done in others):
            try:
                await self.engine.extension("POST", f"containers/{self.ids[step.name]}/prepare")
            except ApiError as error:  # what does not go is said by the start
                self.prepares = error.code != "engine-foreign"

    async def perform(self, step: object) -> None:
        match step:
            case CreateNetwork(name, body):
                self.report.event("Network", name, "Creating")
                await self._ignoring_conflict(self.engine.create_network(body))
                self.report.event("Network", name, "Created", done=True)
            case RemoveNetwork(name):
                await self._remove_network(name)
            case RemoveVolume(name):
                self.report.event("Volume", name, "Removing")
                await self.ignoring_missing(self.engine.remove_volume(name))
                self.report.event("Volume", name, "Removed", done=True)
            case CreateVolume(name, body):
                self.report.event("Volume", name, "Creating")
                await self.engine.create_volume(body)
                self.report.event("Volume", name, "Created", done=True)
            case CreateContainer():
                await (self._recreate(step) if step.replaces else self._create(step))
            case StopContainer(id, name, service):
                await self.stopping.stop(id, name, service)
            case RemoveContainer(id, name):
                self.report.event("Container", name, "Removing")
                await self.ignoring_missing(self.engine.remove(id, force=True))
                self.report.event("Container", name, "Removed", done=True)
                self.ids.pop(name, None)
                self._forget(id)
            case StartContainer():
                await self.start(step)
            case AwaitCondition():
                await self._await(step)
            case PreStart():
                id = step.id or self.ids[step.name]
                await self.pre_start(step.service, step.name, id, per_replica=False)
            case Rollout():
                await Rolling(self, step).run()
            case Keep(_, name):
                seen = next((c for c in self.snapshot.containers if c.name == name), None)
                if seen is None or seen.running:
                    self.report.event("Container", name, "Running", done=True)

    def _forget(self, id: str) -> None:
        """A killed command may have left two containers of one number: then the other one is the service's."""
        self.gone.add(id)
        for numbers in self.by_service.values():
            for number in [n for n, other in numbers.items() if other == id]:
                del numbers[number]
        for container in self.snapshot.containers:
            if not container.oneoff and container.id not in self.gone:
                self.by_service.setdefault(container.service, {}).setdefault(container.number, container.id)

    async def _remove_network(self, name: str) -> None:
        self.report.event("Network", name, "Removing")
        for id in (await self.engine.network(name)).get("Containers") or {}:
            await self.ignoring_missing(self.engine.disconnect_network(name, id, force=True))
        await self.ignoring_missing(self.engine.remove_network(name))
        self.report.event("Network", name, "Removed", done=True)

    # --- containers

    async def _create(self, step: CreateContainer) -> None:
        self.report.event("Container", step.name, "Creating")
        self.ids[step.name] = await self.make(step, step.name, ())
        self.report.event("Container", step.name, "Created", done=True)

    async def _recreate(self, step: CreateContainer) -> None:
        """A new one beside the old, which gives it its anonymous volumes, its place and, at last, its name."""
        self.report.event("Container", step.name, "Recreate")
        kept = () if self.renew_volumes else await self.anonymous_volumes(step)
        temporary = f"{short(step.replaces)}_{step.name}"
        await self.ignoring_missing(self.engine.remove(temporary, force=True))
        made = await self.make(step, temporary, kept)
        await self.stop_old(step)
        await self.ignoring_missing(self.engine.remove(step.replaces, force=True))
        await self.engine.rename(made, step.name)
        self.ids[step.name] = made
        self.report.event("Container", step.name, "Recreated", done=True)

    async def stop_old(self, step: CreateContainer) -> None:
        """What is replaced."""
        service = self.project.services[step.service]
        if service.pre_stop:
            await run_hooks(self.engine, self.report, step.replaces, step.replaced_name, service.pre_stop, service)
        await self.stopping.halt(step.replaces, step.service)

    async def make(self, step: CreateContainer, name: str, inherited: tuple[tuple[str, str], ...]) -> str:
        service = self.project.services[step.service]
        instance = self._instance(step.service, step.number, step.name, inherited)
        body = create_body(instance)
        if step.replaces:
            body["Labels"][ids.REPLACE] = step.replaced_name.removeprefix(f"{self.project.name}-")
        try:
            answer = await self.engine.create_container(name, body, platform=service.platform or None)
        except ApiError as error:
            answer = {"Id": await self._made_by_another(name, body, error)}
        for warning in answer.get("Warnings") or ():
            self.report.warn(f"{step.name}: {warning}")
        id = str(answer["Id"])
        await inject(self.engine, id, injected_files(instance))
        self.by_service.setdefault(step.service, {})[step.number] = id
        return id

    def _instance(self, service: str, number: int, name: str, inherited: tuple[tuple[str, str], ...] = ()) -> Instance:
        return Instance(
            self.project,
            self.project.services[service],
            number,
            name,
            self.images.get(service, ""),
            {other: ids[min(ids)] for other, ids in self.by_service.items() if ids},
            inherited,
            read=lambda path: (Path(self.project.working_dir) / path).read_text(),
        )

    async def pre_start(self, service: str, name: str, id: str, *, per_replica: bool) -> None:
        """The steps of that kind, with the mounts of this container."""
        if steps_of(self.project.services[service], per_replica=per_replica):
            said = await run_steps(self.engine, self.report, self._instance(service, 0, name), id, per_replica=per_replica)
            self.said[id] = self.said.get(id, "") + said

    async def _made_by_another(self, name: str, body: Mapping[str, Any], error: ApiError) -> str:
        """Another command may have made at the same time what we were about to make, to the letter: its id, else the error."""
        if error.http_status == 409:
            with contextlib.suppress(ApiError):
                found = await self.engine.container(name)
                there, wanted = found["Config"].get("Labels") or {}, body["Labels"]
                if all(there.get(key) == wanted.get(key) for key in (ids.PROJECT, ids.SERVICE, ids.NUMBER, ids.CONFIG_HASH)):
                    return str(found["Id"])
        raise error

    async def anonymous_volumes(self, step: CreateContainer) -> tuple[tuple[str, str], ...]:
        """(volume, target) of the old container's volumes that have no name in the project."""
        service = self.project.services[step.service]
        named = {v.target for v in service.volumes if v.source}
        try:
            document = await self.engine.container(step.replaces)
        except ApiError:
            return ()
        found = [m for m in document.get("Mounts") or () if m.get("Type") == "volume" and m.get("Destination") not in named]
        return tuple((m["Name"], m["Destination"]) for m in found)

    async def start(self, step: StartContainer) -> None:
        service = self.project.services[step.service]
        id = step.id or self.ids[step.name]
        await self.pre_start(step.service, step.name, id, per_replica=True)
        if self.before_start:
            await self.before_start(step.service, id)
        told = Silent() if self.before_start else self.report  # attached: the output itself tells of the start
        told.event("Container", step.name, "Starting")
        await start_container(self.engine, id, step.name, self.report)
        self.started.add(id)
        if self.said.get(id):
            await logged(self.engine, id, self.said.pop(id))
        if service.post_start:
            await run_hooks(self.engine, self.report, id, step.name, service.post_start, service, attached=bool(self.before_start))
        told.event("Container", step.name, "Started", done=True)

    async def _await(self, step: AwaitCondition) -> None:
        try:
            async with anyio.create_task_group() as group:
                for name in step.names:
                    group.start_soon(self._await_one, step, name)
        except* (ProjectError, ApiError) as failed:
            error = failed.exceptions[0]
            if step.required:
                raise error from None
            self.report.warn(f"optional dependency {step.needed!r} failed to start: {error}")

    async def _await_one(self, step: AwaitCondition, name: str) -> None:
        self.report.event("Container", name, "Waiting")
        id = self.ids.get(name, name)
        if self._healthy_before(id, name) and step.condition == "service_healthy":
            self.report.event("Container", name, "Healthy", done=True)
            return
        if step.condition == "service_completed_successfully":
            try:
                await ended_well(self.engine, self.report, id, name, step.needed)
            except ProjectError as error:
                self.report.event("Container", name, error.says, failed=True)
                raise
            self.report.event("Container", name, "Exited", done=True)
            return
        try:
            await healthy(self.engine, self.report, id, name)
        except ProjectError:
            self.report.event("Container", name, "Error", failed=True)
            raise
        self.report.event("Container", name, "Healthy", done=True)

    def _healthy_before(self, id: str, name: str) -> bool:
        """It was found healthy, and nothing was done with it since: nobody needs to be asked."""
        seen = next((c for c in self.snapshot.containers if c.name == name), None)
        return seen is not None and seen.id == id and seen.running and seen.health == "healthy" and id not in self.started

    @staticmethod
    async def ignoring_missing(call: Awaitable[object]) -> None:
        try:
            await call
        except ApiError as error:
            if error.http_status != 404:
                raise

    @staticmethod
    async def _ignoring_conflict(call: Awaitable[object]) -> None:
        """Two `up` at once: the other made it."""
        try:
            await call
        except ApiError as error:
            if error.http_status != 409:
                raise
