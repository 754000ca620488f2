"""--dry-run asks and never changes: every call of the engine is either a question or taken out."""

from __future__ import annotations

import inspect
from typing import Any

import anyio
import pytest

from compose_lite.api.protocol import DockerEngine
from compose_lite.cli import dryrun
from compose_lite.cli.commandtable import COMMANDS, command_module, with_dry_run
from compose_lite.errors import UsageError

QUESTIONS = {
    "aclose", "ping", "version", "info", "disk_usage", "events", "containers", "container", "wait", "logs", "exec_inspect", "exec_resize",
    "top", "stats", "changes", "export", "archive_head", "archive_get", "images", "image", "history", "save", "networks", "network",
    "volumes", "volume", "distribution", "extension",
}  # fmt: skip


def test_every_call_is_known() -> None:
    calls = {name for name, _ in inspect.getmembers(DockerEngine, inspect.isfunction) if not name.startswith("_")}
    taken_out = {*dryrun._DONE, *dryrun._MADE, *dryrun._STREAMED, *dryrun._REFUSED}
    assert calls - QUESTIONS - taken_out == set()
    assert not taken_out & QUESTIONS


def test_nothing_reaches_the_engine() -> None:
    async def go() -> None:
        engine: Any = dryrun.DryEngine("unix:///nowhere")
        assert await engine.start("x") is True
        assert (await engine.create_container("n", {}))["Id"]
        assert [line async for line in engine.pull("x")] == []
        assert await engine.extension("POST", "ports/reserve", body={}) is None
        with pytest.raises(UsageError):
            await engine.exec_create("x", {})
        for call in (engine.client.json("POST", "/containers/create"), engine.client.json("DELETE", "/x"), engine.client.hijack("/x")):
            with pytest.raises(UsageError):
                await call

    anyio.run(go)


def test_every_command_takes_the_flag() -> None:
    for name in COMMANDS:
        command = getattr(command_module(name), "COMMAND", None)
        if command is not None:
            assert "dry_run" in {p.name for p in with_dry_run(command).params}, name
