"""One-off containers go with a caller that ends before it has started them, and with its engine."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from compose_lite import ids
from compose_lite.disk import Folders
from compose_lite.engine import callers
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.record import Container
from compose_lite.engine.recover import recover
from compose_lite.engine.store import Store
from tests.engine.kernel import Kernel

ONEOFF = {"Image": "x", "Cmd": ["x"], "Labels": {ids.ONEOFF: "True"}, "HostConfig": {"AutoRemove": True}}


def scenario(tmp_path: Path, work: Callable[[Containers], Coroutine[Any, Any, None]]) -> None:
    folders = Folders(tmp_path / "run", tmp_path / "data")
    folders.data.mkdir(exist_ok=True)

    async def act() -> None:
        with contextlib.closing(Store(folders.data / "state.db")) as store:
            kernel = Kernel()
            made = Containers(store, folders, kernel, Bus())  # type: ignore[arg-type]
            made.runtime = made.births.preparation = kernel  # type: ignore[assignment]
            await recover(made)
            kernel.heard = made.heard_exit
            await work(made)

    asyncio.run(act())


async def left_by_its_caller(containers: Containers, container: Container) -> bool:
    """Whether the container is still there once a caller that lived a moment longer has ended."""
    caller = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    watch = containers.background(callers.remove_with(containers, container, caller.pid))
    await asyncio.sleep(0.05)
    assert container.id in containers.all and not watch.done(), "not while its caller lives"
    caller.communicate()
    async with asyncio.timeout(10):
        await watch
    return container.id in containers.all


def test_what_its_caller_never_started_goes_with_it(tmp_path: Path) -> None:
    async def work(containers: Containers) -> None:
        made = containers.create("", ONEOFF)
        assert callers.is_bound(made)
        assert not await left_by_its_caller(containers, made)

    scenario(tmp_path, work)


def test_what_runs_goes_on_without_its_caller(tmp_path: Path) -> None:
    async def work(containers: Containers) -> None:
        made = containers.create("", ONEOFF)
        await containers.start(made)
        assert await left_by_its_caller(containers, made)

    scenario(tmp_path, work)


def test_a_caller_that_is_gone_already(tmp_path: Path) -> None:
    async def work(containers: Containers) -> None:
        caller = subprocess.Popen(["true"])
        caller.wait()
        made = containers.create("", ONEOFF)
        await callers.remove_with(containers, made, caller.pid)
        assert not containers.all

    scenario(tmp_path, work)


@pytest.mark.parametrize(("change", "stays"), [({}, False), ({"Labels": {}}, True), ({"HostConfig": {}}, True)])
def test_the_next_engine_knows_of_no_caller(tmp_path: Path, change: dict[str, Any], stays: bool) -> None:
    async def create(containers: Containers) -> None:
        containers.create("", {**ONEOFF, **change})

    async def look(containers: Containers) -> None:
        assert bool(containers.all) is stays

    scenario(tmp_path, create)
    scenario(tmp_path, look)
