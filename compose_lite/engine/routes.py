"""Every call of the engine's API: one table, method and path to handler. Paths are taken with and without /v1.NN.

A handler reads the request, calls one room of the engine and says what came of it; it decides nothing.
Spec: Docker Engine API 1.51.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Callable
from typing import IO, Any

import pydantic_core

from compose_lite.api.http import MULTIPLEXED, RAW, STDERR, STDOUT, frame
from compose_lite.engine import archive, differences, documents, events, execs, logs, usage
from compose_lite.engine import volumes as volume_rules
from compose_lite.engine.builds import Builds
from compose_lite.engine.containers import Containers
from compose_lite.engine.execs import Execs, Pipes, pump_out, write_all
from compose_lite.engine.images import Images
from compose_lite.engine.lifecycle import State
from compose_lite.engine.record import Container
from compose_lite.engine.server import API_VERSION, OLDEST, Duplex, Gone, Reply, Request, Server
from compose_lite.errors import EngineError
from compose_lite.runtime.client import Attachment

Document = dict[str, Any]
Handler = Callable[["Routes", Request], Awaitable[Any]]
_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)")
_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'


class Routes:
    def __init__(self, containers: Containers, execs: Execs, images: Images, server: Callable[[], Server], engine_id: str) -> None:
        self.containers, self.execs, self.images, self.server, self.engine_id = containers, execs, images, server, engine_id
        self.bus, self.networks, self.volumes = containers.bus, containers.networks, containers.volumes
        self.builds = Builds(containers, images)

    async def __call__(self, request: Request) -> Any:
        found = _VERSION.fullmatch(request.path)
        if found:
            request.version = (int(found[1]), int(found[2]))
            request.path = found[3]
            if request.version > API_VERSION:
                says = f"client version {found[1]}.{found[2]} is too new. Maximum supported API version is 1.51"
                raise EngineError(says, http_status=400)
            if request.version < OLDEST:
                says = f"client version {found[1]}.{found[2]} is too old. Minimum supported API version is 1.24"
                raise EngineError(f"{says}, please upgrade your client to a newer version", http_status=400)
        first = request.path.split("/", 2)[1] if "/" in request.path else ""
        method = "GET" if request.method == "HEAD" else request.method
        for wanted, pattern, handler in _BY_FIRST.get(first, ()):
            if wanted == method and (hit := pattern.fullmatch(request.path)):
                request.params = hit.groupdict()
                return await handler(self, request)
        if first in ("swarm", "services", "tasks", "nodes", "secrets", "configs"):
            raise EngineError(_SWARM, http_status=503)
        if first in ("session", "grpc"):
            raise EngineError("compose-lite has no BuildKit session: set DOCKER_BUILDKIT=0 to build on this engine", http_status=501)
        return Reply(404, {"message": "page not found"})

    def one(self, request: Request) -> Container:
        return self.containers.find(request.params["id"])

    # system

    async def ping(self, request: Request) -> Reply:
        headers = {
            "Builder-Version": "1",
            "Swarm": "inactive",
            "Cache-Control": "no-cache, no-store, must-revalidate",
            "Pragma": "no-cache",
        }
        return Reply(200, content=b"OK", content_type="text/plain; charset=utf-8", headers=headers)

    async def version(self, request: Request) -> Document:
        return documents.version()

    async def info(self, request: Request) -> Document:
        count = len(await asyncio.to_thread(self.containers.images.all))
        return documents.info(self.containers, count, self.engine_id, self.bus.listeners)

    async def auth(self, request: Request) -> Document:
        return {"Status": "Login Succeeded", "IdentityToken": ""}

    async def events(self, request: Request) -> None:
        now = time.time_ns()
        filters = request.filters(events.FILTERS)
        since, until = (events.parse_time(request.text(key), now) for key in ("since", "until"))
        await request.begin()
        async for event in self.bus.listen(filters, since, until):
            await request.send_json(event)

    async def disk_usage(self, request: Request) -> Document:
        images = await asyncio.to_thread(self.containers.images.all)
        return await asyncio.to_thread(documents.disk_usage, self.containers, images)

    # containers

    async def list_containers(self, request: Request) -> list[Document]:
        filters = request.filters(documents.FILTERS)
        limit = request.integer("limit", 0) or 0
        return documents.listing(self.containers, filters, all=request.flag("all"), limit=max(limit, 0), size=request.flag("size"))

    async def create(self, request: Request) -> Reply:
        container = self.containers.create(request.text("name"), await request.json())
        return Reply(201, {"Id": container.id, "Warnings": container.warnings})

    async def inspect(self, request: Request) -> Document:
        return documents.inspect(self.containers, self.one(request), size=request.flag("size"))

    async def start(self, request: Request) -> Reply:
        return Reply(204 if await self.containers.start(self.one(request)) else 304)

    async def stop(self, request: Request) -> Reply:
        return Reply(204 if await self.containers.stop(self.one(request), request.integer("t"), request.text("signal")) else 304)

    async def restart(self, request: Request) -> None:
        await self.containers.restart(self.one(request), request.integer("t"), request.text("signal"))

    async def kill(self, request: Request) -> None:
        await self.containers.kill(self.one(request), request.text("signal"))

    async def pause(self, request: Request) -> None:
        await self.containers.pause(self.one(request))

    async def unpause(self, request: Request) -> None:
        await self.containers.unpause(self.one(request))

    async def rename(self, request: Request) -> None:
        self.containers.rename(self.one(request), request.text("name"))

    async def update(self, request: Request) -> Document:
        return {"Warnings": self.containers.update(self.one(request), await request.json()) or None}

    async def remove(self, request: Request) -> None:
        await self.containers.remove(self.one(request), force=request.flag("force"), volumes=request.flag("v"))

    async def wait(self, request: Request) -> None:
        condition = request.text("condition") or "not-running"
        if condition not in ("not-running", "next-exit", "removed"):
            raise EngineError(f"invalid condition: {condition!r}", http_status=400)
        future = self.containers.waiter(self.one(request), condition)
        await request.body.read(1 << 20)
        await request.begin()
        try:
            await request.send_json({"StatusCode": await future})
        finally:
            future.cancel()

    async def prune_containers(self, request: Request) -> Document:
        filters = {**request.filters(frozenset(("label", "label!", "until"))), "status": ["created", "exited", "dead"]}
        until = filters.pop("until", [])
        gone = []
        for found in documents.listing(self.containers, filters, all=True, limit=0, size=False):
            if until and found["Created"] * 10**9 > (events.parse_time(until[0], time.time_ns()) or 0):
                continue
            with contextlib.suppress(EngineError):
                await self.containers.remove(self.containers.find(found["Id"]))
                gone.append(found["Id"])
        return {"ContainersDeleted": gone or None, "SpaceReclaimed": 0}

    async def logs(self, request: Request) -> None:
        container = self.one(request)
        if not request.flag("stdout") and not request.flag("stderr"):
            raise EngineError("Bad parameters: you must choose at least one stream", http_status=400)
        if container.host_config["LogConfig"]["Type"] == "none":
            raise EngineError("configured logging driver does not support reading", http_status=501)
        now = time.time_ns()
        tail = request.text("tail")
        wish = logs.Wish(
            int(tail) if tail.isdigit() else None,
            events.parse_time(request.text("since"), now) or None,
            events.parse_time(request.text("until"), now) or None,
            request.flag("stdout"),
            request.flag("stderr"),
            request.flag("timestamps"),
            request.flag("follow"),
        )
        plain = container.tty
        await request.begin(RAW if plain or request.version < (1, 42) else MULTIPLEXED)
        live = self.containers.live(container.id)
        if not container.running:
            live.ended.set()
        async for line in logs.read(self.containers.preparation.log_path(container.id), wish, lambda: container.running, live.ended):
            data = wish.render(line)
            await request.send(data if plain else frame(line.stream, data))

    async def attach(self, request: Request) -> None:
        container = self.one(request)
        stdin, output = request.flag("stdin"), request.flag("stdout") or request.flag("stderr")
        content_type = RAW if container.tty or request.version < (1, 42) else MULTIPLEXED
        wants = {"stdout": request.flag("stdout"), "stderr": request.flag("stderr")}
        ready = asyncio.ensure_future(self.containers.attach(container, stdin=stdin and container.config["OpenStdin"]))
        duplex = await request.hijack(content_type)
        self.containers.emit(container, "attach")
        gone = asyncio.ensure_future(_until_gone(duplex))
        try:
            if request.flag("logs"):
                path = self.containers.preparation.log_path(container.id)
                async for line in logs.read(path, logs.Wish(), lambda: False, asyncio.Event()):
                    await duplex.send(line.data if container.tty else frame(line.stream, line.data))
            if not request.flag("stream"):
                return
            await asyncio.wait({ready, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done() or ready.cancelled():
                return
            attachment = ready.result()
            try:
                await self._join(container, duplex, attachment, stdin, output, wants)
            finally:
                attachment.close()
        finally:
            ready.cancel()
            gone.cancel()

    async def _join(
        self, container: Container, duplex: Duplex, attachment: Attachment, stdin: bool, output: bool, wants: dict[str, bool]
    ) -> None:
        async def feed() -> None:
            with contextlib.suppress(OSError):
                while data := await duplex.receive():
                    if stdin:
                        await attachment.write(data)
                if stdin and not container.tty:
                    await attachment.close_stdin()

        feeding = asyncio.ensure_future(feed())
        try:
            while (piece := await attachment.read()) is not None:
                stream, data = piece
                if output and wants[stream]:
                    await duplex.send(data if container.tty else frame(STDOUT if stream == "stdout" else STDERR, data))
        finally:
            feeding.cancel()

    async def resize(self, request: Request) -> None:
        rows, columns = request.integer("h", 0) or 0, request.integer("w", 0) or 0
        container = self.one(request)
        if not container.running:
            raise EngineError(f"container {container.id} is not running", http_status=409)
        await self.containers.runtime.resize(container.id, rows, columns)

    async def top(self, request: Request) -> Document:
        return usage.top(self.containers, self.one(request), request.text("ps_args", "-ef"))

    async def stats(self, request: Request) -> None:
        container = self.one(request)
        await request.begin()
        found, sample = usage.stats(self.containers, container, None)
        if request.flag("one-shot"):
            await request.send_json(found)
            return
        while True:
            if request.flag("stream", True):
                await request.send_json(found)
            await asyncio.sleep(1)
            if container.id not in self.containers.all:
                return
            found, sample = usage.stats(self.containers, container, sample)
            if not request.flag("stream", True):
                await request.send_json(found)
                return

    async def changes(self, request: Request) -> Any:
        container = self.one(request)
        upper = str(self.containers.preparation.path(container.id) / "diff")
        return await asyncio.to_thread(differences.changes, upper, container.layers) or Reply(200, None)

    async def commit(self, request: Request) -> Reply:
        from compose_lite.engine import commits  # the Dockerfile language is for commits and builds alone

        container = self.containers.find(request.text("container"))
        given = await request.json()
        config = commits.configured({**container.config, **{k: v for k, v in given.items() if v}}, request.query.get("changes", []))
        paused = request.flag("pause", True) and container.state is State.RUNNING
        if paused:
            await self.containers.pause(container)
        try:
            image = await self.images.commit(request, container, self.containers.preparation.path(container.id) / "diff", config)
        finally:
            if paused:
                await self.containers.unpause(container)
        self.containers.emit(container, "commit", comment=request.text("comment"), imageID=image.id)
        return Reply(201, {"Id": image.id})

    # archives

    def _root(self, container: Container) -> Any:
        folder = self.containers.preparation.path(container.id)
        return archive.root_of(container, str(folder / "diff"), str(folder / "work"), self.containers.preparation.rootless)

    async def archive(self, request: Request) -> Any:
        container, path = self.one(request), request.text("path")
        if not path:
            raise EngineError("missing required parameter: path", http_status=400)

        def look() -> Document:
            with self._root(container) as root:
                return archive.describe(container, root, path)

        found = await asyncio.to_thread(look)
        headers = {"X-Docker-Container-Path-Stat": base64.b64encode(pydantic_core.to_json(found)).decode()}
        if request.method == "HEAD":
            return Reply(200, content=b"", headers=headers)

        def pack(out: IO[bytes]) -> None:
            with self._root(container) as root:
                archive.pack(container, root, path, out)

        await request.begin("application/x-tar", headers=headers)
        await _stream_from_thread(request, pack)
        return None

    async def put_archive(self, request: Request) -> Reply:
        container, path = self.one(request), request.text("path")
        wish = str(container.config.get("User") or "")
        owner = None
        if request.flag("copyUIDGID") and wish:  # Docker's meaning of the flag: all is given to the container's user
            user = await asyncio.to_thread(self.containers.preparation.user, container, wish, False)
            owner = (user.uid, user.gid)

        def unpack(source: IO[bytes]) -> None:
            with self._root(container) as root:
                archive.unpack(container, root, path, source, no_overwrite=request.flag("noOverwriteDirNonDir"), owner=owner)

        await _feed_to_thread(request, unpack)
        return Reply(200, content=b"")

    async def export(self, request: Request) -> None:
        container = self.one(request)

        def pack(out: IO[bytes]) -> None:
            with self._root(container) as root:
                archive.export(container, root, out)

        await request.begin("application/octet-stream")
        await _stream_from_thread(request, pack)

    # execs

    async def exec_create(self, request: Request) -> Reply:
        return Reply(201, {"Id": self.execs.create(self.one(request), await request.json())})

    async def exec_inspect(self, request: Request) -> Document:
        return self.execs.document(self.execs.find(request.params["id"]))

    async def exec_resize(self, request: Request) -> None:
        one = self.execs.find(request.params["id"])
        self.execs.resize(one, request.integer("h", 0) or 0, request.integer("w", 0) or 0)

    async def exec_start(self, request: Request) -> Any:
        one = self.execs.find(request.params["id"])
        body = await request.json()
        size = body.get("ConsoleSize")
        console = (int(size[0]), int(size[1])) if size and size[0] else None
        if body.get("Detach"):
            (await self.execs.start(one, stdin=False, output=False, console=console)).close()
            return Reply(200, content=b"")
        tty = bool(one.body.get("Tty"))
        stdin = bool(one.body.get("AttachStdin"))
        self.execs.check(one)
        # First the head, then the start, as with Docker: some clients lose what comes together with the head.
        duplex = await request.hijack(RAW if tty or request.version < (1, 42) else MULTIPLEXED)
        try:
            pipes = await self.execs.start(one, stdin=stdin, output=True, console=console)
        except EngineError as error:
            said = f"{error.says}\r\n".encode()
            await duplex.send(said if tty else frame(STDOUT, said))
            return None
        try:
            await self._run_exec(one, duplex, pipes, tty, stdin)
        finally:
            one.master = -1
            pipes.close()
        return None

    async def _run_exec(self, one: execs.Exec, duplex: Duplex, pipes: Pipes, tty: bool, stdin: bool) -> None:
        async def feed() -> None:
            with contextlib.suppress(OSError):
                while data := await duplex.receive():
                    target = pipes.master if tty else pipes.stdin
                    if stdin and target >= 0:
                        await write_all(target, data)
            pipes.close_stdin()

        def sender(stream: int) -> Callable[[bytes], Awaitable[None]]:
            return lambda data: duplex.send(data if tty else frame(stream, data))

        sources = [(pipes.master, STDOUT)] if tty else [(pipes.stdout, STDOUT), (pipes.stderr, STDERR)]
        feeding = asyncio.ensure_future(feed())
        reading = asyncio.gather(*(pump_out(fd, sender(stream)) for fd, stream in sources))
        try:
            ended = asyncio.ensure_future(one.ended.wait())
            waiting: set[asyncio.Future[Any]] = {ended, reading}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            # A child that holds the pipe does not keep the exec open; what was written before the end still comes.
            await asyncio.wait({reading}, timeout=None if not one.ended.is_set() else 0.2)
            if not one.ended.is_set():
                await ended
            ended.cancel()
        finally:
            feeding.cancel()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Gone):
                await reading

    async def prune_builds(self, request: Request) -> Document:
        return await self.builds.prune(everything=request.flag("all"))

    # networks

    async def list_networks(self, request: Request) -> list[Document]:
        return self.networks.listing(request.filters())

    async def inspect_network(self, request: Request) -> Document:
        return self.networks.inspect(request.params["id"])

    async def create_network(self, request: Request) -> Reply:
        return Reply(201, await self.networks.create(await request.json()))

    async def remove_network(self, request: Request) -> None:
        await self.networks.remove(request.params["id"])

    async def connect_network(self, request: Request) -> Reply:
        body = await request.json()
        container = self.containers.find(body.get("Container") or "")
        await self.containers.seats.join_network(request.params["id"], container, body.get("EndpointConfig"))
        self.containers.store.put_container(container)
        return Reply(200, content=b"")

    async def disconnect_network(self, request: Request) -> Reply:
        body = await request.json()
        container = self.containers.find(body.get("Container") or "")
        await self.containers.seats.leave_network(request.params["id"], container)
        self.containers.store.put_container(container)
        return Reply(200, content=b"")

    async def prune_networks(self, request: Request) -> Document:
        return await self.networks.prune(request.filters())

    # volumes

    async def list_volumes(self, request: Request) -> Document:
        return self.volumes.listing(request.filters(volume_rules.FILTERS))

    async def inspect_volume(self, request: Request) -> Document:
        return self.volumes.find(request.params["id"])

    async def create_volume(self, request: Request) -> Reply:
        return Reply(201, self.volumes.create(await request.json()))

    async def remove_volume(self, request: Request) -> None:
        self.volumes.remove(request.params["id"], force=request.flag("force"))

    async def prune_volumes(self, request: Request) -> Document:
        return self.volumes.prune(request.filters(volume_rules.FILTERS))

    # what Docker has no call for

    async def release_ports(self, request: Request) -> Document:
        """What the owner reserved and did not use."""
        body = await request.json()
        self.containers.seats.publisher.release(str(body.get("Owner") or ""))
        return {}

    async def reserve_ports(self, request: Request) -> Document:
        body = await request.json()
        await self.containers.seats.reserve(str(body.get("Owner") or ""), body.get("PortBindings") or {})
        return {}


async def _until_gone(duplex: Duplex) -> None:
    while not duplex.gone:
        await asyncio.sleep(0.05)


async def _stream_from_thread(request: Request, produce: Callable[[IO[bytes]], None]) -> None:
    """Runs a blocking writer in a thread and sends what it writes."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def work() -> None:
        with open(writing, "wb") as out, contextlib.suppress(BrokenPipeError):
            produce(out)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await pump_out(reading, request.send)
    finally:
        os.close(reading)
        await task


async def _feed_to_thread(request: Request, consume: Callable[[IO[bytes]], None]) -> None:
    """Runs a blocking reader of the request's body in a thread."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def work() -> None:
        with open(reading, "rb") as source:
            consume(source)
            while source.read(1 << 18):
                pass

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        with contextlib.suppress(BrokenPipeError):
            async for part in request.body:
                await write_all(writing, part)
    finally:
        os.close(writing)
        await task


def _image(name: str) -> Handler:
    async def handle(routes: Routes, request: Request) -> Any:
        call = getattr(routes.images, name, None)
        if call is None:
            raise EngineError(f"this engine cannot {name} images", http_status=501)
        return await call(request)

    return handle


async def _build(routes: Routes, request: Request) -> None:
    await routes.builds.classic(request)


async def _build_ours(routes: Routes, request: Request) -> None:
    await routes.builds.ours(request)


async def _no_plugins(routes: Routes, request: Request) -> list[Document]:
    return []


TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/_ping", Routes.ping),
    ("GET", "/version", Routes.version),
    ("GET", "/info", Routes.info),
    ("GET", "/events", Routes.events),
    ("POST", "/auth", Routes.auth),
    ("GET", "/system/df", Routes.disk_usage),
    ("GET", "/plugins", _no_plugins),
    ("GET", "/containers/json", Routes.list_containers),
    ("POST", "/containers/create", Routes.create),
    ("POST", "/containers/prune", Routes.prune_containers),
    ("GET", "/containers/{id}/json", Routes.inspect),
    ("POST", "/containers/{id}/start", Routes.start),
    ("POST", "/containers/{id}/stop", Routes.stop),
    ("POST", "/containers/{id}/restart", Routes.restart),
    ("POST", "/containers/{id}/kill", Routes.kill),
    ("POST", "/containers/{id}/pause", Routes.pause),
    ("POST", "/containers/{id}/unpause", Routes.unpause),
    ("POST", "/containers/{id}/rename", Routes.rename),
    ("POST", "/containers/{id}/update", Routes.update),
    ("POST", "/containers/{id}/wait", Routes.wait),
    ("GET", "/containers/{id}/logs", Routes.logs),
    ("POST", "/containers/{id}/attach", Routes.attach),
    ("POST", "/containers/{id}/resize", Routes.resize),
    ("GET", "/containers/{id}/top", Routes.top),
    ("GET", "/containers/{id}/stats", Routes.stats),
    ("GET", "/containers/{id}/changes", Routes.changes),
    ("GET", "/containers/{id}/export", Routes.export),
    ("GET", "/containers/{id}/archive", Routes.archive),
    ("PUT", "/containers/{id}/archive", Routes.put_archive),
    ("POST", "/containers/{id}/exec", Routes.exec_create),
    ("DELETE", "/containers/{id}", Routes.remove),
    ("POST", "/commit", Routes.commit),
    ("POST", "/exec/{id}/start", Routes.exec_start),
    ("POST", "/exec/{id}/resize", Routes.exec_resize),
    ("GET", "/exec/{id}/json", Routes.exec_inspect),
    ("GET", "/images/json", _image("list")),
    ("GET", "/images/search", _image("search")),
    ("POST", "/images/create", _image("pull")),
    ("POST", "/images/load", _image("load")),
    ("POST", "/images/prune", _image("prune")),
    ("GET", "/images/get", _image("save")),
    ("GET", "/images/{name+}/get", _image("save")),
    ("GET", "/images/{name+}/json", _image("inspect")),
    ("GET", "/images/{name+}/history", _image("history")),
    ("POST", "/images/{name+}/tag", _image("tag")),
    ("POST", "/images/{name+}/push", _image("push")),
    ("DELETE", "/images/{name+}", _image("remove")),
    ("POST", "/build", _build),
    ("POST", "/build/prune", Routes.prune_builds),
    ("POST", "/compose-lite/v1/build", _build_ours),
    ("GET", "/networks", Routes.list_networks),
    ("POST", "/networks/create", Routes.create_network),
    ("POST", "/networks/prune", Routes.prune_networks),
    ("GET", "/networks/{id}", Routes.inspect_network),
    ("DELETE", "/networks/{id}", Routes.remove_network),
    ("POST", "/networks/{id}/connect", Routes.connect_network),
    ("POST", "/networks/{id}/disconnect", Routes.disconnect_network),
    ("GET", "/volumes", Routes.list_volumes),
    ("POST", "/volumes/create", Routes.create_volume),
    ("POST", "/volumes/prune", Routes.prune_volumes),
    ("GET", "/volumes/{id}", Routes.inspect_volume),
    ("DELETE", "/volumes/{id}", Routes.remove_volume),
    ("POST", "/compose-lite/v1/ports/reserve", Routes.reserve_ports),
    ("POST", "/compose-lite/v1/ports/release", Routes.release_ports),
)


def _pattern(path: str) -> re.Pattern[str]:
    text = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", path)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", text) + "/?")


_BY_FIRST: dict[str, list[tuple[str, re.Pattern[str], Handler]]] = {}
for _method, _path, _handler in TABLE:
    _BY_FIRST.setdefault(_path.split("/")[1], []).append((_method, _pattern(_path), _handler))
