"""Every pair of state and event is decided, as Docker decides it; docs/states.md is drawn from the table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pytest

from compose_lite.engine.lifecycle import COMMANDS, NEXT, REFUSALS, Event, State, drawing, next_state, refusals
from compose_lite.errors import EngineError
from tests.engine import lifecycle_pairs
from tests.system.engines import Engine

RECORDED = (Path(__file__).parent / "lifecycle.txt").read_text().splitlines()
PAGE = Path(__file__).parents[2] / "docs/states.md"


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_decided(state: State, event: Event) -> None:
    found = NEXT[state, event]
    if isinstance(found, State):
        assert next_state(state, event, "abc", "web") is found
    else:
        with pytest.raises(EngineError) as caught:
            next_state(state, event, "abc", "web")
        assert (caught.value.http_status, "{" in caught.value.says) == (found.status, False)


def test_every_refusal_is_used_and_every_state_can_be_left_and_reached() -> None:
    assert set(REFUSALS.values()) == {cell for cell in NEXT.values() if not isinstance(cell, State)}
    changes = {(state, cell) for (state, _), cell in NEXT.items() if isinstance(cell, State) and cell is not state}
    assert {state for state, _ in changes} == set(State)
    assert {cell for _, cell in changes} == set(State) - {State.CREATED}


@pytest.mark.parametrize("line", RECORDED)
def test_the_table_is_dockers(line: str) -> None:
    was, command, status, became, *says = line.split(" ", 4)
    if (was, command) == ("restarting", "restart"):
        became = "running"  # it ends again at once
    found = NEXT[State(was), Event(command)]
    if isinstance(found, State):
        assert int(status) < 300
        assert became == ("gone" if found is State.REMOVING else found.value)
    else:
        told = found.says.format(id="ID", name="ID", state=was)
        assert (int(status), became, "".join(says)) == (found.status, was, told)


def test_the_record_has_every_command() -> None:
    assert {Event(command) for command in lifecycle_pairs.COMMANDS} == set(COMMANDS)
    assert len(RECORDED) == len(lifecycle_pairs.STATES) * len(COMMANDS)


def test_the_page_is_drawn_from_the_table() -> None:
    """`python -m tests.engine.test_lifecycle` draws it anew."""
    assert PAGE.read_text() == page(PAGE.read_text())


@pytest.mark.root
@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_engine_answers_as_docker(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "pairs")
    try:
        socket = engine.run("engine", "start").strip().removeprefix("unix://")
        found = list(lifecycle_pairs.pairs(socket, "rootfs:/"))
    finally:
        engine.close()
    # what comes after a restarting container's next start depends on when it is asked: the table's own test has these pairs
    assert steady(line.replace("NAME", "ID") for line in found) == steady(RECORDED)


def steady(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if not line.startswith("restarting ")]


def page(text: str) -> str:
    """The page with its two generated parts as the table has them."""
    for mark, made in (("diagram", f"```mermaid\n{drawing()}```\n"), ("table", refusals())):
        begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->\n"
        head, _, rest = text.partition(begin)
        text = head + begin + made + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
