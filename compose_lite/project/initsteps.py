"""The `pre_start` steps of a service (Compose 5.3): containers of their own that run to their end before it is started.

They have the mounts of the service's container (volumes_from), its networks, environment and files. One that fails is kept, so that
it can be looked at, and the service is not started; the next run takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from compose_lite import __version__, ids
from compose_lite.api.protocol import Engine
from compose_lite.errors import ProjectError
from compose_lite.project.containerspec import Instance, endpoints, injected_files, network_mode
from compose_lite.project.injecting import inject
from compose_lite.project.observe import project_filter
from compose_lite.project.report import Report
from compose_lite.spec.models.project import place
from compose_lite.spec.models.service import InitStep, Service

Document = dict[str, Any]
KIND = "pre_start"
MOST_SAID = 1 << 16  # letters of output that go into the service's log
TAIL = 10  # lines of a failed step's output in its error


def step_body(one: Instance, step: InitStep, target: str) -> Document:
    """POST /containers/create. target: the id of the service's container. Pure."""
    service = one.service
    inner = replace(one, oneoff="step")  # no name of the service's on its networks
    environment = {**service.environment, **step.environment}
    return {
        "Image": step.image or one.project.image_of(service),
        "Cmd": list(step.command) if step.command is not None else None,
        "User": step.user,
        "WorkingDir": step.working_dir,
        "Env": [key if value is None else f"{key}={value}" for key, value in environment.items()],
        "Labels": {
            ids.PROJECT: one.project.name,
            ids.SERVICE: service.name,
            ids.VERSION: __version__,
            ids.HOOK: KIND,
            ids.WORKING_DIR: one.project.working_dir,
            ids.CONFIG_FILES: ",".join(one.project.compose_files),
        },
        "HostConfig": {"Privileged": step.privileged, "VolumesFrom": [target], "NetworkMode": network_mode(inner)},
        "NetworkingConfig": {"EndpointsConfig": endpoints(inner)},
    }


def steps_of(service: Service, *, per_replica: bool) -> list[tuple[int, InitStep]]:
    """Those that run once a service, or once a container; with their index in the file."""
    return [(index, step) for index, step in enumerate(service.pre_start) if step.per_replica == per_replica]


async def run_steps(engine: Engine, report: Report, one: Instance, target: str, *, per_replica: bool) -> str:
    """One after the other; their output. Raises ProjectError for the first that fails. one: what is started, its networks and files."""
    said = ""
    steps = steps_of(one.service, per_replica=per_replica)
    names = {index: f"{one.name}-{KIND}-{index}" for index, _ in steps}
    await _remove_stale(engine, one, set(names.values()))
    for index, step in steps:
        name = names[index]
        made = await engine.create_container(name, step_body(one, step, target), platform=one.service.platform or None)
        id = str(made["Id"])
        await inject(engine, id, injected_files(one))
        report.event("Container", name, "Starting")
        await engine.start(id)
        tail: list[str] = []
        async for some in engine.logs(id, follow=True):
            for _, data in some:
                text = data.decode("utf-8", "replace")
                report.output(name, text)
                said = (said + text)[-MOST_SAID:]
                tail = [*tail, *text.splitlines()][-TAIL:]
        code = int((await engine.wait(id))["StatusCode"])
        if code:
            report.event("Container", name, f"exited ({code})", failed=True)
            raise _failure(one, index, name, code, tail)
        await engine.remove(id, force=True, volumes=True)
        report.event("Container", name, "Exited", done=True)
    return said


async def _remove_stale(engine: Engine, one: Instance, names: Set[str]) -> None:
    """What an earlier run that failed, or was killed, has left; one that nobody waits for any more may still run."""
    labels = project_filter(one.project.name)["label"]
    filters: Mapping[str, list[str]] = {"label": [*labels, f"{ids.SERVICE}={one.service.name}", f"{ids.HOOK}={KIND}"]}
    for found in await engine.containers(all=True, filters=filters):
        if names & {name.removeprefix("/") for name in found["Names"]}:
            await engine.remove(found["Id"], force=True, volumes=True)


def _failure(one: Instance, index: int, name: str, code: int, tail: Sequence[str]) -> ProjectError:
    says = f'service "{one.service.name}" pre_start[{index}] exited with code {code}' + (f": {tail[-1]}" if tail else "")
    where = place(one.project, ("services", one.service.name, "pre_start", index))
    return ProjectError("pre-start-failed", says, place=where, remedy=f"Its container is kept: `compose-lite container logs {name}`.")
