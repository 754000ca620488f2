"""Waiting until a container is healthy, settled or has ended; meanwhile the report hears on what.

Our engine answers when something changes (a probe's end within milliseconds), another one is looked at again and again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError, ProjectError
from compose_lite.project.report import Report
from compose_lite.units import parse_rfc3339

Document = dict[str, Any]
FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25  # seconds between looks at another engine's container
LISTEN = 20  # seconds after which our engine answers in any case
SETTLED = 0.5  # seconds after which a container without a healthcheck counts as running


@dataclass(frozen=True, slots=True)
class Look:
    """state: as in inspect. probed: the last probe and its Count, {} where nobody knows."""

    state: Document
    probed: Document


async def looks(engine: Engine, id: str) -> AsyncIterator[Look]:
    """The container's state now and then at every change, without end."""
    version, pause, ours = -1, FIRST_LOOK, True
    while True:
        if ours:
            try:
                found = await engine.extension("GET", f"containers/{id}/facts", query={"since": version, "wait": LISTEN})
            except ApiError as error:
                if error.code != "engine-foreign":
                    raise
                ours = False
                continue
            version = found["Version"]
            yield Look(found["State"], found["Probed"] or {})
        else:
            state = (await engine.container(id))["State"]
            yield Look(state, _counted(state))
            await anyio.sleep(pause)
            pause = min(pause * 1.4, LONGEST_LOOK)


def _counted(state: Document) -> Document:
    health = state.get("Health") or {}
    log = health.get("Log") or ()
    return {**log[-1], "Count": max(int(health.get("FailingStreak") or 0), len(log))} if log else {}


def on_what(look: Look) -> tuple[str, int]:
    """What a container that is not healthy yet is waited for: (what its last probe said, the probe's number)."""
    status = look.state["Status"]
    if status in ("created", "restarting", "paused"):
        return f"as it is {status}", 0
    if not look.probed:
        return "for its first probe", 0
    return said_by(look.probed), int(look.probed["Count"])


def said_by(probe: Mapping[str, Any]) -> str:
    """A probe's result on one line: the last one of its output, else its status."""
    lines = [line.strip() for line in str(probe.get("Output") or "").splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"exit status {probe.get('ExitCode')}"


async def healthy(engine: Engine, report: Report, id: str, name: str) -> None:
    """Returns when the container is healthy; ProjectError when it never will be."""
    async for look in looks(engine, id):
        state = look.state
        health = (state.get("Health") or {}).get("Status", "")
        if state["Status"] in ("exited", "dead", "removing"):
            says = f"dependency failed to start: container {name} exited ({state['ExitCode']})"
            last = _last(state)
            remedy = "See its output: `compose-lite logs`." + (f" Last output of its probe: {last}" if last else "")
            raise ProjectError("dependency-failed", says, remedy=remedy)
        if health == "healthy":
            return
        if health == "unhealthy":
            says = f"dependency failed to start: container {name} is unhealthy"
            last = _last(state)
            raise ProjectError("dependency-unhealthy", says, remedy=f"The last probe said: {last!r}." if last else None)
        if health in ("", "none") and state["Status"] == "running":
            says = f"container {name} has no healthcheck configured"
            raise ProjectError("no-healthcheck", says, remedy="Give its service a healthcheck.")
        report.waiting("Container", name, *on_what(look))


async def ready(engine: Engine, report: Report, id: str, name: str) -> str:
    """Healthy when it is, or when it has no healthcheck and has been running for a moment; Exited when it ended with 0; else ProjectError.

    Docker Compose counts an end with 0 as a failure too, so that `up --wait` fails for every project with a one-shot.
    """
    while True:
        state = (await engine.container(id))["State"]
        if (state.get("Health") or {}).get("Status", "none") not in ("", "none") and state["Status"] == "running":
            try:
                await healthy(engine, report, id, name)
                return "Healthy"
            except ProjectError as error:
                raise ProjectError(error.code, error.says.removeprefix("dependency failed to start: "), remedy=error.remedy) from None
        if state["Status"] in ("exited", "dead"):
            if state["ExitCode"] == 0 and not state.get("Error"):
                return "Exited"
            raise ProjectError("wait-exited", f"container {name} exited ({state['ExitCode']})", remedy="See `compose-lite logs`.")
        if state["Status"] == "running":
            left = SETTLED - (time.time() - parse_rfc3339(state["StartedAt"]) / 10**9)
            if left <= 0:
                return "Healthy"
            with anyio.move_on_after(min(left, SETTLED)):
                await engine.wait(id)
        else:
            await anyio.sleep(FIRST_LOOK)


async def ended_well(engine: Engine, report: Report, id: str, name: str, service: str) -> None:
    code = await completed(engine, report, id, name)
    if code:
        says = f'service "{service}" didn\'t complete successfully: exit {code}'
        raise ProjectError("dependency-failed", says, remedy=f"See `compose-lite logs {service}`.")


async def completed(engine: Engine, report: Report, id: str, name: str) -> int:
    """The exit status, once it has run and ended (and is not being restarted)."""
    code = 0
    async for look in looks(engine, id):
        if look.state["Status"] in ("exited", "dead"):
            code = int(look.state["ExitCode"])
            break
        report.waiting("Container", name, "for its end" if look.state["Status"] == "running" else f"as it is {look.state['Status']}")
    return code


def _last(state: Mapping[str, Any]) -> str:
    log = (state.get("Health") or {}).get("Log") or ()
    return str(log[-1].get("Output", "")).strip()[-300:] if log else ""
