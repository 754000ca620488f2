"""A container's states and what may happen to it in each: one table, complete by its form. Pure.

A cell is the state afterwards, `-` (nothing to do: status 304) or the name of a refusal, which has Docker's words and status.
For a command the state afterwards is the one that its caller finds when it has answered. The engine moves containers by
`next_state` alone; docs/states.md draws the table; tests/engine/test_lifecycle.py holds it against what Docker answered.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

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
    """Its removal was cut off half-way; only another removal is left."""


class Event(Enum):
    # what callers ask for
    START = "start"
    STOP = "stop"
    KILL = "kill"
    SIGNAL = "signal"
    """A signal that does not have to end it."""
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    EXEC = "exec"
    LOOK = "look"
    """At its processes or into its terminal: top, resize."""
    UPDATE = "update"
    REMOVE = "remove"
    REMOVE_FORCED = "remove-forced"
    # what happens
    RUNS = "runs"
    """Its program has been executed."""
    FAILS = "fails"
    """It could not be started."""
    ENDS = "ends"
    """Its process has ended, and nothing starts it again."""
    ENDS_TO_RESTART = "ends-to-restart"
    LOST = "lost"
    """A new engine finds it gone, or its removal cut off."""


class Refusal(NamedTuple):
    status: int
    says: str


COMMANDS = tuple(event for event in Event if event not in (Event.RUNS, Event.FAILS, Event.ENDS, Event.ENDS_TO_RESTART, Event.LOST))

_TABLE = """
                 created    running    paused     restarting  exited     removing    dead
start            running    -          to-unpause -           running    marked      marked
stop             -          exited     exited     exited      -          -           -
kill             no-kill    exited     exited     exited      no-kill    no-kill     no-kill
signal           no-kill    running    running    exited      no-kill    no-kill     no-kill
restart          running    running    running    running     running    marked      marked
pause            not-runs   paused     is-paused  waits       not-runs   not-runs    not-runs
unpause          no-pause   no-pause   running    no-pause    no-pause   no-pause    no-pause
exec             not-runs   running    exec-stop  waits       not-runs   not-runs    not-runs
look             not-runs   running    paused     waits       not-runs   not-runs    not-runs
update           created    running    paused     restarting  exited     no-update   no-update
remove           removing   in-use     in-pause   in-use      removing   in-removal  removing
remove-forced    removing   removing   removing   removing    removing   in-removal  removing
runs             running    never      never      running     running    never       never
fails            created    never      never      exited      exited     never       never
ends             never      exited     exited     never       never      never       never
ends-to-restart  never      restarting restarting never       never      never       never
lost             created    exited     exited     exited      exited     dead        dead
"""

REFUSALS = {
    "-": Refusal(304, ""),
    "to-unpause": Refusal(409, "cannot start a paused container, try unpause instead"),
    "marked": Refusal(409, "container is marked for removal and cannot be started"),
    "no-kill": Refusal(409, "cannot kill container: {name}: container {id} is not running"),
    "not-runs": Refusal(409, "container {id} is not running"),
    "is-paused": Refusal(409, "Container {id} is already paused"),
    "waits": Refusal(409, "Container {id} is restarting, wait until the container is running"),
    "no-pause": Refusal(500, "Container {id} is not paused"),
    "exec-stop": Refusal(409, "Container {id} is paused, unpause the container before exec"),
    "no-update": Refusal(500, 'Cannot update container {id}: container is marked for removal and cannot be "update"'),
    "in-use": Refusal(409, 'cannot remove container "{name}": container is {state}: stop the container before removing or force remove'),
    "in-pause": Refusal(409, 'cannot remove container "{name}": container is paused and must be unpaused first'),
    "in-removal": Refusal(409, "removal of container {name} is already in progress"),
    "never": Refusal(500, "container {id} is {state}: this cannot happen to it"),
}


def _read(table: str) -> dict[tuple[State, Event], State | Refusal]:
    head, *rows = (line.split() for line in table.strip().splitlines())
    states = {state.value: state for state in State}
    found: dict[tuple[State, Event], State | Refusal] = {}
    for event, *cells in rows:
        for state, cell in zip(head, cells, strict=True):
            found[State(state), Event(event)] = states.get(cell) or REFUSALS[cell]
    return found


NEXT = _read(_TABLE)


def next_state(state: State, event: Event, id: str, name: str) -> State:
    """The state after the event. Raises EngineError in Docker's words; its status 304 means that there is nothing to do."""
    found = NEXT[state, event]
    if isinstance(found, State):
        return found
    raise EngineError(found.says.format(id=id, name=name, state=state.value), http_status=found.status)


def drawing() -> str:
    """The table as a Mermaid state diagram: what changes a state, and from where."""
    lines = ["stateDiagram-v2", "    [*] --> created: create"]
    for state in State:
        targets: dict[State, list[str]] = {}
        for event in Event:
            found = NEXT[state, event]
            if isinstance(found, State) and found is not state:
                targets.setdefault(found, []).append(event.value)
        lines += [f"    {state.value} --> {target.value}: {', '.join(events)}" for target, events in targets.items()]
    return "\n".join([*lines, "    removing --> [*]"]) + "\n"


def refusals() -> str:
    """The table as Markdown: per event and state the next state, `-`, or the status of the refusal."""
    head = "| event | " + " | ".join(state.value for state in State) + " |\n|" + " --- |" * (len(State) + 1) + "\n"
    rows = []
    for event in Event:
        cells = [NEXT[state, event] for state in State]
        shown = [cell.value if isinstance(cell, State) else "-" if cell.status == 304 else f"*{cell.status}*" for cell in cells]
        rows.append(f"| {event.value} | " + " | ".join(shown) + " |\n")
    return head + "".join(rows)
