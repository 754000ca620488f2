"""A kernel that exists in memory: what the engine's life of containers needs of runtime, seats, images and folders.

Its processes outlive engines. Time is virtual: when nothing is to be done, the clock goes on to the next timer at once.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from compose_lite.errors import ContainerError
from compose_lite.runtime.answers import Adopted, Created, ExitNotice, StartFailed


class Clock(asyncio.SelectorEventLoop):
    """An event loop that never sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Hurry(self))

    def time(self) -> float:
        return self.now


class _Hurry(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout:
            self._clock.now += timeout
        return found


@dataclass(slots=True)
class Process:
    pid: int
    stubborn: bool
    frozen: bool = False
    terminating: bool = False


class Kernel:
    """Runtime, seats and preparation of the engine of the moment (`runs`)."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.ended: dict[str, int | None] = {}  # bundles of what ended while no engine was there; None: nobody saw the status
        self.bundles: set[str] = set()
        self.lacking: set[str] = set()  # those of them without their late mounts
        self.broken: set[str] = set()  # ids whose program cannot be started
        self.stubborn: set[str] = set()
        self.heard: Callable[[ExitNotice], None] | None = None
        self._pid = 100
        self.get = lambda reference: SimpleNamespace(run_config={}, id="sha256:0", layers=(), rootfs="/")
        self.volumes = SimpleNamespace(tell_mounted=lambda container: None, tell_unmounted=lambda container: None)
        self.seats, self.cgroup_version, self.remap = self, 2, None
        self.deaths = 0  # of zygotes and monitors at the next starts

    # the runtime

    async def create(self, launch: Any, fds: Mapping[str, int]) -> Created:
        await asyncio.sleep(0)
        self._pid += 1
        self.bundles.add(launch)
        self.die("zygote-lost")
        return Created(launch, self._pid, 1, 1, 1)

    def is_waiting(self, created: Created) -> bool:
        return created.id in self.bundles

    async def start(self, id: str, mounts: Any = None) -> None:
        assert (mounts is not None) == (id in self.lacking), "what was left out ahead comes with the start"
        await asyncio.sleep(0)
        self.die("monitor-gone")
        if id in self.broken:
            raise StartFailed(127, "exec: not found")
        self.processes[id] = Process(self._pid, id in self.stubborn)

    def die(self, code: str) -> None:
        """Somebody who was about to start a container is killed, as often as was asked for."""
        if self.deaths:
            self.deaths -= 1
            raise ContainerError(code, "killed")

    async def reconnected(self) -> bool:
        return True

    def kill(self, id: str, signal: int) -> None:
        process = self.processes.get(id)
        if process is None:
            raise ProcessLookupError
        if signal == 9:
            self.end(id, 137)
        elif signal == 15 and not process.stubborn:
            process.terminating = True
            self._react(id, process)

    def _react(self, id: str, process: Process) -> None:
        if process.terminating and not process.frozen:
            self.end(id, 143)

    def end(self, id: str, status: int | None) -> None:
        """Its process ends; told to the engine, or found by the next one."""
        del self.processes[id]
        if self.heard:
            notice = ExitNotice(id, None, 255 if status is None else status, False, 1, status is not None)
            asyncio.get_running_loop().call_soon(self.heard, notice)
        else:
            self.ended[id] = status

    def group(self, id: str) -> Any:
        def freeze(on: bool) -> None:
            process = self.processes.get(id)
            if process:
                process.frozen = on
                if not on:
                    self._react(id, process)

        return SimpleNamespace(
            freeze=freeze, has_freezer=True, frozen=lambda: id not in self.processes or self.processes[id].frozen, apply=lambda limits: []
        )

    async def delete(self, id: str, bundle: Any = None) -> None:
        await asyncio.sleep(0)
        self.processes.pop(id, None)
        self.ended.pop(id, None)
        self.bundles.discard(id)
        self.lacking.discard(id)

    async def adopt(self, asked: Any, *more: Any) -> Any:
        if more:
            return None  # as seats
        id = asked[0].name
        if id in self.processes:
            return [Adopted(id, asked[0], "running", self.processes[id].pid, 1)]
        status = self.ended.get(id)
        return [Adopted(id, asked[0], "exited" if status is not None else "lost", exit=_notice(id, status))]

    # the seats

    def declare(self, container: Any) -> None: ...

    async def sandbox(self, container: Any) -> None: ...

    async def prepare(self, container: Any) -> None: ...

    async def connect(self, container: Any) -> None: ...

    async def disconnect(self, container: Any, *, keep_sandbox: bool) -> None:
        await asyncio.sleep(0)

    async def remove_leftovers(self, running: Sequence[str]) -> None: ...

    # the preparation

    def owner(self, container: Any) -> Any:
        return container

    def launch(self, container: Any, own_network: bool, *, ahead: bool = False) -> Any:
        if ahead and (container.mounts or container.files):
            self.lacking.add(container.id)
        return container.id

    def late_mounts(self, container: Any) -> list[Any]:
        return [file["Path"] for file in container.files]

    def write_network_files(self, container: Any, known: Any = None) -> None: ...

    def release(self, container: Any) -> None: ...

    def make_folders(self, container: Any, images: Any) -> None: ...

    def remap_of(self, container: Any) -> None: ...

    def forget(self, container: Any) -> None: ...

    def sweep(self, alive: set[str]) -> None: ...

    def path(self, id: str) -> Path:
        return Path("/nonexistent") / id

    def clean(self) -> None: ...

    def empty_trash(self) -> None: ...


def _notice(id: str, status: int | None) -> ExitNotice | None:
    return None if status is None else ExitNotice(id, None, status, False, 1)
