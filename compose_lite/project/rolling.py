"""Replacing the containers of a service a few at a time, as `deploy.update_config` says; with the way back.

A new container stands beside the old one under a temporary name. stop-first ends the old one before the new one starts, start-first
after the new one is up. Old ones are kept (stopped) until the last one is replaced, so that a rollback needs no guess: the very
containers that ran before run again. It decides by `verdict` and does nothing else on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from compose_lite.errors import ApiError, Error, ProjectError
from compose_lite.ids import short
from compose_lite.project.plan import CreateContainer, Rollout, StartContainer
from compose_lite.project.waiting import ready
from compose_lite.spec.models.project import place

if TYPE_CHECKING:
    from compose_lite.project.converge import Converging


@dataclass(slots=True)
class Swap:
    """One replacement under way. made: the new container's id; old_name: what the old one is called now."""

    step: CreateContainer
    made: str = ""
    old_name: str = ""
    error: Error | None = None


@dataclass(slots=True)
class Rolling:
    work: Converging
    step: Rollout
    swaps: list[Swap] = field(default_factory=list)
    _once: anyio.Lock = field(default_factory=anyio.Lock)
    _prepared: bool = False

    async def run(self) -> None:
        """Raises ProjectError when too many of the new ones failed and the file does not say `continue`."""
        step = self.step
        for number, batch in enumerate(batches(step.replacements, step.parallelism)):
            if number and step.delay:
                await anyio.sleep(step.delay)
            swaps = [Swap(one) for one in batch]
            self.swaps += swaps
            async with anyio.create_task_group() as group:
                for swap in swaps:
                    group.start_soon(self._swap, swap)
            failed = [swap for swap in self.swaps if swap.error is not None]
            action = verdict(len(failed), len(step.replacements), step.max_failure_ratio, step.failure_action)
            if action == "rollback":
                await self._roll_back()
            if action != "continue":
                await self._finish()
                raise self._failure(failed, action)
        await self._finish()

    async def _swap(self, swap: Swap) -> None:
        work, step = self.work, swap.step
        work.report.event("Container", step.name, "Recreate")
        kept = () if work.renew_volumes else await work.anonymous_volumes(step)
        temporary = f"{short(step.replaces)}_{step.name}"
        await work.ignoring_missing(work.engine.remove(temporary, force=True))
        swap.made = await work.make(step, temporary, kept)
        try:
            async with self._once:
                if not self._prepared:
                    await work.pre_start(step.service, step.name, swap.made, per_replica=False)
                    self._prepared = True
            if self.step.order == "stop-first":
                await self._end_old(swap)
            await work.start(StartContainer(step.service, step.name, swap.made))
            await self._prove(swap)
        except (ApiError, ProjectError) as error:
            swap.error = error
            work.report.event("Container", step.name, "Error", failed=True)
            if not swap.old_name:  # nothing was lost: the old one runs
                await self._drop_new(swap)
            return
        if self.step.order == "start-first":
            await self._end_old(swap)
        work.report.event("Container", step.name, "Recreated", done=True)

    async def _prove(self, swap: Swap) -> None:
        """It gets healthy, or runs; and it stays so for the time to watch it."""
        work, name = self.work, swap.step.name
        await ready(work.engine, work.report, swap.made, name)
        if not self.step.monitor:
            return
        with anyio.move_on_after(self.step.monitor):
            code = (await work.engine.wait(swap.made))["StatusCode"]
            if code:
                raise ProjectError("wait-exited", f"container {name} exited ({code})")
        health = (await work.engine.container(swap.made))["State"].get("Health") or {}
        if health.get("Status") == "unhealthy":
            raise ProjectError("dependency-unhealthy", f"container {name} is unhealthy")

    async def _end_old(self, swap: Swap) -> None:
        """Stopped, and out of the way of the new one's name."""
        step, work = swap.step, self.work
        await work.stop_old(step)
        swap.old_name = f"{short(swap.made)}_{step.replaced_name}"
        await work.engine.rename(step.replaces, swap.old_name)
        await work.engine.rename(swap.made, step.name)
        work.ids[step.name] = swap.made

    async def _drop_new(self, swap: Swap) -> None:
        work, step = self.work, swap.step
        await work.ignoring_missing(work.engine.remove(swap.made, force=True))
        work.by_service.setdefault(step.service, {})[step.number] = step.replaces
        work.ids[step.name] = step.replaces
        swap.made = ""

    async def _roll_back(self) -> None:
        """The old ones run again, the last replaced first."""
        for swap in reversed(self.swaps):
            step, work = swap.step, self.work
            work.report.event("Container", step.name, "Rolling back")
            if swap.made:
                await work.ignoring_missing(work.engine.stop(swap.made))
                await self._drop_new(swap)
            if swap.old_name:
                await work.engine.rename(step.replaces, step.replaced_name)
                swap.old_name = ""
                await work.engine.start(step.replaces)
            work.report.event("Container", step.name, "Rolled back", done=True)

    async def _finish(self) -> None:
        """What was replaced goes."""
        for swap in self.swaps:
            if swap.old_name:
                await self.work.ignoring_missing(self.work.engine.remove(swap.step.replaces, force=True))

    def _failure(self, failed: Sequence[Swap], action: str) -> ProjectError:
        service, first = self.step.service, failed[0]
        done = sum(1 for swap in self.swaps if swap.error is None)
        left = len(self.step.replacements) - len(self.swaps)
        came = (
            "all are back to what they were"
            if action == "rollback"
            else f"paused: {done} replaced, {left} left as they were; the next `up` goes on"
        )
        says = f"update of service {service!r} failed at {first.step.name} ({first.error.says if first.error else ''}); {came}"
        where = place(self.work.project, ("services", service, "deploy", "update_config"))
        return ProjectError("update-failed", says, place=where, remedy=f"See `compose-lite why {service}`.")


def batches(steps: Sequence[CreateContainer], parallelism: int) -> list[Sequence[CreateContainer]]:
    """parallelism 0: all at once."""
    size = parallelism if parallelism > 0 else max(len(steps), 1)
    return [steps[start : start + size] for start in range(0, len(steps), size)]


def verdict(failed: int, all: int, ratio: float, action: str) -> str:
    """What follows from so many failures: continue, pause or rollback."""
    if not failed or failed / all <= ratio:
        return "continue"
    return action or "pause"
