"""Stopping one container: its pre_stop hooks, the stop signal, the grace period; and why it was killed in the end.

A first process without a handler for the stop signal never notices it (engine/signals.py), so every stop takes the whole grace
period. That is told once a service, with what to do and where.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from signal import Signals
from typing import Any

from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError, Place, ProjectError
from compose_lite.project.containerspec import hook_body
from compose_lite.project.report import Report
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Hook, Service

Document = dict[str, Any]
SOON = 0.9  # seconds; a stop that took less did not use up its grace period (it has whole seconds)


@dataclass(slots=True)
class Stopping:
    """timeout: seconds of grace, None for the service's own. project: None when only its name is known. attached: logs are shown."""

    engine: Engine
    report: Report
    project: Project | None = None
    timeout: int | None = None
    attached: bool = False
    _told: set[str] = field(default_factory=set)  # services

    async def stop(self, id: str, name: str, service: str) -> None:
        known = self.project.all_services().get(service) if self.project else None
        self.report.event("Container", name, "Stopping")
        if known is not None and known.pre_stop:
            with suppress(ApiError):
                await run_hooks(self.engine, self.report, id, name, known.pre_stop, known, attached=self.attached)
        await self.halt(id, service)
        self.report.event("Container", name, "Stopped", done=True)

    async def halt(self, id: str, service: str) -> None:
        """The signal and the wait; nothing when it is gone already."""
        known = self.project.all_services().get(service) if self.project else None
        began = time.monotonic()
        try:
            await self.engine.stop(id, timeout=grace(known, self.timeout))
        except ApiError as error:
            if error.http_status != 404:
                raise
            return
        await self._explain(id, service, time.monotonic() - began, "Signals")

    async def restart(self, id: str, service: str) -> None:
        """The engine's own, so that what shares its namespaces stays."""
        known = self.project.all_services().get(service) if self.project else None
        began = time.monotonic()
        await self.engine.restart(id, timeout=grace(known, self.timeout))
        await self._explain(id, service, time.monotonic() - began, "SignalsBefore")

    async def _explain(self, id: str, service: str, took: float, which: str) -> None:
        """which: the signals of facts that are meant, of the run that is over or of the one before."""
        if took >= SOON and service not in self._told:
            with suppress(ApiError):
                await self._look(id, service, took, which)

    async def _look(self, id: str, service: str, took: float, which: str) -> None:
        document = await self.engine.container(id)
        try:
            signals = (await self.engine.extension("GET", f"containers/{id}/facts"))[which]
        except ApiError as error:
            if error.code != "engine-foreign":
                raise
            signals = guessed(document, took)
        found = deaf(service, document, signals, command_place(self.project, service))
        if found and service not in self._told:
            self._told.add(service)
            self.report.warn(str(found))


def grace(service: Service | None, timeout: int | None) -> int | None:
    """Seconds between the stop signal and SIGKILL; None: the container's own."""
    if timeout is not None:
        return timeout
    if service is not None and service.stop_grace_period is not None:
        return -(-service.stop_grace_period // 10**9)
    return None


def guessed(container: Document, took: float) -> list[Document]:
    """Of another engine's container: it ended with SIGKILL, and its stop took long."""
    if container["State"].get("ExitCode") != 137 or container["State"].get("OOMKilled"):
        return []
    word = (container.get("Config") or {}).get("StopSignal") or "SIGTERM"
    number = getattr(Signals, word, Signals.SIGTERM).value if not word.isdigit() else int(word)
    return [{"Number": number, "Reacts": None}, {"Number": 9, "Because": f"not ended {took:.0f} s after the stop"}]


def deaf(service: str, container: Document, signals: Sequence[Mapping[str, Any]], where: Place | None = None) -> ProjectError | None:
    """Why it had to be killed, when its first process cannot notice the signal; None when it is another story. Nobody raises it."""
    if len(signals) < 2 or signals[-1]["Number"] != 9 or signals[-2].get("Reacts") is True:
        return None
    number, config = int(signals[-2]["Number"]), container.get("Config") or {}
    signal = next((s.name for s in Signals if s.value == number), str(number))
    words = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    known = signals[-2].get("Reacts") is False
    reason = "has no handler for it, so that the kernel drops it" if known else "probably has no handler for it"
    shell = len(words) > 2 and words[0].rpartition("/")[2] in ("sh", "bash", "ash", "dash") and words[1] == "-c"
    remedies = ["say `init: true`"]
    if shell:
        remedies.append("use the exec form (`command: [PROGRAM, ARGUMENT]`) or `exec PROGRAM`, so that the program gets it, not its shell")
    remedies.append("name a signal that it handles with `stop_signal`")
    first, advice = " ".join(words)[:60], "; ".join(remedies)
    says = f"service {service!r} was killed, {signals[-1].get('Because')}: its first process ({first}) did not notice {signal}"
    return ProjectError("stop-ignored", f"{says}, as it {reason}", place=where, remedy=f"{advice[:1].upper()}{advice[1:]}.")


def command_place(project: Project | None, service: str) -> Place | None:
    """Where the file says what it runs, or the service itself."""
    if project is None:
        return None
    for key in ("command", "entrypoint"):
        if getattr(project.all_services().get(service), key, None) is not None and (found := place(project, ("services", service, key))):
            return found
    return place(project, ("services", service))


async def run_hooks(
    engine: Engine, report: Report, id: str, name: str, hooks: list[Hook], service: Service, *, attached: bool = False
) -> None:
    """post_start or pre_stop commands, one after the other; ProjectError when one fails."""
    for hook in hooks:
        exec_id = await engine.exec_create(id, hook_body(hook, service))
        async with await engine.exec_start(exec_id) as stream:
            async for _, data in stream.frames():
                text = data.decode("utf-8", "replace")
                if not await logged(engine, id, text) or not attached:  # attached: the log is shown
                    report.output(name, text)
        code = (await engine.exec_inspect(exec_id))["ExitCode"]
        if code:
            raise ProjectError("hook-failed", f"{service.name} hook exited with status {code}", status=1)


async def logged(engine: Engine, id: str, text: str) -> bool:
    """Into the log of the running container, so that `logs` shows it too; another engine's logs take nothing."""
    try:
        await engine.extension("POST", f"containers/{id}/log", body={"Text": text})
    except ApiError:
        return False
    return True
