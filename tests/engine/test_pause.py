"""A pause that does not freeze is refused, and the container goes on."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compose_lite.disk import Folders
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.lifecycle import State
from compose_lite.engine.store import Store
from compose_lite.errors import EngineError
from tests.engine.kernel import Clock, Kernel


class Stiff(Kernel):
    """Its processes hang in the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []

    def group(self, id: str) -> Any:
        return SimpleNamespace(freeze=self.asked.append, frozen=lambda: False, has_freezer=True)


def test_processes_that_do_not_freeze(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "run", tmp_path / "data")
    folders.data.mkdir()

    async def act() -> None:
        with contextlib.closing(Store(folders.data / "state.db")) as store:
            kernel = Stiff()
            engine = Containers(store, folders, kernel, Bus())  # type: ignore[arg-type]
            engine.runtime = engine.births.preparation = kernel  # type: ignore[assignment]
            one = engine.create("web", {"Image": "x", "Cmd": ["x"]})
            await engine.start(one)
            with pytest.raises(EngineError, match="its processes do not react") as caught:
                await engine.pause(one)
            assert caught.value.code == "container-pause"
            assert kernel.asked == [True, False] and one.state is State.RUNNING

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(act())
