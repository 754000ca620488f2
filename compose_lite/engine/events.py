"""Events: the bus, Docker's document forms, filters, replay. Nobody waits for a listener: a slow one loses its connection.

Spec: the Engine API's "events" page; legacy fields (`status`, `id`, `from`) stand on container and image events.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from compose_lite.errors import EngineError
from compose_lite.units import parse_duration, parse_rfc3339

Document = dict[str, Any]
REMEMBERED = 1024
_BACKLOG = 20_000
FILTERS = frozenset(
    (
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    )
)


class Bus:
    """Everything that happens, in order, with the last thousand remembered."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._past: deque[Document] = deque(maxlen=REMEMBERED)
        self._listeners: set[asyncio.Queue[Document | None]] = set()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def publish(self, kind: str, action: str, id: str, attributes: Mapping[str, str]) -> Document:
        """Tells everybody at once. kind: container, image, volume, network, builder."""
        now = self._clock()
        event = document(kind, action, id, attributes, now)
        self._past.append(event)
        for queue in list(self._listeners):
            if queue.qsize() > _BACKLOG:
                self._listeners.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)
        return event

    def pruned(self, kind: str, freed: int = 0) -> None:
        """freed: bytes."""
        self.publish(kind, "prune", "", {"reclaimed": str(freed)})

    async def listen(self, filters: Mapping[str, list[str]], since: int | None = None, until: int | None = None) -> AsyncIterator[Document]:
        """Past events from `since`, or all that are remembered when only `until` is given; then new ones, to `until` (nanoseconds)."""
        queue: asyncio.Queue[Document | None] = asyncio.Queue()
        for event in list(self._past) if since is not None or until is not None else ():
            queue.put_nowait(event)
        self._listeners.add(queue)
        try:
            while True:
                try:
                    found = await _next(queue, None if until is None else (until - self._clock()) / 1e9)
                except TimeoutError:
                    return
                if found is None or (until is not None and found["timeNano"] > until):
                    return
                if (since is None or found["timeNano"] >= since) and matches(found, filters):
                    yield found
        finally:
            self._listeners.discard(queue)


async def _next(queue: asyncio.Queue[Document | None], seconds: float | None) -> Document | None:
    if not queue.empty():
        return queue.get_nowait()
    if seconds is None:
        return await queue.get()
    if seconds <= 0:
        raise TimeoutError
    async with asyncio.timeout(seconds):
        return await queue.get()


def document(kind: str, action: str, id: str, attributes: Mapping[str, str], now: int) -> Document:
    event: Document = {}
    if kind in ("container", "image"):
        event = {"status": action, "id": id} | ({"from": attributes.get("image", "")} if kind == "container" else {})
        event = {key: value for key, value in event.items() if value}
    actor = {"ID": id, "Attributes": dict(sorted(attributes.items()))}
    return {**event, "Type": kind, "Action": action, "Actor": actor, "scope": "local", "time": now // 10**9, "timeNano": now}


def matches(event: Document, filters: Mapping[str, list[str]]) -> bool:
    """All named filters must agree; several values of one are alternatives, labels must all be there."""
    actor, kind = event["Actor"], event["Type"]
    attributes = actor["Attributes"]
    for name, values in filters.items():
        if not values:
            continue
        if name == "type":
            agrees = kind in values
        elif name == "event":
            agrees = any(event["Action"] == v or event["Action"].startswith(f"{v}:") for v in values)
        elif name == "label":
            agrees = all(has_label(attributes, v) for v in values)
        elif name == "scope":
            agrees = "local" in values
        elif name == "image":
            agrees = any(_is_image(v, actor["ID"] if kind == "image" else "", attributes, kind) for v in values)
        elif name in ("container", "network", "volume", "daemon"):
            other = attributes.get("container", "") if name == "container" and kind != "container" else ""
            mine = kind == name and any(actor["ID"].startswith(v) or attributes.get("name") == v.lstrip("/") for v in values if v)
            agrees = mine or bool(other and any(other.startswith(v) for v in values if v))
        else:
            agrees = False
        if not agrees:
            return False
    return True


def _is_image(value: str, id: str, attributes: Mapping[str, str], kind: str) -> bool:
    names = [id, attributes.get("name", "") if kind == "image" else attributes.get("image", "")]
    return any(n and (n == value or n.split(":")[0] == value) for n in names)


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """`key` or `key=value`."""
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def parse_time(text: str, now: int) -> int | None:
    """`since` and `until`: seconds (with a fraction), RFC 3339, or a duration before now. Nanoseconds; None when empty."""
    if not text:
        return None
    try:
        seconds, _, fraction = text.partition(".")
        if seconds.lstrip("-").isdigit():
            return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
        if "T" in text or text.count("-") == 2:
            return parse_rfc3339(text if "T" in text else f"{text}T00:00:00Z")
        return now - parse_duration(text)
    except ValueError:
        raise EngineError(f"invalid time {text!r}", http_status=400) from None
