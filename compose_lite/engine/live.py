"""What an engine knows of a container only while it lives itself, and what steps of a run share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from compose_lite.engine.record import Container
from compose_lite.runtime.answers import ExitNotice
from compose_lite.runtime.attachment import Attachment

Document = dict[str, Any]
log = logging.getLogger("compose_lite.engine")


@dataclass(slots=True)
class Live:
    """What belongs to a container only while this engine lives."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    starting: bool = False
    early_exit: ExitNotice | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # set when it is not running
    waiters: list[tuple[str, asyncio.Future[int]]] = field(default_factory=list)  # condition, status
    attachers: list[tuple[bool, asyncio.Future[Attachment]]] = field(default_factory=list)  # wants stdin
    again: asyncio.Task[None] | None = None
    settling: asyncio.Task[None] | None = None  # its end is recorded, its leftovers are being removed
    wait_before: float = 0.0
    health: asyncio.Task[None] | None = None
    restarting_by_hand: bool = False
    version: int = 0  # grows with whatever can be seen of it
    stirred: asyncio.Event = field(default_factory=asyncio.Event)  # set at the next growth, then another one takes its place
    probed: Document | None = None  # the last probe, those that do not count too
    took: dict[str, float] = field(default_factory=dict)  # seconds by phase of its last start
    execs: set[str] = field(default_factory=set)
    signals_before: list[Document] = field(default_factory=list)  # that its last run was sent


@contextlib.contextmanager
def cleaning(container: Container, what: str) -> Iterator[None]:
    """A step of a clean-up: what fails does not keep the next one from its turn, but is in the engine's log."""
    try:
        yield
    except Exception:
        log.exception("clean-up of container %s: %s", container.short, what)


def phases(took: dict[str, float]) -> Callable[[str], None]:
    """Writes into `took` how long it was from one mark to the next."""
    took.clear()
    last = time.monotonic()

    def mark(name: str) -> None:
        nonlocal last
        now = time.monotonic()
        took[name], last = now - last, now

    return mark
