"""A container's states and what may happen to it in each: one table, complete by test. Pure.

What is not in NEXT is refused with Docker's words and status (REFUSED): `is_refused` and NEXT share out all pairs.
"""

from __future__ import annotations

from enum import Enum

from compose_lite.errors import EngineError


class State(Enum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    """It has ended and waits for its next automatic start."""
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"
    """Its removal failed half-way; only another removal is left."""


class Event(Enum):
    START = "start"
    EXIT = "exit"
    """Its main process has ended and nothing starts it again."""
    EXIT_AGAIN = "exit, to be started again"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    GIVE_UP = "give up"
    """A waiting automatic start is called off, or a start has failed."""
    REMOVE = "remove"
    FAIL_REMOVE = "fail to remove"
    KILL = "kill"
    EXEC = "exec"


_S, _E = State, Event
NEXT: dict[tuple[State, Event], State] = {
    (_S.CREATED, _E.START): _S.RUNNING,
    (_S.CREATED, _E.GIVE_UP): _S.CREATED,
    (_S.CREATED, _E.REMOVE): _S.REMOVING,
    (_S.RUNNING, _E.EXIT): _S.EXITED,
    (_S.RUNNING, _E.EXIT_AGAIN): _S.RESTARTING,
    (_S.RUNNING, _E.PAUSE): _S.PAUSED,
    (_S.RUNNING, _E.KILL): _S.RUNNING,
    (_S.RUNNING, _E.EXEC): _S.RUNNING,
    (_S.PAUSED, _E.UNPAUSE): _S.RUNNING,
    (_S.PAUSED, _E.EXIT): _S.EXITED,
    (_S.PAUSED, _E.EXIT_AGAIN): _S.RESTARTING,
    (_S.PAUSED, _E.KILL): _S.PAUSED,
    (_S.RESTARTING, _E.START): _S.RUNNING,
    (_S.RESTARTING, _E.GIVE_UP): _S.EXITED,
    (_S.RESTARTING, _E.EXIT_AGAIN): _S.RESTARTING,
    (_S.EXITED, _E.START): _S.RUNNING,
    (_S.EXITED, _E.GIVE_UP): _S.EXITED,
    (_S.EXITED, _E.REMOVE): _S.REMOVING,
    (_S.REMOVING, _E.FAIL_REMOVE): _S.DEAD,
    (_S.DEAD, _E.REMOVE): _S.REMOVING,
}

_RUNS = "container {id} is not running"
_REMOVE = 'cannot remove container "{name}": container is {state}: stop the container before removing or force remove'
REFUSED: dict[tuple[State | None, Event], tuple[int, str]] = {
    (_S.RUNNING, _E.START): (304, ""),
    (_S.PAUSED, _E.START): (409, "cannot start a paused container, try unpause instead"),
    (_S.REMOVING, _E.START): (409, "container is marked for removal and cannot be started"),
    (_S.DEAD, _E.START): (409, "container is marked for removal and cannot be started"),
    (_S.PAUSED, _E.PAUSE): (409, "container {id} is already paused"),
    (_S.RESTARTING, _E.PAUSE): (409, "container {id} is restarting, wait until the container is running"),
    (None, _E.PAUSE): (409, _RUNS),
    (_S.RUNNING, _E.UNPAUSE): (500, "Container {id} is not paused"),
    (None, _E.UNPAUSE): (500, "Container {id} is not paused"),
    (_S.REMOVING, _E.REMOVE): (409, "removal of container {name} is already in progress"),
    (None, _E.REMOVE): (409, _REMOVE),
    (None, _E.KILL): (409, "cannot kill container: {name}: " + _RUNS),
    (_S.PAUSED, _E.EXEC): (409, "container {name} is paused, unpause the container before exec"),
    (_S.RESTARTING, _E.EXEC): (409, "container {id} is restarting, wait until the container is running"),
    (None, _E.EXEC): (409, _RUNS),
    (None, _E.EXIT): (500, _RUNS),
    (None, _E.EXIT_AGAIN): (500, _RUNS),
    (None, _E.GIVE_UP): (500, "container {id} is {state}"),
    (None, _E.FAIL_REMOVE): (500, "container {id} is not being removed"),
}


def is_refused(state: State, event: Event) -> bool:
    return (state, event) not in NEXT and ((state, event) in REFUSED or (None, event) in REFUSED)


def next_state(state: State, event: Event, id: str, name: str) -> State:
    """The state after the event. Raises EngineError in Docker's words; its status 304 means that there is nothing to do."""
    found = NEXT.get((state, event))
    if found is not None:
        return found
    status, says = REFUSED.get((state, event)) or REFUSED[(None, event)]
    raise EngineError(says.format(id=id, name=name, state=state.value), http_status=status)
