"""The way to our engine: a socket that a killed one has left is no reason to wait."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import pytest

from compose_lite import starting
from compose_lite.cli.context import Context, Globals


@pytest.mark.parametrize("left", [True, False])
def test_an_engine_is_started_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bool) -> None:
    context = Context(Globals(), {"COMPOSE_LITE_RUN_DIR": str(tmp_path)})
    path = context.folders.engine_socket
    if left:
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))
    listener = socket.socket(socket.AF_UNIX)
    started, waits = list[object](), list[float]()

    def start(environ: object) -> None:
        started.append(environ)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()

    really = anyio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await really(0)

    monkeypatch.setattr(starting, "start", start)
    monkeypatch.setattr(anyio, "sleep", sleep)
    with listener:
        anyio.run(context._wait_for_own)
    assert len(started) == 1 and len(waits) < 10
