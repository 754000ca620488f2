"""`ps` and `pull`: what is chosen."""

from __future__ import annotations

import pytest

from compose_lite.cli.commands.ps import COMMAND, _shown
from compose_lite.cli.commands.pull import moves
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
