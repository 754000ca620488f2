"""One-off containers that are removed with their end (`run --rm`), and their callers: a caller that was killed before its start
would leave one that nobody ever starts, so it is removed with the caller's process.
"""

from __future__ import annotations

import contextlib
import os

from compose_lite import ids
from compose_lite.engine.containers import Containers
from compose_lite.engine.execs import readable
from compose_lite.engine.lifecycle import State
from compose_lite.engine.record import Container
from compose_lite.errors import EngineError
from compose_lite.linux import pidfd


def is_bound(container: Container) -> bool:
    """Whether nobody else than who created it will start it."""
    never_started = container.state is State.CREATED and not container.started_once
    return never_started and bool(container.host_config["AutoRemove"]) and container.labels.get(ids.ONEOFF) == "True"


async def remove_with(containers: Containers, container: Container, caller: int) -> None:
    """Waits for the end of the caller (a pid), then removes what it has not started. One that is about to be started is left."""
    with contextlib.suppress(ProcessLookupError):
        process = pidfd.open_pidfd(caller)
        try:
            await readable(process)
        finally:
            os.close(process)
    if container.id in containers.all and is_bound(container):
        with contextlib.suppress(EngineError):
            await containers.remove(container, volumes=True)
