"""What a start does before its conditions matter, done ahead: network namespace, cgroup, namespaces, root file system.

A client says which containers it will start later (POST /compose-lite/v1/containers/{id}/prepare; project/converge.py does while they
wait for others). The container stays in `created`. What the user mounts, addresses, names, ports and the execve wait for its start, which
takes what is prepared; it goes with a change of the container, after a while, or with the engine. A killed engine's is a leftover.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pydantic_core

from compose_lite.engine import record
from compose_lite.engine.lifecycle import State
from compose_lite.engine.record import Container
from compose_lite.errors import Error
from compose_lite.runtime.answers import Created

Files = Mapping[str, str]
Born = tuple[Created, Files]
log = logging.getLogger("compose_lite.engine")
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """files: what hosts, resolv.conf and hostname have in them. wishes: of the record, as they were then."""

    born: Born
    wishes: bytes
    expires: asyncio.TimerHandle


class Ahead:
    """bear: a birth up to its gate. drop: takes all of it back. waits: whether it is still there. expired: told of one that nobody has
    started. Everything is called with the container's lock held.
    """

    def __init__(
        self,
        bear: Callable[[Container], Awaitable[Born]],
        drop: Callable[[Container], Awaitable[None]],
        waits: Callable[[Created], bool],
        expired: Callable[[str], object],
    ) -> None:
        self._bear, self._drop, self._waits, self._expired = bear, drop, waits, expired
        self._prepared: dict[str, _Prepared] = {}
        self.turn = asyncio.Semaphore(2)

    async def prepare(self, container: Container) -> None:
        """What fails is not told: the start will meet it, and say it then."""
        if container.state is not State.CREATED or container.id in self._prepared or not can_be_prepared(container):
            return
        try:
            born = await self._bear(container)
        except (Error, OSError) as error:
            log.info("container %s is not prepared: %s", container.short, error)
            await self._drop(container)
            return
        expires = asyncio.get_running_loop().call_later(_SECONDS, self._expired, container.id)
        self._prepared[container.id] = _Prepared(born, _wishes(container), expires)

    async def take(self, container: Container) -> Born | None:
        """For its start; None where there is nothing, or nothing that still fits."""
        found = self._pop(container)
        if found is None:
            return None
        if self._waits(found.born[0]) and _wishes(container) == found.wishes:
            return found.born
        await self._drop(container)
        return None

    async def forget(self, container: Container) -> None:
        if self._pop(container) is not None:
            await self._drop(container)

    def _pop(self, container: Container) -> _Prepared | None:
        found = self._prepared.pop(container.id, None)
        if found is not None:
            found.expires.cancel()
        return found

    def ids(self) -> list[str]:
        return list(self._prepared)


def _wishes(container: Container) -> bytes:
    return pydantic_core.to_json(record.wishes(container))


def can_be_prepared(container: Container) -> bool:
    """Nothing of the user's is to be looked up, filled or mounted, and nobody else's namespaces are joined."""
    host = container.host_config
    shared = any(str(host[key] or "").startswith("container:") for key in ("NetworkMode", "IpcMode", "PidMode"))
    return not (container.mounts or container.files or shared or host.get("DeviceRequests") or host.get("Runtime"))
