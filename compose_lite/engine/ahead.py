"""What a start does before its conditions matter, done ahead: network namespace, cgroup, namespaces, root file system.

A client says which containers it will start later (POST /compose-lite/v1/containers/{id}/prepare; project/converge.py does while they
wait for others). The container stays in `created`. What the user mounts (looked up, made and filled only then), addresses, names, ports and
the execve wait for its start, which takes what is prepared; it goes with a change of the container, after a while, or with the engine.
A killed engine's is a leftover.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pydantic_core

from compose_lite.engine import record
from compose_lite.engine.lifecycle import State
from compose_lite.engine.record import Container
from compose_lite.errors import Error
from compose_lite.linux import mount
from compose_lite.runtime import messages
from compose_lite.runtime.answers import Created

Document = dict[str, Any]
log = logging.getLogger("compose_lite.engine")
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Born:
    """A container at its gate. files: contents of hosts, resolv.conf and hostname. mounts: of its start; None: those of its config."""

    created: Created
    files: Mapping[str, str]
    mounts: list[Document] | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """wishes: of the record, as they were then. table: what was mounted on the machine; its namespace need not see what came later."""

    born: Born
    wishes: bytes
    table: bytes
    expires: asyncio.TimerHandle


class Births(Protocol):
    """What births.py does for it."""

    def can_be_prepared(self, container: Container) -> bool: ...

    async def begin(self, container: Container) -> Born:
        """A birth up to its gate."""

    def is_waiting(self, created: Created) -> bool:
        """Whether it is still there."""

    async def late_mounts(self, container: Container) -> list[Document]:
        """The user's, for its start."""

    async def unmake(self, container: Container) -> None:
        """Takes all of it back."""


class Ahead:
    """expired: told the id of one that nobody has started. Everything is called with the container's lock held."""

    def __init__(self, births: Births, expired: Callable[[str], object]) -> None:
        self._births, self._expired = births, expired
        self._prepared: dict[str, _Prepared] = {}
        self.turn = asyncio.Semaphore(2)

    async def prepare(self, container: Container) -> None:
        """What fails is not told: the start will meet it, and say it then."""
        if container.state is not State.CREATED or container.id in self._prepared or not self._births.can_be_prepared(container):
            return
        try:
            born = await self._births.begin(container)
        except (Error, OSError) as error:
            log.info("container %s is not prepared: %s", container.short, error)
            await self._births.unmake(container)
            return
        expires = asyncio.get_running_loop().call_later(_SECONDS, self._expired, container.id)
        self._prepared[container.id] = _Prepared(born, _wishes(container), mount.table() if _mounts_late(container) else b"", expires)

    async def take(self, container: Container) -> Born | None:
        """For its start; None where there is nothing, or nothing that still fits. Raises what the mounts' sources give."""
        found = self._pop(container)
        if found is None:
            return None
        born = found.born
        if _mounts_late(container):
            born = replace(born, mounts=await self._births.late_mounts(container))
        if self._births.is_waiting(born.created) and _wishes(container) == found.wishes and _can_be_told(born, found.table):
            return born
        await self._births.unmake(container)
        return None

    async def forget(self, container: Container) -> None:
        if self._pop(container) is not None:
            await self._births.unmake(container)

    def _pop(self, container: Container) -> _Prepared | None:
        found = self._prepared.pop(container.id, None)
        if found is not None:
            found.expires.cancel()
        return found

    def ids(self) -> list[str]:
        return list(self._prepared)


def _wishes(container: Container) -> bytes:
    return pydantic_core.to_json(record.wishes(container))


def _mounts_late(container: Container) -> bool:
    """Whether its start brings mounts."""
    return bool(container.mounts or container.files)


def _can_be_told(born: Born, table: bytes) -> bool:
    """Its namespace sees the mounts' sources, and they fit into a message."""
    return born.mounts is None or (mount.table() == table and len(pydantic_core.to_json(born.mounts)) < messages.LONGEST)


def can_be_prepared(container: Container, *, remapped: bool) -> bool:
    """Nobody else's namespaces are joined and nobody else's address is told, and all mounts can be made by its own root: those with
    mapped ids are made outside before it is born. remapped: whether its ids are.
    """
    host = container.host_config
    shared = any(str(host[key] or "").startswith("container:") for key in ("NetworkMode", "IpcMode", "PidMode"))
    mapped = any(point.get("x-idmap") for point in container.mounts) or (remapped and _mounts_late(container))
    return not (shared or mapped or host.get("Links") or host.get("DeviceRequests") or host.get("Runtime"))
