"""`ps`, `pull` and `port`: what is chosen."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any

import pytest

from compose_lite.cli.commands import port
from compose_lite.cli.commands.ps import COMMAND, _shown
from compose_lite.cli.commands.pull import moves
from compose_lite.errors import ProjectError
from compose_lite.project.observe import seen


@pytest.mark.parametrize(
    ("words", "shown"),
    [("", False), ("-a", True), ("--status running", True), ("--status exited", False), ("-q", False)],
)
def test_one_offs_are_listed_among_all_and_by_state(words: str, shown: bool) -> None:
    labels = {"com.docker.compose.project": "p", "com.docker.compose.service": "web", "com.docker.compose.oneoff": "True"}
    one = seen({"Id": "0" * 64, "Names": ["/p-web-run-1"], "Labels": labels, "State": "running", "Status": "Up 1 second", "Image": "i"})
    o = COMMAND.read(words.split(), "compose-lite ps")
    assert _shown(one, (), o["status"], o, {"web": None}) is shown


@pytest.mark.parametrize(
    ("image", "newer"),
    [("busybox", True), ("busybox:latest", True), ("busybox:1", False), ("host:5000/a/b", True), ("a@sha256:" + "0" * 64, False)],
)
def test_which_image_pull_takes_for_missing(image: str, newer: bool) -> None:
    assert moves(image) is newer


def test_the_port_of_one_that_runs() -> None:
    """A replica that is stopped has none; the next one was not asked, and a stopped service was said to publish nothing."""
    labels = {"com.docker.compose.project": "p", "com.docker.compose.service": "web"}
    rows = [
        {"Id": str(n) * 64, "Names": [f"/p-web-{n}"], "Labels": {**labels, "com.docker.compose.container-number": str(n)}, **more}
        for n, more in (
            (1, {"State": "exited", "Status": "Exited (0) 1 second ago"}),
            (2, {"State": "running", "Status": "Up 1 second", "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080}]}),
        )
    ]
    out = io.StringIO()

    async def containers(**_: Any) -> list[dict[str, Any]]:
        return rows

    async def engine() -> Any:
        return SimpleNamespace(containers=containers)

    context: Any = SimpleNamespace(engine=engine, load_or_name=lambda: (None, "p"), print=lambda text: out.write(f"{text}\n"))
    asyncio.run(port.run(context, "web", "80", 0, "tcp"))
    assert out.getvalue() == "0.0.0.0:8080\n"
    with pytest.raises(ProjectError, match="is not running container #1"):
        asyncio.run(port.run(context, "web", "80", 1, "tcp"))
