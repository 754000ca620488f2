"""Every pair of state and event is decided: allowed, or refused in Docker's words."""

from __future__ import annotations

from itertools import product

import pytest

from compose_lite.engine.lifecycle import NEXT, Event, State, is_refused, next_state
from compose_lite.errors import EngineError


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_decided(state: State, event: Event) -> None:
    assert ((state, event) in NEXT) != is_refused(state, event)


@pytest.mark.parametrize(
    ("state", "event", "status", "says"),
    [
        (State.RUNNING, Event.START, 304, ""),
        (State.EXITED, Event.KILL, 409, "cannot kill container: web: container abc is not running"),
        (State.EXITED, Event.PAUSE, 409, "container abc is not running"),
        (
            State.RUNNING,
            Event.REMOVE,
            409,
            'cannot remove container "web": container is running: stop the container before removing or force remove',
        ),
        (State.PAUSED, Event.START, 409, "cannot start a paused container, try unpause instead"),
    ],
)
def test_refusals_are_dockers(state: State, event: Event, status: int, says: str) -> None:
    with pytest.raises(EngineError) as caught:
        next_state(state, event, "abc", "web")
    assert (caught.value.http_status, caught.value.says) == (status, says)
