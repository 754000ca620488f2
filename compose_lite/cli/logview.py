"""Output of containers, side by side: coloured prefixes, whole lines, in the order it comes."""

from __future__ import annotations

import heapq
import itertools
import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from compose_lite import ids
from compose_lite.api.protocol import DockerEngine, Frames
from compose_lite.cli.context import Context
from compose_lite.cli.progress import Plain
from compose_lite.errors import ApiError
from compose_lite.project.observe import project_filter, seen
from compose_lite.units import parse_rfc3339

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # cyan, yellow, green, magenta, blue and their bright ones
HEARD_WITHIN = 0.5  # seconds from the end of a container's output to the event that tells its status


@dataclass(slots=True)
class LogView:
    """Prints what containers write. group: where followers run."""

    context: Context
    engine: DockerEngine
    prefix: bool = True
    colour: bool = True
    timestamps: bool = False
    group: TaskGroup | None = None
    report: Plain | None = None  # what else writes on the terminal
    options: Mapping[str, str | None] = field(default_factory=dict)  # tail, since and until of a first look
    split: bool = False  # what containers write to stderr goes to ours
    services: Sequence[str] = ()
    width: int = 0
    following: dict[str, anyio.Event] = field(default_factory=dict)
    notes: bool = True  # whether the end of a container is told
    _followed: set[str] = field(default_factory=set)  # labels
    _awaited: dict[str, anyio.Event] = field(default_factory=dict)  # replacements that have not been started yet
    _ends: dict[str, int] = field(default_factory=dict)  # exit status by container, as `listen` has heard it
    _numbers: dict[str, int] = field(default_factory=dict)

    async def follow_started(self, service: str, id: str) -> None:
        """Called just before a container starts: nothing of its output is missed."""
        if service in self.services:
            document = await self.engine.container(id)
            before = str(document["State"].get("StartedAt") or "")
            await self.follow(id, document["Name"].lstrip("/"), service, again=True, before=before)

    def announce(self, containers: Sequence[tuple[str, str]]) -> None:
        """`Attaching to web-1, db-1`: (name, service) of what will be shown."""
        labels = sorted({self._label(name, service) for name, service in containers if service in self.services})
        self.width = max([self.width, *(len(label) for label in labels)])
        if labels:
            text = f"Attaching to {', '.join(labels)}\n"
            self.report.above(text, self.context.out) if self.report else self.context.out.write(text)
            self.context.out.flush()

    async def listen(self, project: str) -> None:
        """Exit statuses and replacements: of a run that another one has followed already only events tell. Without them less is told."""
        wanted = {"type": ["container"], "event": ["create", "destroy", "die"], **project_filter(project)}
        with suppress(ApiError):
            async for event in self.engine.events(filters=wanted):
                self._hear(event["Action"], event["Actor"]["ID"], event["Actor"].get("Attributes") or {})

    def _hear(self, action: str, id: str, attributes: Mapping[str, str]) -> None:
        if action == "die":
            self._ends[id] = int(attributes.get("exitCode") or 0)
        elif action == "destroy":
            self._awaited.pop(id, anyio.Event()).set()
        elif (old := attributes.get(ids.REPLACE, "")) in self._followed:
            self._awaited[id] = anyio.Event()
            self._write(old, "has been recreated", note=True)

    async def follow(
        self, id: str, name: str, service: str, *, since_now: bool = False, again: bool = False, before: str | None = None
    ) -> None:
        """again: it may have run before; only what it writes since then is shown. before: it is about to start, when it did last."""
        if id in self.following and not self.following[id].is_set():
            return
        self.following[id] = anyio.Event()
        self._awaited.pop(id, anyio.Event()).set()
        assert self.group
        self.width = max(self.width, len(self._label(name, service)))
        self.group.start_soon(self._follow, id, self._label(name, service), since_now, again, before)

    async def _follow(self, id: str, label: str, since_now: bool, again: bool, before: str | None) -> None:
        """Over restarts: the stream ends with the container, and is taken up again while the engine restarts it."""
        self._followed.add(label)
        tail, since, until = "0" if since_now else self.options.get("tail"), self.options.get("since"), self.options.get("until")
        try:
            if again:
                tail, since = None, _ended((await self.engine.container(id))["State"])
            document = await self._started(id, before)
            over = not again and before is None and _is_over(document["State"])  # it was, before anybody looked
            while document:
                await self.show(id, label, follow=True, tail=tail, since=since, until=until, tty=bool(document["Config"].get("Tty")))
                if over or (until and (await self._state(id)).get("Running")):
                    return
                document, since = await self._ends_or_goes_on(id, label, document["State"])
                tail = None
        except ApiError:
            return
        finally:
            self.following[id].set()

    async def _started(self, id: str, before: str | None) -> dict[str, Any]:
        """Its document as soon as it has been started since the start at `before`."""
        while True:
            document = await self.engine.container(id)
            if document["State"]["Status"] != "created" and document["State"].get("StartedAt") != before:
                return document
            await anyio.sleep(0.01)

    async def _ends_or_goes_on(self, id: str, label: str, was: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """Tells that a run has ended. The document of the next one, empty when there is none, and from when on its output is new."""
        by_hand = await self._restarts_by_hand(id)  # before the look: it may be over between the two
        state = await self._state(id)
        if state.get("Running") and not state.get("Restarting") and state.get("StartedAt") == was.get("StartedAt"):
            await anyio.sleep(0.05)  # not its end, but that of the stream
            return await self.engine.container(id), _ended(state)
        restarts = bool(state.get("Running") or state.get("Restarting")) or by_hand
        status = state["ExitCode"] if state.get("Restarting") or _is_over(state) else await self._heard(id)
        self._ends.pop(id, None)
        if status is not None and self.notes:
            self._write(label, f"exited with code {status}{' (restarting)' if restarts else ''}", note=True)
        while restarts:
            by_hand = await self._restarts_by_hand(id)
            document = await self.engine.container(id)
            if document["State"].get("StartedAt") != was.get("StartedAt"):
                return document, _ended(state)
            restarts = by_hand or not _is_over(document["State"])
            await anyio.sleep(0.05)
        return {}, None

    async def _state(self, id: str) -> dict[str, Any]:
        """Empty when it is gone."""
        try:
            return dict((await self.engine.container(id))["State"])
        except ApiError as error:
            if error.http_status != 404:
                raise
            return {}

    async def _restarts_by_hand(self, id: str) -> bool:
        """It is between the end and the start of a `restart`. Only our engine tells."""
        with suppress(ApiError):
            return bool((await self.engine.extension("GET", f"containers/{id}/facts")).get("RestartsByHand"))
        return False

    async def _heard(self, id: str) -> int | None:
        """The status of a run that inspect does not know any more."""
        with anyio.move_on_after(HEARD_WITHIN):
            while id not in self._ends:
                await anyio.sleep(0.01)
        return self._ends.get(id)

    async def show(
        self,
        id: str,
        label: str,
        *,
        follow: bool,
        tail: str | None = None,
        since: str | None = None,
        until: str | None = None,
        tty: bool = False,
    ) -> None:
        """One container's log stream, line by line."""
        pending = {1: b"", 2: b""}
        async for frames in self.engine.logs(id, follow=follow, tail=tail, since=since, until=until, timestamps=self.timestamps, tty=tty):
            self._print(label, whole_lines(frames, pending))
            self._flush()
        self._print(label, [(stream, rest) for stream, rest in pending.items() if rest])
        self._flush()

    async def merged(
        self, found: Sequence[tuple[str, str]], *, tail: str | None = None, since: str | None = None, until: str | None = None
    ) -> None:
        """The logs of several containers, (id, label), as one in the order of their times. None of them has a terminal."""
        sources = [
            _Timed(self.engine.logs(id, timestamps=True, tty=False, tail=tail, since=since, until=until), label) for id, label in found
        ]
        heads = [(*head, number) for number, one in enumerate(sources) if (head := await one.next())]
        heapq.heapify(heads)
        ready: list[tuple[str, tuple[int, bytes]]] = []
        while heads:
            time, _, stream, line, number = heads[0]
            ready.append((sources[number].label, (stream, time.encode() + b"Z " + line if self.timestamps else line)))
            if len(ready) > 1000:
                self._print_all(ready)
            head = await sources[number].next()
            if head:
                heapq.heapreplace(heads, (*head, number))
            else:
                heapq.heappop(heads)
        self._print_all(ready)
        self._flush()

    def _print_all(self, ready: list[tuple[str, tuple[int, bytes]]]) -> None:
        for label, group in itertools.groupby(ready, key=lambda one: one[0]):
            self._print(label, [line for _, line in group])
        ready.clear()

    def _print(self, label: str, lines: Sequence[tuple[int, bytes]]) -> None:
        if self.report is not None or not hasattr(self.context.out, "buffer"):
            for stream, line in lines:
                self._write(label, line.decode("utf-8", "surrogateescape"), error=stream == 2)
            return
        start = self._coloured(label, f"{label:<{self.width}}  | ").encode() if self.prefix else b""
        for error in (False, True) if self.split else (False,):
            text = [line for stream, line in lines if not self.split or (stream == 2) is error]
            if text:
                out = self.context.err if error else self.context.out
                out.flush()
                out.buffer.write(b"".join([b"%b%b\n" % (start, line.removesuffix(b"\r")) for line in text]))

    def _flush(self) -> None:
        self.context.out.flush()
        if self.split:
            self.context.err.flush()

    async def until_all_ended(self, among: Collection[str] | None = None) -> None:
        """When no container that is followed runs any more, and none is about to take the place of one. among: only these ids count."""
        while True:
            followed = [e for id, e in self.following.items() if among is None or id in among]
            waiting = [e for e in (*followed, *(self._awaited.values() if among is None else ())) if not e.is_set()]
            if not waiting:
                return
            for event in waiting:
                await event.wait()

    def _label(self, name: str, service: str) -> str:
        """`web-1`: the container's name without its project."""
        found = re.search(rf"(?:^|[-_])({re.escape(service)}(?:-run)?[-_][0-9a-f]+)$", name)
        return found[1] if found else name

    def label_of(self, document: dict[str, object]) -> str:
        row = seen(document)
        return self._label(row.name, row.service)

    def _write(self, label: str, line: str, *, error: bool = False, note: bool = False) -> None:
        line = line.removesuffix("\r")
        if note:
            text = self._coloured(label, f"{label} {line}") + "\n"
            self.report.above(text, self.context.out) if self.report else self.context.out.write(text)
            self.context.out.flush()
            return
        start = self._coloured(label, f"{label:<{self.width}}  | ") if self.prefix else ""
        out = self.context.err if error and self.split else self.context.out
        if self.report is None:
            out.write(f"{start}{line}\n")
        else:
            self.report.above(f"{start}{line}\n", out)

    def _coloured(self, label: str, text: str) -> str:
        if not self.colour or self.context.environ.get("NO_COLOR") or self.context.options.ansi == "never":
            return text
        if self.context.options.ansi != "always" and not self.context.out.isatty():
            return text
        number = self._numbers.setdefault(label, len(self._numbers))
        return f"\033[{_COLOURS[number % len(_COLOURS)]}m{text}\033[0m"


def whole_lines(frames: Sequence[tuple[int, bytes]], pending: dict[int, bytes]) -> list[tuple[int, bytes]]:
    """(stream, line) of what is complete; the rest stays in pending."""
    found: list[tuple[int, bytes]] = []
    for stream, data in frames:
        *lines, pending[stream] = (pending[stream] + data).split(b"\n")
        found += [(stream, line) for line in lines]
    return found


class _Timed:
    """One container's log, line by line with its time."""

    def __init__(self, frames: Frames, label: str) -> None:
        self.label = label
        self._frames = frames
        self._pending = {1: b"", 2: b""}
        self._lines: deque[tuple[int, bytes]] = deque()
        self._count = 0

    async def next(self) -> tuple[str, int, int, bytes] | None:
        """(time without its Z: strings of one length order as times do, count, stream, line); None after the last one."""
        while not self._lines:
            frames = await anext(self._frames, None)
            if frames is None:
                self._lines.extend((stream, rest) for stream, rest in self._pending.items() if rest)
                self._pending = {1: b"", 2: b""}
                if not self._lines:
                    return None
                break
            self._lines.extend(whole_lines(frames, self._pending))
        stream, line = self._lines.popleft()
        self._count += 1
        time, _, text = line.partition(b" ")
        return time.decode("ascii", "replace").removesuffix("Z"), self._count, stream, text


def _is_over(state: Mapping[str, Any]) -> bool:
    return state.get("Status") in ("exited", "dead") and not state.get("Restarting")


def _ended(state: Mapping[str, Any]) -> str | None:
    """When its last run ended, as the API wants moments."""
    text = str(state.get("FinishedAt") or "")
    if text < "0002":
        return None
    ns = parse_rfc3339(text)
    return f"{ns // 10**9}.{ns % 10**9:09d}"
