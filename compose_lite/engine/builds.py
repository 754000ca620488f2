"""Builds as the engine's API has them: the request made whole, a process for it, its progress to the client.

POST /build is Docker's classic form (a tar, query arguments, `stream` lines); POST /compose-lite/v1/build is ours (a document,
paths of this machine, events). It must never do a build's work in the engine's own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from compose_lite import reference, rootless
from compose_lite.engine import creation, ociconfig
from compose_lite.engine.buildchannel import Channel
from compose_lite.engine.containers import Containers
from compose_lite.engine.images import Images
from compose_lite.engine.record import Container
from compose_lite.engine.server import Request
from compose_lite.engine.users import User
from compose_lite.errors import EngineError, Error, ImageError
from compose_lite.ids import new_id
from compose_lite.image import manifest
from compose_lite.linux import unix
from compose_lite.logins import Login, Logins
from compose_lite.runtime.client import Runtime

Document = dict[str, Any]
_NURSERY_SECONDS = 60.0
_STEP = re.compile(r"\[(?:[^\]]* )?(\d+/\d+)\] (.*)", re.DOTALL)


class Builds:
    def __init__(self, containers: Containers, images: Images) -> None:
        self._containers, self._images, self._nursery = containers, images, _Nursery(self._tidy)

    async def ours(self, request: Request) -> None:
        """POST /compose-lite/v1/build: events, then {"aux": {"ID": ...}} or {"errorDetail": ..., "error": ...}."""
        document = await request.json()
        await request.begin()
        async for event in self._events(document):
            if "failed" in event:
                failed = event["failed"]
                lacks = rootless.limits(self._containers.folders, ("ids", "uplink"))
                if failed.get("exit") and not failed.get("remedy") and lacks:
                    failed["remedy"] = f"Perhaps for this: {'; '.join(lacks)}."
                detail = {"code": failed.get("exit", 0), "message": failed["says"]}
                await request.send_json({"failed": failed, "errorDetail": detail, "error": failed["says"]})
            elif "built" in event:
                await request.send_json({"aux": {"ID": event["built"]}})
            else:
                await request.send_json(event)

    async def classic(self, request: Request) -> None:
        """POST /build: the context as the body, logins for base images in X-Registry-Config."""
        from compose_lite.image import auth

        document = _classic_document(request)
        with self._containers.images.scratch() as folder:
            path = folder / "context.tar"
            with path.open("wb") as spool:
                while piece := await request.body.read_some():
                    spool.write(piece)
            await request.begin()
            remote = request.text("remote")
            document |= {"context": remote} if remote else {"tar": str(path)}
            shown = _Classic(quiet=request.flag("q"))
            async for event in self._events(document, auth.decode_config(request.headers.get("x-registry-config", ""))):
                for row in shown.rows(event, document["tags"]):
                    await request.send_json(row)

    async def _tidy(self) -> None:
        await self.prune(everything=False)

    async def prune(self, *, everything: bool) -> Document:
        """POST /build/prune: forgets results of the cache that were not used lately (everything: all), with the layers nobody else has."""
        from compose_lite.build.solve import Cache  # the builder's rooms are the build process's, not the engine's

        store = self._containers.images

        def work() -> int:
            cache = Cache(store.data)
            gone = cache.clear() if everything else cache.prune()
            store.collect()
            return gone

        return {"CachesDeleted": [str(n) for n in range(await asyncio.to_thread(work))] or None, "SpaceReclaimed": 0}

    # One build

    async def _events(self, document: Document, logins: Mapping[str, Login] | None = None) -> AsyncIterator[Document]:
        """Everything the build tells. When the consumer goes away the process is told, and waited for."""
        build = _OneBuild(self._containers, self._nursery, document, logins or {})
        try:
            async for event in build.run():
                yield event
        finally:
            await asyncio.shield(build.close())


class _Nursery:
    """The process that has imported the builder and forks one for each build; kept for a while after the last one."""

    def __init__(self, afterwards: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """afterwards: what is to be done when no build has come for a while."""
        self._line: socket.socket | None = None
        self._lock, self._afterwards = asyncio.Lock(), afterwards
        self._farewell: asyncio.TimerHandle | None = None

    async def hatch(self, runtime: Runtime, folders: Document, fds: list[int]) -> None:
        message = json.dumps(folders).encode()
        async with self._lock:
            if self._farewell:
                self._farewell.cancel()
            try:
                if self._line is None:
                    raise BrokenPipeError
                unix.send(self._line, message, fds)
            except OSError:
                self._close()
                self._line = await self._begin(runtime)
                unix.send(self._line, message, fds)
            self._farewell = asyncio.get_running_loop().call_later(_NURSERY_SECONDS, self._leave)

    @staticmethod
    async def _begin(runtime: Runtime) -> socket.socket:
        ours, theirs = (socket.socket(fileno=s.detach()) for s in unix.socketpair())
        try:
            await runtime.spawn("compose_lite.engine.buildworker", [theirs.fileno()], [json.dumps(sys.path)])
        finally:
            theirs.close()
        return ours

    def _leave(self) -> None:
        self._close()
        self._tidying = asyncio.ensure_future(self._afterwards())

    def _close(self) -> None:
        """The process ends with its line; builds that it has forked go on."""
        if self._line is not None:
            self._line.close()
            self._line = None


class _OneBuild:
    def __init__(self, containers: Containers, nursery: _Nursery, document: Document, logins: Mapping[str, Login]) -> None:
        """logins: by domain, for base images; they stay in this process."""
        self._containers, self._nursery, self._document, self._logins = containers, nursery, document, logins
        self.id = new_id()
        self._folder = containers.folders.run / "b" / self.id[:16]
        self._record: Container | None = None
        self._channel: Channel | None = None
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> AsyncIterator[Document]:
        self._folder.mkdir(parents=True, mode=0o711)
        templates = self._templates()
        memfd = os.memfd_create("build", os.MFD_CLOEXEC)
        runtime = self._containers.runtime
        ours, theirs = (socket.socket(fileno=s.detach()) for s in unix.socketpair())
        line, zygote = (socket.socket(fileno=s.detach()) for s in unix.socketpair())
        try:
            with open(memfd, "wb", closefd=False) as file:
                file.write(json.dumps({"request": self._document, "templates": templates}).encode())
            await runtime.connect(zygote)
            folders = {"run": str(self._folder), "data": str(self._containers.folders.data)}
            self._channel = Channel(ours)
            await self._nursery.hatch(runtime, folders, [theirs.fileno(), line.fileno(), memfd])
        finally:
            os.close(memfd)
            for sock in (theirs, line, zygote):
                sock.close()
        while (found := await self._channel.receive()) is not None:
            message, fds = found
            for fd in fds:
                os.close(fd)
            if "tell" in message:
                yield message["tell"]
            elif "ask" in message:
                self._job(self._answer(message))
            elif "built" in message:
                self._tell_built(message["built"])
                yield message
                return
            else:
                yield message
                return
        yield {"failed": {"says": "the build's process was killed", "code": "build"}}

    def _tell_built(self, image: str) -> None:
        if image:
            for tag in self._document.get("tags") or ():
                with contextlib.suppress(ImageError):
                    name = reference.parse(tag).with_default_tag().familiar
                    self._containers.bus.publish("image", "tag", image, {"name": name})

    def _job(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """Ends what is left of it: the process by the end of its line, its containers, its network."""
        for task in list(self._jobs):
            task.cancel()
        if self._channel is not None:
            await self._drained(self._channel)
            self._channel.close()
        for bundle in (self._folder / "c").glob("*"):
            with contextlib.suppress(Error, OSError):
                await self._containers.runtime.delete(bundle.name, bundle)
        if self._record is not None:
            with contextlib.suppress(Error, OSError):
                await self._containers.seats.disconnect(self._record, keep_sandbox=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    async def _drained(channel: Channel) -> None:
        """Tells the process that nobody listens any more and waits until it is gone."""
        channel.half_close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while await channel.receive() is not None:
                    pass

    # What it asks for

    async def _answer(self, message: Document) -> None:
        assert self._channel is not None
        number = message["n"]
        try:
            if message["ask"] == "netns":
                self._channel.send({"re": number}, [await self._network()])
            elif message["ask"] == "pull":
                await self._pull(message["name"], message["platform"], message["step"])
                self._channel.send({"re": number})
            else:
                self._channel.send({"re": number, "found": await asyncio.to_thread(self._fetch, message)})
        except Exception as error:  # whatever it is: the process waits for an answer
            if not isinstance(error, Error | OSError):
                traceback.print_exception(error, file=sys.stderr)
            says = error.says if isinstance(error, Error) else f"{type(error).__name__}: {error}"
            self._channel.send({"re": number, "error": {"says": says, "code": getattr(error, "code", "build")}})

    def _fetch(self, message: Document) -> str:
        """Here, since the build's process may stand in a network of its own."""
        from compose_lite.build import fetch

        into, proxies = Path(message["into"]), fetch.proxies(self._document.get("args") or {})
        if message["ask"] == "download":
            return str(fetch.download(message["url"], into, message["checksum"], proxies))
        place = fetch.GitPlace(message["url"], message["ref"], message["folder"])
        return fetch.clone(place, into, keep_git=bool(message["keep_git"]), proxies=proxies)

    async def _pull(self, name: str, platform: str, step: str) -> None:
        from compose_lite.image import registry  # urllib3 and TLS are for pulling only

        channel, loop = self._channel, asyncio.get_running_loop()

        def told(layer: str, status: str, done: int, total: int) -> None:
            if channel and status != "Downloading":
                loop.call_soon_threadsafe(channel.send, {"pulling": f"{layer}: {status}", "step": step})

        ref, wanted = reference.parse(name).with_default_tag(), manifest.parse_platform(platform)
        folder = self._document.get("docker_config")  # the command's, which need not be the engine's
        login = await asyncio.to_thread(Logins({**os.environ, "DOCKER_CONFIG": folder}).of, ref.domain) if folder else None
        login = self._logins.get(ref.domain) or login
        await asyncio.to_thread(registry.pull, self._containers.images, ref, platform=wanted, login=login, progress=told)

    async def _network(self) -> int:
        record = self._network_record()
        seats = self._containers.seats
        sandbox = await seats.sandbox(record)
        assert sandbox is not None
        self._record = record
        await seats.connect(record)
        return sandbox.netns

    def _network_record(self) -> Container:
        host = self._host_config({"NetworkMode": "bridge"})
        return Container(self.id, f"build-{self.id[:12]}", time.time_ns(), "", "", {"Hostname": "buildkitsandbox", "Labels": {}}, host, {})

    # What a RUN's container is

    def _host_config(self, wishes: Document) -> Document:
        return creation.host_config_of({"HostConfig": wishes}, self._containers.preparation.cgroup_version)[0]

    def _templates(self) -> dict[str, Document]:
        """OCI configs, a usual and a privileged one, with the engine's defaults and what the build may choose."""
        made = {}
        for name, privileged in (("sandbox", False), ("insecure", True)):
            host = self._host_config({**_host_wishes(self._document), "Privileged": privileged})
            record = self._network_record()
            record.host_config = host
            record.config |= {"Cmd": ["/"], "Entrypoint": None, "Env": [], "WorkingDir": "/", "Tty": False}
            around = ociconfig.Surroundings(
                User(0, 0, (0,)), str(self._folder), self._containers.preparation.held,
                self._containers.preparation.machine, self._containers.preparation.cgroup_version,
                network=True, rootless=self._containers.preparation.rootless,
                remap=None if privileged else self._containers.preparation.remap,
            )  # fmt: skip
            made[name], _ = ociconfig.oci_config(record, around)
            if not privileged:
                self._write_files(record)
        return made

    def _write_files(self, record: Container) -> None:
        seats = self._containers.seats
        hosts = seats.hosts(record).replace("\tlocalhost\n", f"\tlocalhost {record.hostname}\n", 1)
        for name, text in (("hosts", hosts), ("resolv.conf", seats.resolv_conf(record))):
            (self._folder / name).write_text(text)


def _host_wishes(document: Mapping[str, Any]) -> Document:
    ulimits = [{"Name": name, "Soft": pair[0], "Hard": pair[1]} for name, pair in (document.get("ulimits") or {}).items()]
    found: Document = {"NetworkMode": "bridge", "ExtraHosts": list(document.get("extra_hosts") or ()) or None, "Ulimits": ulimits}
    if document.get("shm_size"):
        found["ShmSize"] = int(document["shm_size"])
    return found


def _classic_document(request: Request) -> Document:
    """The query of POST /build as our document."""

    def mapping(name: str) -> Document:
        text = request.text(name)
        try:
            value = json.loads(text) if text else {}
        except ValueError as error:
            raise EngineError(f"invalid {name}: {error}", http_status=400) from None
        return value if isinstance(value, dict) else {}

    if request.text("version") == "2":
        raise EngineError("compose-lite has no BuildKit session: set DOCKER_BUILDKIT=0 to build on this engine", http_status=501)
    limits = json.loads(request.text("ulimits") or "[]") or []
    return {
        "dockerfile": request.text("dockerfile") or "Dockerfile",
        "args": mapping("buildargs"),
        "labels": mapping("labels"),
        "target": request.text("target"),
        "tags": [tag for tag in request.query.get("t", []) if tag],
        "no_cache": request.flag("nocache"),
        "pull": request.flag("pull"),
        "network": request.text("networkmode"),
        "extra_hosts": request.text("extrahosts").split(",") if request.text("extrahosts") else [],
        "shm_size": request.integer("shmsize", 0),
        "ulimits": {limit["Name"]: [limit["Soft"], limit["Hard"]] for limit in limits},
        "platforms": [request.text("platform")] if request.text("platform") else [],
    }


class _Classic:
    """Events as the lines that Docker's classic builder sends."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._image = quiet, ""
        self._titles: dict[str, str] = {}

    def rows(self, event: Document, tags: list[str]) -> list[Document]:
        if "failed" in event:
            failed = event["failed"]
            text = failed["says"]
            return [*([{"stream": failed["excerpt"] + "\n"}] if failed.get("excerpt") else []),
                    {"errorDetail": {"code": failed.get("exit", 0), "message": text}, "error": text}]  # fmt: skip
        if "built" in event:
            image = event["built"]
            if self._quiet:
                return [{"stream": image + "\n"}, {"aux": {"ID": image}}]
            named = [{"stream": f"Successfully tagged {reference.parse(tag).with_default_tag().familiar}\n"} for tag in tags]
            return [{"aux": {"ID": image}}, {"stream": f"Successfully built {image.removeprefix('sha256:')[:12]}\n"}, *named]
        if self._quiet:
            return []
        if "log" in event:
            return [{"stream": event["log"]}] if event["step"] != "export" else []
        if event.get("state") in ("started", "cached") and event["step"] not in self._titles:
            self._titles[event["step"]] = event["title"]
            if event["title"].startswith("[internal]") or event["step"] == "export":
                return []
            found = _STEP.fullmatch(event["title"])
            shown = f"Step {found[1]} : {found[2]}" if found else event["title"]
            return [{"stream": f"{shown}\n"}, *([{"stream": " ---> Using cache\n"}] if event["state"] == "cached" else [])]
        if "warning" in event:
            return [{"stream": f"[Warning] {event['warning']}\n"}]
        return []
