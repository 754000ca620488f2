"""The sequences that are compared with Docker Compose are valid ones, and the comparison can fail."""

from __future__ import annotations

import io

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.cli.commandtable import find, split
from tests.flows.sequences import SERVICES, Answer, ComposeFile, Edit, differences, gives_up, sequence


@given(st.integers(0, 10_000))
def test_every_step_is_a_command_line_or_an_edit(seed: int) -> None:
    file = ComposeFile()
    for step in sequence(seed, 14, "flow"):
        if isinstance(step, Edit):
            file.values[step.key] = step.value
            assert set(yaml.safe_load(io.StringIO(file.text()))["services"]) == set(SERVICES)
        else:
            _, _, rest = split(step)
            command, _, path, words = find(rest)
            command.read(words, path)


def test_a_seed_is_a_sequence() -> None:
    assert sequence(7, 14, "flow") == sequence(7, 14, "flow") != sequence(8, 14, "flow")


SAME = Answer(0, "x\ny\n", "", ("a running 0",))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (Answer(1, "x\ny\n", "no", ("a running 0",)), "status 0 != 1"),
        (Answer(0, "x\n", "", ("a running 0",)), "stdout"),
        (Answer(0, "y\nx\n", "", ("a exited 0",)), "containers"),
    ],
)
def test_what_differs_is_found(other: Answer, says: str) -> None:
    assert [found for found in differences(("ps",), SAME, other) if says in found]


def test_ids_ports_and_the_order_of_lines_may_differ() -> None:
    ours, theirs = (Answer(0, f"0.0.0.0:{port}\n{digit * 12}\n", "", ()) for port, digit in ((40001, "a"), (52000, "b")))
    assert differences(("port", "b", "7000"), ours, theirs) == []


def test_where_the_reference_gives_up_nothing_is_compared() -> None:
    assert gives_up(Answer(1, "", "Error response from daemon: cannot start a paused container, try unpause instead", ()))
    assert not gives_up(SAME)
