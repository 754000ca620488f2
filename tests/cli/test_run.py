"""`run`: the service as a one-off wants it."""

from __future__ import annotations

import pytest

from compose_lite.cli.commands.run import COMMAND, adapted
from compose_lite.errors import UsageError
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Service

WEB = Service(name="web", image="i", cap_add=["SYS_TIME", "NET_RAW"], cap_drop=["CHOWN", "KILL"])


@pytest.mark.parametrize(
    ("words", "added", "dropped"),
    [
        ("", ["SYS_TIME", "NET_RAW"], ["CHOWN", "KILL"]),
        ("--cap-add CHOWN", ["SYS_TIME", "NET_RAW", "CHOWN"], ["KILL"]),
        ("--cap-drop NET_RAW --cap-drop FOWNER", ["SYS_TIME"], ["CHOWN", "KILL", "NET_RAW", "FOWNER"]),
    ],
)
def test_a_capability_that_is_added_is_no_longer_dropped(words: str, added: list[str], dropped: list[str]) -> None:
    options = COMMAND.read([*words.split(), "web"], "compose-lite run")
    made = adapted(Project(name="p", services={"web": WEB}), WEB, (), options, {}, "/")
    assert (made.cap_add, made.cap_drop) == (added, dropped)


def test_a_label_is_a_pair() -> None:
    with pytest.raises(UsageError, match="label must be set as KEY=VALUE"):
        adapted(Project(name="p", services={"web": WEB}), WEB, (), COMMAND.read(["--label", "bad", "web"], "compose-lite run"), {}, "/")
