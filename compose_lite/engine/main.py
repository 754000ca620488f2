"""The engine process: puts its rooms together, serves the socket, adopts what an earlier engine left, goes when idle.

It must never end a container: SIGTERM, idle exit and kill -9 all leave them running.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from compose_lite import rootless
from compose_lite.disk import Folders
from compose_lite.engine.bridges import Bridges
from compose_lite.engine.builds import Builds
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.execs import Execs
from compose_lite.engine.images import Images
from compose_lite.engine.networks import Networks
from compose_lite.engine.recover import recover
from compose_lite.engine.routes import Routes
from compose_lite.engine.seats import Seats
from compose_lite.engine.server import Server
from compose_lite.engine.store import Store
from compose_lite.ids import new_id
from compose_lite.image.removal import Use
from compose_lite.image.store import ImageStore
from compose_lite.linux import cgroups, unix
from compose_lite.runtime.answers import ExitNotice
from compose_lite.runtime.client import Runtime
from compose_lite.runtime.lines import open_zygote
from compose_lite.subordinate import remapping

IDLE_SECONDS = 300.0
log = logging.getLogger("compose_lite.engine")
_JOIN_SECONDS = 0.008


def run(folders: Folders, zygote: socket.socket, bridges: int | None = None, keep: tuple[int, ...] = ()) -> None:
    """The engine's body until it is idle or told to end.

    bridges: the network namespace in which bridges stand when it is not our own (rootless); keep: descriptors held until the end.
    """
    anyio.run(_serve, folders, zygote, bridges, backend="asyncio")
    del keep


async def _serve(folders: Folders, zygote: socket.socket, bridges: int | None) -> None:
    folders.run.mkdir(parents=True, exist_ok=True)
    folders.data.mkdir(parents=True, exist_ok=True)
    store = Store(folders.data / "state.db")
    images = ImageStore(folders.data)
    bus = Bus()
    containers = Containers(store, folders, images, bus)
    execs = Execs(containers)

    def heard(notice: ExitNotice) -> None:
        (execs if notice.exec_id else containers).heard_exit(notice)

    runtime = containers.runtime = Runtime(zygote, folders.run / "exits.sock")
    runtime.on_exit = heard
    runtime.on_lost = lambda: runtime.reconnect(open_zygote(folders.run, bridges))

    def emit(kind: str, action: str, actor: Mapping[str, Any]) -> None:
        bus.publish(kind, action, actor["ID"], actor["Attributes"])

    live = Bridges(bridges)
    await live.open_hostway()
    networks = containers.networks = Networks(store, emit, containers.all, live)
    control = folders.run / "forward.sock"
    remap = containers.preparation.remap = remapping(os.environ, root=not containers.preparation.rootless)
    containers.preparation.seats = Seats(
        networks, containers.all, containers.runtime, control, hosts_changed=containers.hosts_changed, remap=remap
    )
    engine_id = store.setting("id") or new_id()
    store.put_setting("id", engine_id)
    await recover(containers)
    listed = make_images(images, containers)
    routes = Routes(Rooms(containers, execs, listed, Builds(containers, listed), engine_id))
    server = Server(routes, joins_to_come())
    sock = socket.socket(fileno=unix.listen(str(folders.engine_socket), socket.SOCK_STREAM, 128).detach())
    sock.setblocking(False)
    await server.listen(sock)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGUSR1, _tell_tasks)
    idle = float(os.environ.get("COMPOSE_LITE_IDLE") or IDLE_SECONDS)
    while not told.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(1.0, idle / 4 + 0.05)):
                await told.wait()
        if not server.connections and not containers.busy and time.monotonic() - server.last_activity > idle:
            break
    with contextlib.suppress(FileNotFoundError):
        folders.engine_socket.unlink()
    await server.close()
    for id in containers.births.ahead.ids():
        await containers.forget_prepared(containers.find(id))
    containers.seats.publisher.close()
    await networks.stop(remove_bridges=not containers.busy)
    if not containers.busy:
        containers.volumes.unmount()
    if bridges is not None and not containers.busy:
        rootless.close_uplink(folders)
    containers.trash.close()
    containers.runtime.close()
    store.close()


def joins_to_come() -> Callable[[], None]:
    """What a request starts before it is answered: the wait of cgroups v1 for a process that will join a group (a start, an exec)."""
    loop = asyncio.get_running_loop()
    last = -math.inf
    needed = True

    def ask() -> None:
        nonlocal needed
        needed = cgroups.anticipate_joins(cgroups.ENGINE)

    def heard() -> None:
        nonlocal last
        now = loop.time()
        if needed and now - last > _JOIN_SECONDS:
            last = now
            loop.run_in_executor(None, ask)

    return heard


def _tell_tasks() -> None:
    """What everything waits for, into the engine's log: for reports of a command that hangs."""
    for task in asyncio.all_tasks():
        text = io.StringIO()
        task.print_stack(file=text)
        inner: Any = task.get_coro()
        while waits := getattr(inner, "cr_await", None):  # print_stack shows the outermost coroutine alone
            if frame := getattr(waits, "cr_frame", None):
                text.write(f"  in {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}\n")
            inner = waits
        log.warning("%s", text.getvalue().rstrip())


def make_images(images: ImageStore, containers: Containers) -> Images:
    def uses() -> Mapping[str, Sequence[Use]]:
        found: dict[str, list[Use]] = {}
        for container in containers.all.values():
            found.setdefault(container.image_id, []).append(Use(container.id, container.running))
        return found

    def tell(action: str, id: str, attributes: Mapping[str, str]) -> None:
        containers.bus.publish("image", action, id, attributes)

    return Images(images, uses, tell)
