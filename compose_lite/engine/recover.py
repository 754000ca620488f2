"""After a crash or a restart of the engine: what became of its containers, what is left over, who is to be started again.

It must never guess a status: one that nobody knows is recorded as 255 with an error that says so.
"""

from __future__ import annotations

import contextlib
import shutil

from compose_lite.engine import restart
from compose_lite.engine.containers import Containers
from compose_lite.engine.lifecycle import State
from compose_lite.errors import Error
from compose_lite.linux import pidfd

UNKNOWN = 255


async def recover(containers: Containers) -> None:
    folders = containers.folders
    bundles = folders.run / "c"
    there = {path.name: path for path in bundles.iterdir()} if bundles.is_dir() else {}
    again = []
    boot = pidfd.boot_id()
    for container in list(containers.all.values()):
        was = container.state
        if was is State.REMOVING:
            container.state = State.DEAD
        if not (container.running or was is State.RESTARTING):
            continue
        bundle = there.get(container.id)
        found = (await containers.runtime.adopt([bundle]))[0] if bundle else None
        if found and found.state == "running" and container.boot == boot:
            container.pid, container.start_time = found.pid, found.start_time
            with contextlib.suppress(Error, OSError):
                await containers.seats.adopt(container, found.pid, tuple(found.keep.values()))
            containers.resume_health(container)
            containers.save(container)
            continue
        notice = found.exit if found else None
        container.exit_code = notice.status if notice else container.exit_code if was is State.RESTARTING else UNKNOWN
        if notice:
            container.finished, container.oom_killed = notice.at_ns, notice.oom_killed
        elif was is not State.RESTARTING:
            container.error = "the engine was not running when this container ended: its exit status is not known"
        container.state, container.pid = State.EXITED, 0
        containers.save(container)
        policy = container.host_config["RestartPolicy"]
        starts = restart.starts_again(policy, container.exit_code, container.restart_count, container.stopped_by_hand)
        if starts or restart.starts_with_engine(policy, True, container.stopped_by_hand):
            again.append(container)
    alive = {c.id for c in containers.all.values() if c.running}
    for name, bundle in there.items():
        if name not in alive:
            with contextlib.suppress(Error, OSError):
                await containers.runtime.adopt([bundle])
                await containers.runtime.delete(name, bundle)
            shutil.rmtree(bundle, ignore_errors=True)
    with contextlib.suppress(Error, OSError):
        await containers.seats.remove_leftovers(alive)
    for container in again:
        with contextlib.suppress(Error, OSError):
            await containers.start(container)
