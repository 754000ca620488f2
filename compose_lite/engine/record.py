"""A container as the engine keeps it: what it was asked to be (fixed at create) and what became of it (changes).

Both halves are JSON objects for the store, apart, since the second changes often and the first is long.
It must never hold what belongs to a live engine only (tasks, descriptors): containers.py has that.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from compose_lite.engine.lifecycle import Event, State, next_state
from compose_lite.ids import short

Document = dict[str, Any]
NEVER = "0001-01-01T00:00:00Z"


@dataclass(slots=True)
class Container:
    """Times are nanoseconds since the epoch, 0: never."""

    # as it was asked for
    id: str
    name: str
    created: int
    image: str  # as given
    image_id: str
    config: Document  # Docker's Config, merged with the image's
    host_config: Document
    networking_config: Document
    mounts: list[Document] = field(default_factory=list)  # mount points in Docker's form, with private keys `x-...`
    files: list[Document] = field(default_factory=list)  # in-memory files: path, content (base64), uid, gid, mode
    warnings: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)  # bottom first
    rootfs: str = ""  # the machine's own folder, when the image is `rootfs:/path`
    configuration: Document = field(default_factory=dict)  # of its Compose service, for whoever asks what changed since

    # what became of it
    state: State = State.CREATED
    pid: int = 0
    start_time: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started: int = 0
    finished: int = 0
    restart_count: int = 0
    stopped_by_hand: bool = False
    stopped_with_machine: bool = False  # in order, as systemd went down: its policy decides when an engine comes again
    started_once: bool = False
    health: Document | None = None
    endpoints: MutableMapping[str, Document] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)  # limits that could not be kept
    boot: str = ""
    signals: list[Document] = field(default_factory=list)  # that this engine sent to its run: number, why, when, whether it reacts

    def after(self, event: Event) -> State:
        """The state that the event would lead to. Raises EngineError in Docker's words; status 304: there is nothing to do."""
        return next_state(self.state, event, self.id, self.name)

    def move(self, event: Event) -> None:
        """The one way from a state to another."""
        self.state = self.after(event)

    @property
    def running(self) -> bool:
        """Its process lives (paused counts)."""
        return self.state in (State.RUNNING, State.PAUSED)

    @property
    def hostname(self) -> str:
        return str(self.config.get("Hostname") or "")

    @property
    def domainname(self) -> str:
        return str(self.config.get("Domainname") or "")

    @property
    def labels(self) -> dict[str, str]:
        return self.config.get("Labels") or {}

    @property
    def tty(self) -> bool:
        return bool(self.config.get("Tty"))

    @property
    def short(self) -> str:
        return short(self.id)

    @property
    def argv(self) -> list[str]:
        return [*(self.config.get("Entrypoint") or ()), *(self.config.get("Cmd") or ())]


_WISHES = (
    "id",
    "name",
    "created",
    "image",
    "image_id",
    "config",
    "host_config",
    "networking_config",
    "mounts",
    "files",
    "warnings",
    "layers",
    "rootfs",
    "configuration",
)
_FACTS = (
    "pid",
    "start_time",
    "exit_code",
    "error",
    "oom_killed",
    "started",
    "finished",
    "restart_count",
    "stopped_by_hand",
    "stopped_with_machine",
    "started_once",
    "health",
    "endpoints",
    "unmet",
    "boot",
    "signals",
)


def wishes(container: Container) -> Document:
    return {name: getattr(container, name) for name in _WISHES}


def facts(container: Container) -> Document:
    return {"state": container.state.value, **{name: getattr(container, name) for name in _FACTS}}


def container(asked: Document, became: Document) -> Container:
    """The inverse. Keys of a newer engine are left out, missing ones get their defaults."""
    known = {name: asked[name] for name in _WISHES if name in asked} | {name: became[name] for name in _FACTS if name in became}
    return Container(**known, state=State(became.get("state", State.CREATED.value)))
