"""Attached `up`: the output of what it starts, until all of it has ended, one container's end ends it, or Ctrl-C.

The first Ctrl-C stops in order; a second one kills, as that was said (Docker Compose says it too, but goes on waiting). What is started
meanwhile by others is shown too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from compose_lite import ids
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli import menu
from compose_lite.cli.logview import LogView
from compose_lite.cli.progress import Plain
from compose_lite.cli.timed import FORMS
from compose_lite.cli.upping import Upping
from compose_lite.errors import ApiError, Error, ProjectError, nearest
from compose_lite.graph.services import stop_levels
from compose_lite.project.observe import Seen, containers_of, project_filter
from compose_lite.project.stopping import Stopping
from compose_lite.spec.models.project import Project

LAST_WORDS = 0.3  # seconds for the output of what ended, when the rest failed to start


@dataclass(slots=True)
class Foreground:
    """beside: runs while attached (the watching); the command then ends with Ctrl-C alone. watch: begins a watching that a key asks for.

    keys: the terminal's keys are listened to.
    """

    upping: Upping
    engine: DockerEngine
    view: LogView
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None
    watch: Callable[[], Callable[[], Coroutine[Any, Any, None]]] | None = None
    keys: bool = False
    code: int = 0
    _watching: anyio.CancelScope | None = None
    _detached: anyio.Event = field(default_factory=anyio.Event)
    _interrupted: bool = False
    _making: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _stopped: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> int:
        o = self.upping.options
        code_from = o.get("exit_code_from")
        project = self.upping.project
        if code_from and code_from not in project.services:
            raise ProjectError("no-such-service", f"no such service: {code_from}", remedy=nearest(code_from, project.services))
        async with anyio.create_task_group() as group:
            self.view.group = group
            group.start_soon(self._interrupts)
            group.start_soon(self.view.listen, project.name)
            try:
                with self._making:
                    work = await self.upping.converge(start=True, view=self.view)
                    if o.get("timing"):
                        self.upping.context.err.write(FORMS[o["timing"]](await self.upping.timing.spans(work)))
                self.upping.report.close()
                if self._interrupted:
                    await self._stopped.wait()
                else:
                    await self._attached(bool(o.get("abort_on_container_exit") or code_from), bool(o.get("abort_on_container_failure")))
            except (Error, BaseExceptionGroup):
                with anyio.move_on_after(LAST_WORDS):  # what ended has said why
                    await self.view.until_all_ended()
                raise
            finally:
                group.cancel_scope.cancel()
        if code_from:
            ended = await containers_of(self.engine, project.name, [code_from])
            return int((await self.engine.container(ended[0].id))["State"]["ExitCode"]) if ended else self.code
        return self.code

    async def _attached(self, abort: bool, abort_on_failure: bool) -> None:
        """All has been started."""
        found = await containers_of(self.engine, self.upping.project.name, self.view.services, all=True) if self.view.services else []
        for container in found:
            if container.running and container.id not in self.view.following:
                await self.view.follow(container.id, container.name, container.service, since_now=True)
        assert self.view.group
        self.view.group.start_soon(self._newcomers)
        if self.beside:
            self.view.group.start_soon(self._beside, self.beside)
        if self.keys:
            self.view.group.start_soon(self._listen_to_keys)
        async with anyio.create_task_group() as group:
            group.start_soon(self._until_left, group.cancel_scope)
            await self._until_over(abort, abort_on_failure)
            group.cancel_scope.cancel()

    async def _listen_to_keys(self) -> None:
        """Until Ctrl-C is typed: an end that was asked for is a success, as with Docker Compose. The next one is a signal."""
        with anyio.CancelScope() as listening:

            async def leave() -> None:
                listening.cancel()

            keys = {"w": self._toggle_watch, "d": self._detach, menu.CTRL_C: leave}
            await menu.Menu(keys, ready=lambda: self._say(menu.HINT)).run()
        if listening.cancel_called:
            await self._interrupt()

    async def _until_left(self, rest: anyio.CancelScope) -> None:
        await self._detached.wait()
        rest.cancel()

    async def _until_over(self, abort: bool, abort_on_failure: bool) -> None:
        if abort or abort_on_failure:
            await self._until_one_ends(only_failure=not abort)
            if not self._interrupted:
                self.upping.context.err.write("Aborting on container exit...\n")
                self._interrupted = True
                await self._stop()
        if not self.beside:
            await self._until_shown_ended()
        if self.beside or self._watching is not None:
            await self._stopped.wait()
        await self._until_shown_ended()

    async def _until_shown_ended(self) -> None:
        """When all that is shown has ended; after a stop, what was to be stopped: dependencies may be shown too, and they run on."""
        async with anyio.create_task_group() as group:

            async def stopped() -> None:
                await self._stopped.wait()
                await self.view.until_all_ended({c.id for c in await self._own(all=True)})
                group.cancel_scope.cancel()

            group.start_soon(stopped)
            await self.view.until_all_ended()
            group.cancel_scope.cancel()

    def _say(self, text: str) -> None:
        self.upping.report.above(f"{text}\n", self.upping.context.err)

    async def _beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with anyio.CancelScope() as self._watching:
            await work()

    async def _toggle_watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._say("Watch disabled")
        elif self.watch is not None and self.view.group:
            try:
                work = self.watch()
            except Error as error:
                self._say(str(error))
            else:
                self.view.group.start_soon(self._beside, work)  # it says "Watch enabled" itself, once it does

    async def _detach(self) -> None:
        """The containers are left as they are."""
        self._say("Detached: the containers run on.")
        self._detached.set()

    async def _interrupts(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self.code = 130
                self.view.notes = self.view.notes and self._interrupted
                await self._interrupt()

    async def _interrupt(self) -> None:
        if self._interrupted:
            for container in await self._own(all=False):
                with suppress(ApiError):
                    await self.engine.kill(container.id)
            return
        self._interrupted = True
        self.upping.report.above("Gracefully Stopping... press Ctrl+C again to force\n", self.upping.context.out)
        self._making.cancel()
        assert self.view.group
        self.view.group.start_soon(self._stop)

    async def _own(self, *, all: bool) -> list[Seen]:
        """What was asked for; what it needs is not touched when services were named."""
        names = self.upping.services or list(self.upping.project.services)
        return await containers_of(self.engine, self.upping.project.name, names, all=all)

    async def _stop(self) -> None:
        names = self.upping.services or list(self.upping.project.services)
        await stop_services(self.engine, self.upping.project, names, self.upping.report, self.upping.options.get("timeout"))
        self._stopped.set()

    async def _newcomers(self) -> None:
        """Containers of the shown services that are started later, by a watch or another command."""
        wanted = {"type": ["container"], "event": ["start"], **project_filter(self.upping.project.name)}
        async for event in self.engine.events(filters=wanted):
            attributes = event["Actor"]["Attributes"]
            service = attributes.get(ids.SERVICE, "")
            if service in self.view.services and attributes.get(ids.ONEOFF) != "True":
                await self.view.follow(event["Actor"]["ID"], attributes.get("name", ""), service, again=True)

    async def _until_one_ends(self, *, only_failure: bool) -> None:
        """Until the first of the project's containers ends (badly); its status is ours."""
        found = anyio.Event()

        async def watch(container: Seen) -> None:
            status = int((await self.engine.wait(container.id))["StatusCode"])
            if (status or not only_failure) and not found.is_set():
                if not self._interrupted:
                    self.code = status
                found.set()

        async with anyio.create_task_group() as group:
            running = await containers_of(self.engine, self.upping.project.name, self.upping.chosen(), all=True)
            for container in running:
                group.start_soon(watch, container)
            if running:
                await found.wait()
            group.cancel_scope.cancel()


def shown(upping: Upping) -> list[str]:
    """Services whose output is shown."""
    o, project = upping.options, upping.project
    if o.get("attach"):
        names = list(o["attach"])
    elif upping.services and not o.get("attach_dependencies"):
        names = list(upping.services)
    else:
        names = upping.chosen()
    for name in o.get("attach") or ():
        if name not in upping.chosen():
            says = f"cannot attach to services not included in up: {name}"
            raise ProjectError("attach-elsewhere", says, remedy=nearest(name, upping.chosen()) or "Name it for `up` too.")
    for name in (*names, *(o.get("no_attach") or ())):
        if name not in project.all_services():
            raise ProjectError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.all_services()))
    return [n for n in names if n not in (o.get("no_attach") or ()) and project.all_services()[n].attach is not False]


async def stop_services(engine: DockerEngine, project: Project, names: Sequence[str], report: Plain, timeout: int | None) -> None:
    """Dependents first, each level side by side."""
    running = await containers_of(engine, project.name, names, all=True)
    stopping = Stopping(engine, report, project, timeout, attached=True)
    for level in stop_levels(project):
        async with anyio.create_task_group() as group:
            for container in running:
                if container.service in level:
                    group.start_soon(stopping.stop, container.id, container.name, container.service)
