"""What is said of a container that had to be killed: only where its first process is the reason."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.project.stopping import deaf, guessed

KILLED = {"Number": 9, "Because": "not ended 10 s after the stop", "Reacts": True}


def container(*words: str, code: int = 137) -> dict[str, Any]:
    return {"Config": {"Cmd": list(words)}, "State": {"ExitCode": code}}


def test_no_handler() -> None:
    says = deaf("web", container("sleep", "9"), [{"Number": 15, "Reacts": False}, KILLED])
    assert str(says) == (
        "service 'web' was killed, not ended 10 s after the stop: its first process (sleep 9) did not notice SIGTERM, as it has no handler "
        "for it, so that the kernel drops it. Say `init: true`; name a signal that it handles with `stop_signal`. [stop-ignored]"
    )
    assert "exec form" in str(deaf("web", container("/bin/sh", "-c", "sleep 9"), [{"Number": 15, "Reacts": False}, KILLED]))


@pytest.mark.parametrize(
    "signals",
    [
        [],
        [{"Number": 15, "Reacts": False}],  # it ended in time
        [{"Number": 15, "Reacts": True}, KILLED],  # it had a handler and was slow
        [KILLED],
    ],
)
def test_nothing_is_said_where_it_is_another_story(signals: list[dict[str, Any]]) -> None:
    assert deaf("web", container("sleep", "9"), signals) is None


def test_another_engine_is_guessed_at() -> None:
    assert "probably has no handler" in str(deaf("web", container("sleep", "9"), guessed(container("sleep", "9"), 10.2)))
    assert guessed(container("sleep", "9", code=0), 10.2) == []
