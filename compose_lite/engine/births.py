"""A start: from a container's record to its process at work, in order; and what a start that does not come to its end leaves.

Called with the container's lock held. It must never change a record's state: runs.py does.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from compose_lite.disk import Folders
from compose_lite.engine.ahead import Ahead, Born, can_be_prepared
from compose_lite.engine.live import Live, cleaning, phases
from compose_lite.engine.preparation import Preparation
from compose_lite.engine.record import Container
from compose_lite.engine.store import Store
from compose_lite.errors import ContainerError, EngineError
from compose_lite.linux import namespaces, pidfd
from compose_lite.network.attach import Sandbox
from compose_lite.runtime.answers import Created, StartFailed
from compose_lite.runtime.client import Runtime
from compose_lite.runtime.config import Launch

Document = dict[str, Any]
log = logging.getLogger("compose_lite.engine")
_T = TypeVar("_T")
_STARTS, _LET_GO_SECONDS = 4, 0.2


class Births:
    """expired: told the id of a container that was prepared and that nobody has started."""

    def __init__(
        self, store: Store, folders: Folders, preparation: Preparation, runtime: Callable[[], Runtime], expired: Callable[[str], object]
    ) -> None:
        self._store, self._folders, self.preparation, self._runtime = store, folders, preparation, runtime
        self.ahead = Ahead(self, expired)

    # a start

    async def bear(self, container: Container, live: Live) -> None:
        """Once more when not it, but a process of ours was killed over its start."""
        for _ in range(_STARTS - 1):
            try:
                return await self._bear_once(container, live)
            except ContainerError as error:
                killed = error.code in ("zygote-lost", "monitor-gone") or (isinstance(error, StartFailed) and error.killed)
                if not killed or not await self._runtime().reconnected():
                    raise
                log.warning("container %s is started again: %s", container.short, error.says)
            if await self._runs_on(container):
                return None
            await self.unmake(container)
            container.pid = container.start_time = 0
            live.early_exit = None
        return await self._bear_once(container, live)

    async def _bear_once(self, container: Container, live: Live) -> None:
        mark = phases(live.took)
        prepared = await self.ahead.take(container)
        self.preparation.volumes.tell_mounted(container)
        if prepared is not None and prepared.mounts:
            mark("mounts and volumes")
        sandbox = await self._network(container)
        mark("network")
        owner = self.preparation.owner(container)
        if owner is not container:  # a shared network has one host name
            container.config = {**container.config, **{key: owner.config.get(key) or "" for key in ("Hostname", "Domainname")}}
            self._store.put_container(container)
        born = prepared or await self._conceive(container, sandbox, mark)
        mark("namespaces and root")
        created = born.created
        container.pid, container.start_time, container.unmet = created.pid, created.start_time, list(created.unmet)
        await self.preparation.seats.connect(container)
        self.preparation.write_network_files(container, born.files)
        for wants_stdin, future in live.attachers:
            if not future.done():
                future.set_result(await self._runtime().attach(container.id, stdin=wants_stdin))
        live.attachers.clear()
        mark("connect")
        await self._runtime().start(container.id, born.mounts)
        mark("execute")

    async def _network(self, container: Container) -> Any:
        try:
            return await self.preparation.seats.sandbox(container)
        except EngineError as error:
            shared = str(container.host_config["NetworkMode"]).startswith("container:")
            prefix = "joining network namespace of container: " if shared else "failed to set up container networking: "
            says = error.says if error.says.startswith(("failed to", "cannot join")) else prefix + error.says
            raise EngineError(says, http_status=error.http_status, code=error.code, remedy=error.remedy) from error

    async def _conceive(self, container: Container, sandbox: Sandbox | None, mark: Callable[[str], None]) -> Born:
        """A birth up to its gate: all but addresses, late mounts and the execve."""
        launch = await _looked_up(container, lambda: self.preparation.launch(container, sandbox is not None))
        mark("mounts and volumes")
        return await self._create(container, launch, sandbox)

    async def _create(self, container: Container, launch: Launch, sandbox: Sandbox | None) -> Born:
        fds: dict[str, int] = {}
        if sandbox is not None:
            fds["netns"] = sandbox.netns
            if self.preparation.remap_of(container) is not None:
                fds["users"] = namespaces.owner(sandbox.netns)
            if not str(container.host_config["NetworkMode"]).startswith("container:"):
                fds |= {f"keep:dns{n}": fd for n, fd in enumerate(sandbox.keep_fds)}
        known = self.preparation.write_network_files(container)
        try:
            return Born(await self._runtime().create(launch, fds), known)
        finally:
            if "users" in fds:
                os.close(fds["users"])

    async def _runs_on(self, container: Container) -> bool:
        """Its monitor was killed while it was let go: a process that has not begun ends at once, any other has a second monitor soon."""
        if not container.pid:
            return False
        await asyncio.sleep(_LET_GO_SECONDS)
        return pidfd.is_alive(container.pid, container.start_time)

    # ahead of it, for ahead.py

    def can_be_prepared(self, container: Container) -> bool:
        return can_be_prepared(container, remapped=self.preparation.remap_of(container) is not None)

    async def begin(self, container: Container) -> Born:
        """Ahead of its start, up to the gate; without its late mounts."""
        sandbox = await self.preparation.seats.prepare(container)
        return await self._create(container, self.preparation.launch(container, sandbox is not None, ahead=True), sandbox)

    def is_waiting(self, created: Created) -> bool:
        """Whether one that was begun still stands at its gate."""
        return self._runtime().is_waiting(created)

    async def late_mounts(self, container: Container) -> list[Document]:
        """Of a container that was begun, for its start."""
        return await _looked_up(container, lambda: self.preparation.late_mounts(container))

    # the way back

    async def unmake(self, container: Container, *, keep_sandbox: bool = False) -> None:
        """What was made of it for a start, after its end or before it comes to its end; doing it twice is fine.

        keep_sandbox: it will be back at once. Its addresses first: a monitor may stay for clients that read slowly.
        """
        with cleaning(container, "network"):
            await self.preparation.seats.disconnect(container, keep_sandbox=keep_sandbox)
        self.preparation.volumes.tell_unmounted(container)
        with cleaning(container, "processes"):
            await self._runtime().delete(container.id, self._folders.bundle(container.id))
        with cleaning(container, "shared memory"):
            self.preparation.release(container)


async def _looked_up(container: Container, look: Callable[[], _T]) -> _T:
    """Sources of mounts may be slow, or have to be filled."""
    return await asyncio.to_thread(look) if container.mounts else look()
