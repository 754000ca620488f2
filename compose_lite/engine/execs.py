"""Execs: one more process in a running container; what healthchecks probe with. Kept in memory only.

It must never outlive its container's record here: a removed container's execs are forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from compose_lite.api.http import frame
from compose_lite.engine import links, ociconfig
from compose_lite.engine.containers import Containers
from compose_lite.engine.health import Check
from compose_lite.engine.lifecycle import Event
from compose_lite.engine.record import Container
from compose_lite.errors import EngineError
from compose_lite.ids import new_id
from compose_lite.runtime.answers import ExitNotice, StartFailed
from compose_lite.units import format_duration

Document = dict[str, Any]
_KEEP_FOR = 300.0
NOT_STARTED = 126  # the exit status of what could not be started, unless a shell would say 127
_OCI = "OCI runtime exec failed: exec failed: unable to start container process: "


@dataclass(slots=True)
class Exec:
    id: str
    container: Container
    body: Document
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    master: int = -1  # a terminal's own end
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Execs:
    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._known: dict[str, Exec] = {}
        self._early: dict[str, ExitNotice] = {}
        containers.probe = self.probe

    def find(self, id: str) -> Exec:
        if id not in self._known:
            raise EngineError(f"No such exec instance: {id}", http_status=404)
        return self._known[id]

    def create(self, container: Container, body: Document) -> str:
        container.after(Event.EXEC)
        if not body.get("Cmd"):
            raise EngineError("no exec command specified", http_status=400)
        made = Exec(new_id(), container, body)
        self._known[made.id] = made
        self._containers.live(container.id).execs.add(made.id)
        self._tell("create", made)
        return made.id

    def document(self, one: Exec) -> Document:
        argv = one.body["Cmd"]
        return {
            "ID": one.id,
            "Running": one.running,
            "ExitCode": one.exit_code,
            "ProcessConfig": {
                "tty": bool(one.body.get("Tty")),
                "entrypoint": argv[0],
                "arguments": argv[1:],
                "privileged": bool(one.body.get("Privileged")),
                **({"user": one.body["User"]} if one.body.get("User") else {}),
            },
            "OpenStdin": bool(one.body.get("AttachStdin")),
            "OpenStderr": bool(one.body.get("AttachStderr")),
            "OpenStdout": bool(one.body.get("AttachStdout")),
            "CanRemove": False,
            "ContainerID": one.container.id,
            "DetachKeys": "",
            "Pid": one.pid,
        }

    def process(self, container: Container, body: Document) -> Document:
        """The OCI process: the container's own surroundings, with the exec's wishes."""
        host = {**container.host_config, "Privileged": container.host_config["Privileged"] or body.get("Privileged")}
        user = self._containers.preparation.user(container, body.get("User") or container.config.get("User") or "")
        bounding = ociconfig.capabilities(host, self._containers.preparation.held)
        where = body.get("WorkingDir") or ""
        if where and not where.startswith("/"):
            says = "OCI runtime exec failed: exec failed: Cwd must be an absolute path"
            raise EngineError(says, http_status=400, code="exec-start")
        tty, linked = bool(body.get("Tty")), links.environment(container, self._containers.find)
        made: Document = {
            "terminal": tty,
            "args": list(body["Cmd"]),
            "env": ociconfig.environment(container.config, container.hostname, body.get("Env") or (), tty, linked),
            "cwd": body.get("WorkingDir") or container.config.get("WorkingDir") or "/",
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups), "umask": 0o022},
            "capabilities": ociconfig.capability_sets(bounding, user.uid),
            "noNewPrivileges": ociconfig.security_options(host).no_new_privileges,
            "rlimits": ociconfig.rlimits(host),
        }
        if host.get("OomScoreAdj"):
            made["oomScoreAdj"] = host["OomScoreAdj"]
        profile = ociconfig.seccomp(host, bounding, self._containers.preparation.machine)
        return made | ({"seccomp": profile} if profile is not None else {})

    def check(self, one: Exec) -> None:
        """That it can be started: its container runs, and it has not been started before."""
        container = one.container
        container.after(Event.EXEC)
        if one.started:
            raise EngineError(
                f"Error: Exec command {one.id} is already running" if one.running else f"exec {one.id} has already run", http_status=409
            )

    async def start(self, one: Exec, *, stdin: bool, output: bool, console: tuple[int, int] | None = None) -> Pipes:
        """Starts it; the ends that are the engine's come back."""
        self.check(one)
        container, body = one.container, one.body
        one.started, one.exit_code = True, NOT_STARTED
        process = self.process(container, body)
        pipes = Pipes()
        fds: tuple[int, int, int] | None = None
        theirs: list[int] = []
        tty = bool(body.get("Tty"))
        if not tty:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            theirs.append(null)
            reading, writing = null, [null, null]
            if stdin:
                reading, pipes.stdin = os.pipe2(os.O_CLOEXEC)
                theirs.append(reading)
            if output:
                (pipes.stdout, out), (pipes.stderr, err) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
                theirs += [out, err]
                writing = [out, err]
            fds = (reading, writing[0], writing[1])
        try:
            started = await self._containers.runtime.exec(container.id, one.id, process, fds=fds, tty=tty, console=console)
        except StartFailed as error:
            pipes.close()
            one.exit_code = error.exit_status
            self._tell("start", one)
            raise EngineError(_OCI + error.says, http_status=400, code="exec-start") from error
        except BaseException:
            pipes.close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        one.pid, one.running, one.exit_code = started.pid, True, None
        if started.tty is not None:
            one.master = pipes.master = started.tty
        self._tell("start", one)
        early = self._early.pop(one.id, None)
        if early:
            self.heard_exit(early)
        return pipes

    def heard_exit(self, notice: ExitNotice) -> None:
        one = self._known.get(notice.exec_id or "")
        if one is None:
            return
        if not one.running:
            self._early[one.id] = notice
            return
        one.running, one.exit_code, one.pid = False, notice.status, 0
        one.ended.set()
        self._containers.live(one.container.id).execs.discard(one.id)
        self._containers.emit(one.container, "exec_die", execID=one.id, exitCode=str(notice.status))
        asyncio.get_running_loop().call_later(_KEEP_FOR, self._known.pop, one.id, None)

    def resize(self, one: Exec, rows: int, columns: int) -> None:
        if not one.running:
            raise EngineError(f"exec {one.id} is not running", http_status=409)
        if one.master >= 0:
            import fcntl
            import struct
            import termios

            fcntl.ioctl(one.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _tell(self, what: str, one: Exec) -> None:
        """`exec_create: sh -c true`: the program, a space, and its arguments, as Docker writes it."""
        program, *arguments = one.body["Cmd"]
        self._containers.emit(one.container, f"exec_{what}: {program} {' '.join(arguments)}", execID=one.id)

    # healthchecks

    async def probe(self, container: Container, check: Check) -> tuple[int, bytes]:
        """Runs a check once: its exit status and its output; -1 when it took too long."""
        one = Exec(new_id(), container, {"Cmd": list(check.argv)})
        self._known[one.id] = one
        self._tell("create", one)
        try:
            pipes = await self.start(one, stdin=False, output=True)
        except (EngineError, OSError) as error:
            self._known.pop(one.id, None)
            return -1, str(getattr(error, "says", error)).encode()
        output = bytearray()

        def keep(data: bytes) -> None:
            if len(output) < 4096:
                output.extend(data)

        outputs = (pipes.stdout, pipes.stderr)
        readers = [asyncio.ensure_future(pump_out(fd, keep)) for fd in outputs]
        try:
            async with asyncio.timeout(check.timeout):
                await one.ended.wait()
            for fd in outputs:  # not to the end of file, which comes late when a child of the check holds the pipe
                read_out(fd, keep)
            return one.exit_code or 0, bytes(output)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, 9)
            timeout = format_duration(round(check.timeout * 1e9))
            return -1, f"Health check exceeded timeout ({timeout})".encode() + (b": " + bytes(output) if output else b"")
        finally:
            for reader in readers:
                reader.cancel()
            pipes.close()


class Pipes:
    """The engine's ends of an exec's stdio; -1: none."""

    def __init__(self) -> None:
        self.stdin = self.stdout = self.stderr = self.master = -1

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        for name in ("stdin", "stdout", "stderr", "master"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)


async def readable(fd: int) -> None:
    await _ready(fd, asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)


async def writable(fd: int) -> None:
    await _ready(fd, asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _ready(fd: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(fd, _set, waiter)
    try:
        await waiter
    finally:
        remove(fd)


async def pump_out(fd: int, put: Callable[[bytes], Any]) -> None:
    """Everything that comes out of the descriptor, until its end. put may be a coroutine function."""
    os.set_blocking(fd, False)
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            await readable(fd)
            continue
        except OSError:
            return  # EIO: the last holder of a terminal is gone
        if not data:
            return
        done = put(data)
        if done is not None:
            await done


def read_out(fd: int, put: Callable[[bytes], Any], most: int = 1 << 20) -> None:
    """What is in the descriptor now."""
    os.set_blocking(fd, False)
    with contextlib.suppress(OSError):
        while most > 0 and (data := os.read(fd, 1 << 16)):
            put(data)
            most -= len(data)


async def write_all(fd: int, data: bytes) -> None:
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await writable(fd)


def framed(stream: int, tty: bool) -> Callable[[bytes], bytes]:
    return (lambda data: data) if tty else (lambda data: frame(stream, data))
