"""After a crash or a restart of the engine: what became of its containers, what is left over, who is to be started again. And before
the machine goes down: all are stopped.

It must never guess a status: one that nobody knows is recorded as 255 with an error that says so.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path

from compose_lite.engine import callers, restart
from compose_lite.engine.containers import Containers
from compose_lite.engine.lifecycle import Event, State
from compose_lite.engine.live import cleaning
from compose_lite.engine.record import Container
from compose_lite.engine.runs import STATUS_UNKNOWN
from compose_lite.errors import Error
from compose_lite.linux import pidfd
from compose_lite.runtime.answers import Adopted
from compose_lite.runtime.client import UNKNOWN

log = logging.getLogger("compose_lite.engine")


async def recover(containers: Containers) -> None:
    """Before the first call is served."""
    folder = containers.folders.run / "c"
    bundles = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    again = []
    for container in list(containers.all.values()):
        if container.state is State.REMOVING:
            container.move(Event.LOST)
            containers.save(container)
        if not (container.running or container.state is State.RESTARTING):
            if _starts_with_machine(container, pidfd.boot_id()):
                again.append(container)
            continue
        async with containers.live(container.id).lock:  # an end that is heard meanwhile comes after
            bundle = bundles.get(container.id)
            found = (await containers.runtime.adopt([bundle]))[0] if bundle else None
            if found and found.state == "running" and container.boot == pidfd.boot_id():
                await _go_on_with(containers, container, found)
            elif _record_end(containers, container, found):
                again.append(container)
    alive = {c.id for c in containers.all.values() if c.running}
    await _remove_leftovers(containers, {id: bundle for id, bundle in bundles.items() if id not in alive}, alive)
    for container in list(containers.all.values()):
        if (container.state is State.EXITED and container.host_config["AutoRemove"]) or callers.is_bound(container):
            with cleaning(container, "removal after its end"):
                await containers.remove(container, volumes=True)
    for container in again:
        with cleaning(container, "start after the engine's"):
            await containers.start(container)


async def go_down(containers: Containers) -> None:
    """All that run are stopped in order, at once; their policies start them with the next engine."""

    async def one(container: Container) -> None:
        with cleaning(container, "stop with the machine"):
            await containers.stop(container, with_machine=True)

    await asyncio.gather(*(one(c) for c in containers.all.values() if c.running or c.state is State.RESTARTING))


def _starts_with_machine(container: Container, boot: str) -> bool:
    """One that the shutdown stopped comes again by its policy. `always` holds over a stop by hand too, once the machine has been
    restarted (Docker: its daemon)."""
    if container.state is not State.EXITED:
        return False
    policy = container.host_config["RestartPolicy"]
    if container.stopped_with_machine:
        return restart.starts_again(policy, container.exit_code, container.restart_count, stopped_by_hand=False)
    return container.boot != boot and container.stopped_by_hand and restart.starts_with_engine(policy, False, True)


async def _go_on_with(containers: Containers, container: Container, found: Adopted) -> None:
    container.pid, container.start_time = found.pid, found.start_time
    containers.save(container)
    with cleaning(container, "network of a container of an earlier engine"):
        await containers.seats.adopt(container, found.pid, tuple(found.keep.values()))
    containers.volumes.mounted.add(container.id)
    containers.resume_health(container)


def _record_end(containers: Containers, container: Container, found: Adopted | None) -> bool:
    """It ended while no engine was there. True: its policy wants it started again."""
    notice, was_restarting = found.exit if found else None, container.state is State.RESTARTING
    container.exit_code = notice.status if notice else container.exit_code if was_restarting else UNKNOWN
    if notice:
        container.finished, container.oom_killed = notice.at_ns, notice.oom_killed
    elif not was_restarting:
        container.finished = time.time_ns()  # at the latest
    if not (notice.seen if notice else was_restarting):
        container.error = STATUS_UNKNOWN
    container.move(Event.LOST)
    container.pid = 0
    containers.save(container)
    policy = container.host_config["RestartPolicy"]
    if restart.starts_again(policy, container.exit_code, container.restart_count, container.stopped_by_hand):
        return True
    known = notice is not None and notice.seen
    return not known and restart.starts_with_engine(policy, True, container.stopped_by_hand)


async def _remove_leftovers(containers: Containers, bundles: dict[str, Path], alive: set[str]) -> None:
    for name, bundle in bundles.items():
        try:
            await containers.runtime.adopt([bundle])
            await containers.runtime.delete(name, bundle)
        except (Error, OSError):
            log.exception("leftovers of container %s", name[:12])
        shutil.rmtree(bundle, ignore_errors=True)
    for build in (containers.folders.run / "b").glob("*"):
        for bundle in (build / "c").glob("*"):
            try:
                await containers.runtime.delete(bundle.name, bundle)
            except (Error, OSError):
                log.exception("leftovers of a build")
        shutil.rmtree(build, ignore_errors=True)
    containers.background(asyncio.to_thread(containers.images.clean))
    containers.preparation.sweep(alive)
    try:
        await containers.seats.remove_leftovers(alive)
    except (Error, OSError):
        log.exception("leftovers on networks")
