"""The runs of containers: start, end, stop, kill, restart, pause, health; who waits for what of them.

One lock a container orders what changes it; everything is in the store before it is told. Decisions are elsewhere (lifecycle.py,
restart.py, health.py, ociconfig.py). It must never leave a half-started container: what a failed start made is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from compose_lite.disk import Folders
from compose_lite.engine import creation, defaults, halting, health, links, restart, signals
from compose_lite.engine.births import Births
from compose_lite.engine.events import Bus
from compose_lite.engine.lifecycle import Event, State
from compose_lite.engine.live import Live, cleaning
from compose_lite.engine.networks import Networks
from compose_lite.engine.preparation import Preparation
from compose_lite.engine.record import Container
from compose_lite.engine.seats import Seats
from compose_lite.engine.store import Store
from compose_lite.engine.trash import Trash
from compose_lite.engine.volumes import Volumes
from compose_lite.errors import ContainerError, EngineError, Error
from compose_lite.image.store import ImageStore
from compose_lite.linux import pidfd
from compose_lite.linux.signals import is_one
from compose_lite.runtime.answers import ExitNotice, StartFailed
from compose_lite.runtime.attachment import Attachment
from compose_lite.runtime.client import Runtime
from compose_lite.units import rfc3339

Document = dict[str, Any]
_NO_SIGNAL_SECONDS = 2  # that a stop waits which could send none, as Docker
MOST_SIGNALS = 6  # of those sent in one run are kept
STATUS_UNKNOWN = "its exit status is not known: the processes that watched it were killed"
log = logging.getLogger("compose_lite.engine")
_SECOND_MONITOR_SECONDS = 2  # by when the zygote has made another one
_FREEZE_TRIES = 1000  # of 2 ms
_START_FAILED = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
_IN_INIT = "unable to start container process: error during container init: "  # runc's words for what execve(2) refuses


def _is_work(container: Container, event: Event) -> bool:
    """False when there is nothing to do. Raises EngineError when it is refused."""
    try:
        container.after(event)
    except EngineError as error:
        if error.http_status == 304:
            return False
        raise
    return True


class Runs(ABC):
    """The records of all containers and what runs of them; engine/containers.py adds how records come and go."""

    def __init__(self, store: Store, folders: Folders, images: ImageStore, bus: Bus) -> None:
        self.store, self.folders, self.images, self.bus = store, folders, images, bus
        self.all: dict[str, Container] = {c.id: c for c in store.containers()}
        self._names = {c.name: c.id for c in self.all.values()}
        self._live: dict[str, Live] = {}
        self.trash = Trash(folders.data / "trash", images.empty_trash)
        self.volumes = Volumes(store, folders, bus, self.all, self._layers_of, self.trash.discard)
        self.networks: Networks
        self.runtime: Runtime
        self.probe: Callable[[Container, health.Check], Coroutine[Any, Any, tuple[int, bytes]]]
        self._background: set[asyncio.Task[Any]] = set()
        self.births = Births(
            store, folders, Preparation(folders, self.volumes, self.find), lambda: self.runtime, self._prepared_for_nothing
        )

    def _layers_of(self, name: str) -> list[str] | None:
        image = self.images.get(name)
        return [str(layer) for layer in image.layers] if image else None

    @property
    def preparation(self) -> Preparation:
        return self.births.preparation

    @property
    def seats(self) -> Seats:
        return self.preparation.seats

    # finding

    def live(self, id: str) -> Live:
        return self._live.setdefault(id, Live())

    def find(self, reference: str) -> Container:
        """By id, name or the start of an id. 404 in Docker's words."""
        found = self.all.get(reference) or self.all.get(self._names.get(reference.removeprefix("/"), ""))
        if found:
            return found
        hits = [c for i, c in self.all.items() if reference and i.startswith(reference)]
        if len(hits) > 1:
            raise EngineError(f"multiple IDs found with provided prefix: {reference}", http_status=400)
        if not hits:
            raise EngineError(f"No such container: {reference}", http_status=404)
        return hits[0]

    def stir(self, container: Container) -> None:
        """Who waits for a change of it looks again."""
        live = self._live.get(container.id)
        if live:
            live.version += 1
            live.stirred.set()
            live.stirred = asyncio.Event()

    async def changed_since(self, container: Container, version: int, seconds: float) -> None:
        """Until there is something newer to see than that version, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while container.id in self.all and (live := self.live(container.id)).version <= version:
                    await live.stirred.wait()

    def emit(self, container: Container, action: str, **more: str) -> None:
        self.stir(container)
        self.bus.publish("container", action, container.id, {**container.labels, "image": container.image, "name": container.name, **more})

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def save(self, container: Container) -> None:
        self.store.put_facts(container)

    @property
    def busy(self) -> bool:
        return any(c.running or c.state is State.RESTARTING for c in self.all.values())

    # start

    async def start(self, container: Container) -> bool:
        """False when it runs already."""
        live = self.live(container.id)
        async with live.lock:
            if not _is_work(container, Event.START):
                return False
            container.stopped_by_hand = False
            container.restart_count = 0
            live.wait_before = 0.0
            await self._launch(container, live)
        return True

    async def _launch(self, container: Container, live: Live) -> None:
        """From the record to a running process. What a failure leaves is taken back."""
        await self._settled(live)
        live.starting, live.early_exit = True, None
        try:
            await self.births.bear(container, live)
        except BaseException as error:
            await self._take_back(container, live, error)
            if isinstance(error, StartFailed):
                raise EngineError(
                    container.error, http_status=400 if error.exit_status in (126, 127) else 500, code="container-start"
                ) from error
            if isinstance(error, EngineError) and error.http_status == 404:
                raise EngineError(container.error, http_status=404) from error
            raise
        finally:
            live.starting = False
        container.move(Event.RUNS)
        container.started, container.exit_code, container.error, container.oom_killed = time.time_ns(), 0, "", False
        live.probed, live.signals_before = None, container.signals
        container.started_once, container.boot, container.signals = True, pidfd.boot_id(), []
        container.stopped_with_machine = False
        check = health.check_of(container.config)
        container.health = health.fresh() if check else None
        live.ended.clear()
        self.save(container)
        self.emit(container, "start")
        self._tell_linked(container)
        if check:
            live.health = self.background(self._watch_health(container, check))
        notice, live.early_exit = live.early_exit, None
        if notice and notice.pid in (0, container.pid):  # not that of one which was prepared and did not fit any more
            self._ended(container, notice)

    async def prepare(self, container: Container) -> None:
        """It will be started later: see ahead.py. Few at a time, as what is started now comes first."""
        async with self.births.ahead.turn, self.live(container.id).lock:
            if container.id in self.all:
                await self.births.ahead.prepare(container)

    async def forget_prepared(self, container: Container) -> None:
        """Before its layer is written to, or the engine goes."""
        async with self.live(container.id).lock:
            await self.births.ahead.forget(container)

    def _prepared_for_nothing(self, id: str) -> None:
        if container := self.all.get(id):
            self.background(self.forget_prepared(container))

    async def _take_back(self, container: Container, live: Live, error: BaseException) -> None:
        if isinstance(error, StartFailed):
            said = (_IN_INIT if error.says.startswith("exec: ") else "") + error.says
            container.exit_code, container.error = start_status(error), _START_FAILED + said
        else:
            container.exit_code = 128
            container.error = error.says if isinstance(error, Error) else str(error)
        live.early_exit = None
        container.pid = container.start_time = 0
        await self.births.unmake(container)
        for _, future in live.attachers:
            if not future.done():
                future.cancel()
        live.attachers.clear()
        container.move(Event.FAILS)
        self.save(container)
        self._wake(live, ("next-exit", "not-running"), container.exit_code)
        if container.host_config["AutoRemove"]:
            self.background(self._auto_remove(container))

    # the end

    def heard_exit(self, notice: ExitNotice) -> None:
        """From the runtime: a container's process has ended."""
        container = self.all.get(notice.id)
        if container is None:
            return
        live = self.live(container.id)
        if live.starting:
            live.early_exit = notice
        else:
            self._ended(container, notice)

    def _ended(self, container: Container, notice: ExitNotice) -> None:
        """Recorded in one go, so that no change of state comes between; what is next on it waits for `settling`."""
        live = self.live(container.id)
        if not container.running:
            return
        if live.health:
            live.health.cancel()
            live.health = None
        ran_for = max(0.0, (notice.at_ns - container.started) / 1e9)
        policy = container.host_config["RestartPolicy"]
        stays = container.stopped_by_hand or container.stopped_with_machine
        again = restart.starts_again(policy, notice.status, container.restart_count, stays)
        container.exit_code, container.oom_killed, container.finished = notice.status, notice.oom_killed, notice.at_ns
        container.error = "" if notice.seen else STATUS_UNKNOWN
        container.pid = container.start_time = 0
        container.move(Event.ENDS_TO_RESTART if again else Event.ENDS)
        self.save(container)
        self.stir(container)
        live.ended.set()
        live.settling = self.background(self._settle(container, live, again, ran_for))

    async def _settle(self, container: Container, live: Live, again: bool, ran_for: float) -> None:
        """Its leftovers go, then those who wait for its end are told."""
        status = container.exit_code
        await self.births.unmake(container, keep_sandbox=again or live.restarting_by_hand)
        if container.oom_killed:
            self.emit(container, "oom")
        self.emit(container, "die", exitCode=str(status), execDuration=str(int(ran_for)))
        self._wake(live, ("next-exit",) if again else ("next-exit", "not-running"), status)
        if again and container.state is State.RESTARTING:
            live.wait_before = restart.next_wait(live.wait_before, ran_for)
            live.again = self.background(self._start_again(container, live, live.wait_before))
        elif container.host_config["AutoRemove"] and not live.restarting_by_hand:
            self.background(self._auto_remove(container))

    async def _start_again(self, container: Container, live: Live, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with live.lock:
            if container.state is not State.RESTARTING:
                return
            live.again = None
            container.restart_count += 1
            try:
                await self._launch(container, live)
            except (Error, OSError):
                return
            self.save(container)

    def _call_off(self, live: Live) -> None:
        if live.again:
            live.again.cancel()
            live.again = None

    @abstractmethod
    async def remove(self, container: Container, *, force: bool = False, volumes: bool = False) -> None:
        """Its record and all that belongs to it."""

    async def _auto_remove(self, container: Container) -> None:
        with contextlib.suppress(EngineError):
            await self.remove(container, volumes=True)

    def hosts_changed(self, container: Any) -> None:
        """A network was joined or left while it runs."""
        self.preparation.write_network_files(container)
        self.save(container)

    def _tell_linked(self, container: Container) -> None:
        """Who is linked to it learns its present address."""
        for other in self.all.values():
            if other.running and any(name == container.name for name, _ in links.of(other)):
                with cleaning(other, "hosts file"):
                    self.preparation.follow_links(other)

    def _wake(self, live: Live, conditions: Sequence[str], status: int) -> None:
        for condition, future in live.waiters:
            if condition in conditions and not future.done():
                future.set_result(status)
        live.waiters = [(c, f) for c, f in live.waiters if not f.done()]

    def waiter(self, container: Container, condition: str) -> asyncio.Future[int]:
        """The exit status, when the condition is met."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        idle = not container.running and container.state is not State.RESTARTING
        if condition == "not-running" and idle:
            future.set_result(container.exit_code)
        else:
            self.live(container.id).waiters.append((condition, future))
        return future

    # stop, kill, restart

    async def stop(self, container: Container, seconds: int | None = None, wish: str = "", *, with_machine: bool = False) -> bool:
        """False when it did not run. with_machine: nobody wants it stopped, systemd goes down."""
        live = self.live(container.id)
        async with live.lock:
            container.stopped_with_machine = with_machine and _is_work(container, Event.STOP)
            return await self._stop(container, live, seconds, wish)

    async def _stop(self, container: Container, live: Live, seconds: int | None, wish: str, doing: str = "") -> bool:
        if not _is_work(container, Event.STOP):
            return False
        if container.state is State.RESTARTING:
            await self._stop_waiting(container, live, Event.STOP)
            self.emit(container, "stop")
            return True
        word = wish or container.config.get("StopSignal") or defaults.STOP_SIGNAL
        number = creation.signal_number(word, doing or f"cannot stop container: {container.name}")
        stop_timeout = container.config.get("StopTimeout")
        grace = seconds if seconds is not None else stop_timeout if stop_timeout is not None else defaults.STOP_TIMEOUT
        container.stopped_by_hand = not container.stopped_with_machine
        because = f"not ended {grace} s after the stop"
        if is_one(number):
            self._signal(container, number, "stop")
        else:
            grace, because = _NO_SIGNAL_SECONDS, f"there is no signal {number}"
        if container.state is State.PAUSED:
            await self._thaw(container)
        if not await self._end_of(live, None if grace < 0 else grace):
            self._signal(container, 9, because)
            await self._end_of(live, 10)
        await self._settled(live)
        self.emit(container, "stop")
        return True

    async def _stop_waiting(self, container: Container, live: Live, event: Event) -> None:
        """Its next automatic start is called off."""
        self._call_off(live)
        container.stopped_by_hand = not container.stopped_with_machine
        container.move(event)
        await self._settled(live)
        with cleaning(container, "network"):
            await self.seats.disconnect(container, keep_sandbox=live.restarting_by_hand)
        self.save(container)
        self._wake(live, ("not-running", "next-exit"), container.exit_code)

    def _signal(self, container: Container, number: int, because: str) -> None:
        status = ""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{container.pid}/status").read_text()
        sent = {"Number": number, "Because": because, "At": rfc3339(time.time_ns()), "Reacts": signals.reacts(status, number)}
        container.signals = [*container.signals, sent][-MOST_SIGNALS:]
        self.save(container)
        with contextlib.suppress(ProcessLookupError):
            self.runtime.kill(container.id, number)
        self.emit(container, "kill", signal=str(number))

    async def _end_of(self, live: Live, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await live.ended.wait()
            return True
        except TimeoutError:
            return False

    async def _settled(self, live: Live) -> None:
        """Until the leftovers of its last run are gone."""
        if live.settling:
            await asyncio.shield(live.settling)

    async def kill(self, container: Container, wish: str = "") -> None:
        number = creation.asked_signal(wish or "SIGKILL", f"cannot kill container: {container.name}")
        event, live = Event.KILL if number == 9 else Event.SIGNAL, self.live(container.id)
        container.after(event)
        if container.state is State.RESTARTING:
            async with live.lock:
                if container.state is State.RESTARTING:
                    await self._stop_waiting(container, live, event)
                    return
            container.after(event)  # it was being started
        stop = creation.signal_number(container.config.get("StopSignal") or defaults.STOP_SIGNAL)
        if number in (9, stop):
            container.stopped_by_hand = True
        self._signal(container, number, "kill")
        if container.state is State.PAUSED:
            await self._thaw(container)
        if number == 9:
            await self._end_of(live, 10)
            await self._settled(live)

    async def restart(self, container: Container, seconds: int | None = None, wish: str = "") -> None:
        live = self.live(container.id)
        async with live.lock:
            container.after(Event.RESTART)
            live.restarting_by_hand = True
            try:
                await self._stop(container, live, seconds, wish, f"Cannot restart container {container.name}")
                container.stopped_by_hand = False
                container.restart_count = 0
                await self._launch(container, live)
            finally:
                live.restarting_by_hand = False
            self.emit(container, "restart")

    async def pause(self, container: Container) -> None:
        async with self.live(container.id).lock:
            container.after(Event.PAUSE)
            group = self.runtime.group(container.id)
            try:
                group.freeze(True)
                for _ in range(_FREEZE_TRIES):
                    if group.frozen() or not container.running:
                        break
                    await asyncio.sleep(0.002)
                else:
                    group.freeze(False)
                    says = f"container {container.short} cannot be paused: its processes do not react"
                    raise EngineError(says, code="container-pause", remedy="Try again; `compose-lite kill` ends them.")
            except FileNotFoundError as error:
                if container.host_config.get("PidMode"):  # whose processes they are cannot be told
                    says = f"cannot pause container {container.id}: it has no cgroup with a freezer and no pid namespace of its own"
                    raise EngineError(says, remedy="See docs/rootless.md: cgroups delegated to this user have a freezer.") from error
                await asyncio.to_thread(halting.halt, container.pid)
            except OSError as error:
                raise EngineError(f"cannot pause container {container.id}: {error.strerror}") from error
            container.move(Event.PAUSE)  # it may have ended meanwhile
            self.save(container)
            self.emit(container, "pause")

    async def unpause(self, container: Container) -> None:
        async with self.live(container.id).lock:
            await self._thaw(container)

    async def _thaw(self, container: Container) -> None:
        container.after(Event.UNPAUSE)
        group = self.runtime.group(container.id)
        group.freeze(False)
        if not group.has_freezer:
            halting.go_on(container.pid)
        container.move(Event.UNPAUSE)
        self.save(container)
        self.emit(container, "unpause")

    # health

    async def _watch_health(self, container: Container, check: health.Check) -> None:
        def get() -> Document:
            return container.health or health.fresh()

        def put(found: Document) -> None:
            before = get()["Status"]
            container.health = found
            self.save(container)
            if found["Status"] != before:
                self.emit(container, f"health_status: {found['Status']}")

        async def probe(one: health.Check) -> tuple[int, bytes]:
            return await self.probe(container, one)

        def tell(found: Document, count: int) -> None:
            self.live(container.id).probed = {**found, "Count": count}
            self.stir(container)

        await health.watch(check, probe, get, put, tell)

    def resume_health(self, container: Container) -> None:
        """After an engine's restart."""
        check = health.check_of(container.config)
        if check and container.running:
            self.live(container.id).health = self.background(self._watch_health(container, check))

    # attach

    async def attach(self, container: Container, *, stdin: bool) -> Attachment:
        """The stream of a running container, or of the next start of one that does not run."""
        if container.running:
            return await self.runtime.attach(container.id, stdin=stdin)
        future: asyncio.Future[Attachment] = asyncio.get_running_loop().create_future()
        self.live(container.id).attachers.append((stdin, future))
        return await future

    async def attach_again(self, container: Container, process: tuple[int, int], *, stdin: bool) -> Attachment | None:
        """After the end of a stream. None: the process (pid, start time) has ended; else only its monitor was killed, and there is another
        soon. Raises ContainerError if there is none."""
        until = time.monotonic() + _SECOND_MONITOR_SECONDS
        while (container.pid, container.start_time) == process:
            if not pidfd.is_alive(*process):
                return None
            try:
                return await self.runtime.attach(container.id, stdin=stdin)
            except ContainerError:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(0.05)
        return None


def start_status(error: StartFailed) -> int:
    """The exit status of a container that was not started: 127 where something is not there or no folder; Docker too goes by the words."""
    says = error.says.lower()
    missing = "no such file or directory" in says or "not a directory" in says
    return 127 if error.exit_status == 128 and missing else error.exit_status
