"""What an engine makes of the containers of an earlier one: a table of what was and what is found."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compose_lite.disk import Folders
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.lifecycle import State
from compose_lite.engine.recover import recover
from compose_lite.engine.runs import STATUS_UNKNOWN
from compose_lite.engine.store import Store
from compose_lite.image.store import ImageStore
from compose_lite.linux import pidfd
from compose_lite.runtime.answers import Adopted, ExitNotice
from tests.engine.made import ID, container


class StandIn:
    """A runtime and seats that know one answer and note what they were asked for."""

    def __init__(self, found: Adopted | None) -> None:
        self.found, self.asked = found, list[tuple[Any, ...]]()

    async def adopt(self, *args: Any) -> Any:
        self.asked.append(("adopt", *args))
        if isinstance(args[0], list):
            return [self.found or Adopted(Path(bundle).name, bundle, "lost") for bundle in args[0]]
        return None

    async def delete(self, *args: Any) -> None:
        self.asked.append(("delete", *args))

    async def remove_leftovers(self, running: Sequence[str]) -> None:
        self.asked.append(("leftovers", set(running)))


def recovered(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    was: State,
    found: Adopted | None,
    policy: str = "no",
    boot: str = "",
    by_hand: bool = False,
    with_machine: bool = False,
) -> tuple[Any, StandIn, list[str]]:
    """The container after the recovery, what the stand-in was asked for, and what was started."""
    folders = Folders(tmp_path / "run", tmp_path / "data")
    (folders.run / "c" / ID).mkdir(parents=True)
    folders.data.mkdir()
    before = container({"RestartPolicy": {"Name": policy}})
    before.state, before.pid, before.exit_code, before.boot = was, 99, 3, boot or pidfd.boot_id()
    before.stopped_by_hand, before.stopped_with_machine = by_hand, with_machine
    stand_in, started = StandIn(found), list[str]()

    async def scenario() -> Any:
        with contextlib.closing(Store(folders.data / "state.db")) as store:
            store.put_container(before)
            made = Containers(store, folders, ImageStore(folders.data), Bus())
            made.runtime = made.preparation.seats = stand_in  # type: ignore[assignment]

            async def start(one: Any) -> bool:
                started.append(one.id)
                return True

            monkeypatch.setattr(made, "start", start)
            await recover(made)
            await asyncio.gather(*made._background)
            (kept,) = store.containers()
            assert kept == made.all[ID], "what is known is stored"
            return kept

    return asyncio.run(scenario()), stand_in, started


def ended(status: int, seen: bool = True) -> Adopted:
    return Adopted(ID, Path(), "exited", exit=ExitNotice(ID, None, status, False, 7, seen))


RUNS_ON = Adopted(ID, Path(), "running", 99, 5)


def test_it_runs_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after, asked, started = recovered(tmp_path, monkeypatch, State.RUNNING, RUNS_ON)
    assert (after.state, after.pid, after.start_time, started) == (State.RUNNING, 99, 5, [])
    assert ("leftovers", {ID}) in asked.asked and not [call for call in asked.asked if call[0] == "delete"]


@pytest.mark.parametrize(
    ("was", "found", "policy", "status", "error", "starts"),
    [
        (State.RUNNING, ended(4), "no", 4, "", False),
        (State.RUNNING, ended(4), "on-failure", 4, "", True),
        (State.RUNNING, ended(0), "on-failure", 0, "", False),
        (State.RUNNING, ended(0), "unless-stopped", 0, "", True),
        (State.PAUSED, None, "no", 255, STATUS_UNKNOWN, False),
        (State.RUNNING, None, "always", 255, STATUS_UNKNOWN, True),
        (State.RUNNING, ended(255, seen=False), "no", 255, STATUS_UNKNOWN, False),
        (State.RESTARTING, None, "always", 3, "", True),
    ],
)
def test_it_has_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    was: State,
    found: Adopted | None,
    policy: str,
    status: int,
    error: str,
    starts: bool,
) -> None:
    after, asked, started = recovered(tmp_path, monkeypatch, was, found, policy)
    assert (after.state, after.pid, after.exit_code, after.error) == (State.EXITED, 0, status, error)
    assert after.finished or was is State.RESTARTING
    assert bool(started) == starts
    assert [call for call in asked.asked if call[0] == "delete"], "its bundle is removed"


def test_a_pid_of_before_the_machines_restart_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after, _, _ = recovered(tmp_path, monkeypatch, State.RUNNING, RUNS_ON, boot="another boot")
    assert after.state is State.EXITED


@pytest.mark.parametrize(
    ("was", "policy", "by_hand", "boot", "starts"),
    [
        (State.RUNNING, "always", False, "another", True),
        (State.RUNNING, "unless-stopped", False, "another", True),
        (State.RUNNING, "no", False, "another", False),
        (State.EXITED, "always", True, "another", True),
        (State.EXITED, "always", True, "", False),
        (State.EXITED, "unless-stopped", True, "another", False),
        (State.EXITED, "no", False, "another", False),
    ],
)
def test_the_machine_was_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was: State, policy: str, by_hand: bool, boot: str, starts: bool
) -> None:
    _, _, started = recovered(tmp_path, monkeypatch, was, None, policy, boot, by_hand)
    assert bool(started) == starts


@pytest.mark.parametrize(("policy", "starts"), [("always", True), ("unless-stopped", True), ("on-failure", True), ("no", False)])
@pytest.mark.parametrize("boot", ["", "another"])
def test_the_shutdown_had_stopped_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, starts: bool, boot: str) -> None:
    """Of the machine, or of the user's systemd in the same boot; it had ended with 3."""
    _, _, started = recovered(tmp_path, monkeypatch, State.EXITED, None, policy, boot, with_machine=True)
    assert bool(started) == starts


def test_a_removal_that_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after, _, started = recovered(tmp_path, monkeypatch, State.REMOVING, None)
    assert after.state is State.DEAD and not started
