"""The process of one build, in a mount namespace of its own and with its own line to the zygote; and the nursery that forks it.

It does all that takes time or memory (hashing, copying, packing), so the engine's loop never waits for it, and it can be
killed at any moment: its mounts go with it, its RUN's containers are removed by the engine, its scratch folder by the store.
It must never touch a container that is not its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compose_lite.build import request as requests
from compose_lite.build import views
from compose_lite.build.execute import Build
from compose_lite.build.fetch import GitPlace
from compose_lite.build.host import RunStep, StepFailed
from compose_lite.engine import users
from compose_lite.engine.buildchannel import MOST, Channel
from compose_lite.errors import BuildError, EngineError, Error
from compose_lite.ids import new_id
from compose_lite.image.store import ImageStore
from compose_lite.linux import namespaces, unix
from compose_lite.linux.syscall import prctl
from compose_lite.runtime.answers import ExitNotice, StartFailed
from compose_lite.runtime.client import Runtime
from compose_lite.runtime.config import Launch, Log, Overlay

Document = dict[str, Any]
_PIECE = 16_000


def main(fds: Sequence[int], args: Sequence[str]) -> int:
    """The nursery: has imported everything and forks a process for each build it is sent; ends with its line to the engine.

    fds: the line. args: sys.path as JSON. A message has the folders, and beside it the build's line to the engine, its line to the
    zygote and the request.
    """
    sys.path[:] = json.loads(args[0])
    _name(b"cl-builder")
    os.umask(0o022)
    line = socket.socket(fileno=fds[0])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: they say themselves how it went
    gc.collect()
    gc.freeze()
    while True:
        data, given = unix.receive(line)
        if not data:
            return 0
        if os.fork() == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _one_build(given, json.loads(data))
            return 0
        for fd in given:
            os.close(fd)


def _one_build(fds: Sequence[int], message: Document) -> None:
    _name(b"cl-build")
    views.isolate()
    with open(fds[2], "rb") as file:
        file.seek(0)
        document = json.loads(file.read())
    line, zygote = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    asyncio.run(_work(line, zygote, document, Path(message["run"]), Path(message["data"])))


def _name(text: bytes) -> None:
    prctl(15, ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0)


async def _work(line: socket.socket, zygote: socket.socket, document: Document, run: Path, data: Path) -> None:
    channel = Channel(line)
    runtime = Runtime(zygote, run / "exits.sock")
    host = _Host(channel, runtime, run, document["templates"])
    runtime.on_exit = host.heard_exit
    building = asyncio.ensure_future(_build(channel, host, document["request"], data))
    listening = asyncio.ensure_future(_listen(channel))
    await asyncio.wait({building, listening}, return_when=asyncio.FIRST_COMPLETED)
    if not building.done():
        building.cancel()  # nobody wants it any more
    with contextlib.suppress(asyncio.CancelledError):
        await building
    listening.cancel()
    await channel.room()
    runtime.close()
    channel.close()


async def _listen(channel: Channel) -> None:
    """What the engine says unasked: how far a pull is. Ends with the line."""
    while (found := await channel.receive()) is not None:
        message, _ = found
        if "pulling" in message:
            channel.send({"tell": {"step": message["step"], "log": message["pulling"] + "\n"}})


async def _build(channel: Channel, host: _Host, document: Document, data: Path) -> None:
    store = ImageStore(data)
    with store.scratch() as scratch:
        build: Build | None = None
        try:
            build = Build(requests.parse(document), store, host, scratch)
            image = await build.make()
        except asyncio.CancelledError:
            raise
        except BuildError as error:
            channel.send({"failed": _failure(error, build.excerpt(error) if build else "")})
        except (Error, OSError) as error:
            says = error.says if isinstance(error, Error) else f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
            channel.send({"failed": {"says": says, "code": getattr(error, "code", "build")}})
        except Exception as error:
            sys.excepthook(*sys.exc_info())
            channel.send({"failed": {"says": f"internal error: {type(error).__name__}: {error}", "code": "build"}})
        else:
            channel.send({"built": image})


def _failure(error: BuildError, excerpt: str) -> Document:
    found: Document = {"says": error.says, "code": error.code, "remedy": error.remedy or "", "excerpt": excerpt[: MOST // 4]}
    if isinstance(error, StepFailed):
        output = list(error.output)
        while output and sum(map(len, output)) > MOST // 8:
            output.pop(0)
        found |= {"step": error.title, "output": output, "exit": error.exit}
    return found


class _Host:
    """What a build asks of the outside: progress and images from the engine, containers from the zygote."""

    def __init__(self, channel: Channel, runtime: Runtime, run: Path, templates: Mapping[str, Document]) -> None:
        self._channel, self._runtime, self._run, self._templates = channel, runtime, run, templates
        self._ends: dict[str, asyncio.Future[ExitNotice]] = {}
        self._netns: asyncio.Task[int] | None = None
        self._usersns = -1
        self._rootless = Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    def heard_exit(self, notice: ExitNotice) -> None:
        future = self._ends.get(notice.id)
        if future is not None and not future.done():
            future.set_result(notice)

    def tell(self, event: Document) -> None:
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self._channel.send, {"tell": event})
        else:
            self._channel.send({"tell": event})

    async def pull(self, name: str, platform: str, step: str) -> None:
        answer, _ = await self._channel.ask({"ask": "pull", "name": name, "platform": platform, "step": step})
        if "error" in answer:
            raise BuildError(answer["error"]["code"], answer["error"]["says"])

    def account(self, lower: Sequence[str], text: str) -> tuple[int, int]:
        user = self._user(lower, text)
        return user.uid, user.gid

    def _user(self, lower: Sequence[str], text: str) -> users.User:
        tops = list(reversed(lower))
        passwd, group = (users.read_root_file(tops, f"etc/{name}").decode("utf-8", "replace") for name in ("passwd", "group"))
        try:
            return users.resolve(text, (), passwd, group)
        except EngineError as error:
            raise BuildError("build-user", error.says) from error

    def download(self, url: str, into: Path, checksum: str = "") -> Path:
        return Path(self._fetched({"ask": "download", "url": url, "into": str(into), "checksum": checksum}))

    def clone(self, place: GitPlace, into: Path, *, keep_git: bool = False) -> str:
        where = {"url": place.url, "ref": place.ref, "folder": place.folder}
        return self._fetched({"ask": "clone", **where, "into": str(into), "keep_git": keep_git})

    def _fetched(self, question: Document) -> str:
        answer, _ = asyncio.run_coroutine_threadsafe(self._channel.ask(question), self._loop).result()
        if "error" in answer:
            raise BuildError(answer["error"]["code"], answer["error"]["says"])
        return str(answer["found"])

    def private_file(self, content: bytes, mode: int, uid: int, gid: int) -> str:
        path = self._run / f"secret-{secrets.token_hex(8)}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
        return str(path)

    # RUN

    async def run(self, step: RunStep, output: Callable[[int, bytes], None]) -> int:
        id = new_id()
        config, fds = await self._config(step)
        launch = Launch(
            id, str(self._run / "c" / id), config,
            Overlay(list(step.lower), str(step.upper), str(step.work), userxattr=self._rootless, volatile=True), log=Log("none"),
        )  # fmt: skip
        end = self._ends[id] = self._loop.create_future()
        try:
            await self._runtime.create(launch, fds)
            attachment = await self._runtime.attach(id, stdin=False)
            try:
                await self._runtime.start(id)
                while (piece := await attachment.read()) is not None:
                    for at in range(0, len(piece[1]), _PIECE):
                        output(1 if piece[0] == "stdout" else 2, piece[1][at : at + _PIECE])
                    await self._channel.room()
            finally:
                attachment.close()
            return int((await end).status)
        except StartFailed as error:
            if error.exit_status in (126, 127):
                output(2, f"{error.says}\n".encode())
                return error.exit_status
            raise BuildError("build-step", f'process "{" ".join(step.operation.argv)}" cannot be started: {error.says}') from error
        finally:
            self._ends.pop(id, None)
            await asyncio.shield(self._runtime.delete(id))

    async def _config(self, step: RunStep) -> tuple[Document, dict[str, int]]:
        """The engine's template with what this step wants: process, mounts, network."""
        one = step.operation
        config = json.loads(json.dumps(self._templates["insecure" if one.insecure else "sandbox"]))
        user = self._user(step.lower, one.user)
        process = config["process"]
        process |= {"args": list(one.argv), "env": [entry for entry in step.env if entry != "HOME="], "cwd": one.cwd}
        process["user"] |= {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
        if user.uid:
            process["capabilities"] |= {"effective": [], "permitted": []}
        config["mounts"] = [*(m for m in config["mounts"] if m["destination"] != "/etc/hostname"), *step.mounts]
        fds = dict(step.fds)
        kinds = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "network"]
        if one.network == "none":
            kinds.append({"type": "network"})
        elif one.network != "host":
            kinds.append({"type": "network", "path": "fd:netns"})
            fds["netns"] = await self._network()
        config["linux"]["namespaces"] = kinds
        if any(entry.get("path") == "fd:users" for entry in kinds):  # remapped: what is mounted belongs to root inside
            fds["users"] = await self._users()
            own = {key: config["linux"][key] for key in ("uidMappings", "gidMappings")}
            config["mounts"] = [mount | own if mount["type"] == "bind" else mount for mount in config["mounts"]]
        return config, fds

    async def _users(self) -> int:
        """The user namespace of the build's containers, which owns its network."""
        if self._usersns < 0:
            self._usersns = namespaces.owner(await self._network())
        return self._usersns

    async def _network(self) -> int:
        """The build's network namespace on the default bridge, made by the engine when first wanted."""
        if self._netns is None:
            self._netns = asyncio.ensure_future(self._ask_network())
        return await asyncio.shield(self._netns)

    async def _ask_network(self) -> int:
        answer, fds = await self._channel.ask({"ask": "netns"})
        if "error" in answer:
            raise BuildError("build-network", answer["error"]["says"])
        return fds[0]
