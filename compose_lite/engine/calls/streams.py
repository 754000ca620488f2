"""Calls that go on: logs, attach, stats, execs."""

from __future__ import annotations

import asyncio
import contextlib
import termios
import time
from collections.abc import Awaitable, Callable
from typing import Any

from compose_lite.api.detach import Watch, parse
from compose_lite.api.http import MULTIPLEXED, RAW, STDERR, STDOUT, SYSTEM_ERROR, frame
from compose_lite.engine import events, execs, usage
from compose_lite.engine import logs as log_files
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.execs import Pipes, pump_out, write_all
from compose_lite.engine.record import Container
from compose_lite.engine.server import Duplex, Gone, Reply, Request
from compose_lite.errors import EngineError, Error
from compose_lite.linux.syscall import waiting_bytes
from compose_lite.runtime.attachment import Attachment

Document = dict[str, Any]


async def logs(rooms: Rooms, request: Request) -> None:
    container = rooms.one(request)
    if not request.flag("stdout") and not request.flag("stderr"):
        raise EngineError("Bad parameters: you must choose at least one stream", http_status=400)
    if container.host_config["LogConfig"]["Type"] == "none":
        raise EngineError("configured logging driver does not support reading", http_status=501)
    now = time.time_ns()
    tail = request.text("tail")
    wish = log_files.Wish(
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
    live = rooms.containers.live(container.id)
    if not container.running:
        live.ended.set()
    path = rooms.containers.preparation.log_path(container.id)
    rendered = log_files.Rendering(wish, None if plain else frame)
    async for lines in log_files.read(path, wish, lambda: container.running, live.ended, rooms.followed):
        await request.send(rendered(lines))


async def attach(rooms: Rooms, request: Request) -> None:
    container = rooms.one(request)
    watch = _watch(request.text("detachKeys"), container.tty)
    stdin, output = request.flag("stdin"), request.flag("stdout") or request.flag("stderr")
    content_type = RAW if container.tty or request.version < (1, 42) else MULTIPLEXED
    wants = {"stdout": request.flag("stdout"), "stderr": request.flag("stderr")}
    ready = asyncio.ensure_future(rooms.containers.attach(container, stdin=stdin and container.config["OpenStdin"]))
    if container.running:
        await ready  # what fails here is still an answer
    duplex = await request.hijack(content_type)
    rooms.containers.emit(container, "attach")
    gone = asyncio.ensure_future(_until_gone(duplex))
    try:
        if request.flag("logs"):
            path = rooms.containers.preparation.log_path(container.id)
            rendered = log_files.Rendering(log_files.Wish(), None if container.tty else frame)
            async for lines in log_files.read(path, log_files.Wish()):
                await duplex.send(rendered(lines))
        if not request.flag("stream"):
            return
        await asyncio.wait({ready, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done() or ready.cancelled():
            return
        try:
            attachment: Attachment | None = ready.result()
            ended, process = rooms.containers.live(container.id).ended, (container.pid, container.start_time)
            while attachment is not None:
                try:
                    joined = await _join(container, duplex, attachment, watch if stdin else None, output, wants, ended)
                finally:
                    attachment.close()
                attachment = await rooms.containers.attach_again(container, process, stdin=stdin) if joined else None
        except Error as error:
            said = f"{error.says}\r\n".encode()
            await duplex.send(said if container.tty else frame(SYSTEM_ERROR, said))
            raise
    finally:
        ready.cancel()
        gone.cancel()


def _watch(keys: str, tty: bool) -> Watch:
    """For the detach keys in what a client types; they count at a terminal only."""
    try:
        return Watch(parse(keys) if tty else b"")
    except ValueError as error:
        raise EngineError(str(error), http_status=400) from None


async def _join(
    container: Container,
    duplex: Duplex,
    attachment: Attachment,
    stdin: Watch | None,
    output: bool,
    wants: dict[str, bool],
    ended: asyncio.Event,
) -> bool:
    """True when its monitor has ended the stream; False when the client has left.

    stdin: passed on when given, until it finds the detach keys; the call ends then. A container waits for a client that reads slowly;
    once it has ended the rest is kept here for that client, as its monitor does not stay for long.
    """
    hurry = asyncio.ensure_future(ended.wait())

    async def feed() -> None:
        with contextlib.suppress(OSError):
            while data := await duplex.receive():
                if stdin:
                    typed, left = stdin.take(data)
                    await attachment.write(typed)
                    if left:
                        return
            if stdin and not container.tty:
                with contextlib.suppress(OSError):  # it has ended just now, and its last output is still to be shown
                    await attachment.close_stdin()
            await asyncio.Event().wait()  # its output goes on

    async def show() -> None:
        while (piece := await attachment.read()) is not None:
            stream, data = piece
            if output and wants[stream]:
                await duplex.send(data if container.tty else frame(STDOUT if stream == "stdout" else STDERR, data), hurry)
        await duplex.flush()

    both = [asyncio.ensure_future(work()) for work in (feed, show)]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (*both, hurry):
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await both[1]
    return not both[0].done() or both[0].cancelled()


async def stats(rooms: Rooms, request: Request) -> None:
    container = rooms.one(request)
    await request.begin()
    found, sample = usage.stats(rooms.containers, container, None)
    if request.flag("one-shot"):
        await request.send_json(found)
        return
    while True:
        if request.flag("stream", True):
            await request.send_json(found)
        await asyncio.sleep(1)
        if container.id not in rooms.containers.all:
            return
        found, sample = usage.stats(rooms.containers, container, sample)
        if not request.flag("stream", True):
            await request.send_json(found)
            return


async def exec_create(rooms: Rooms, request: Request) -> Reply:
    return Reply(201, {"Id": rooms.execs.create(rooms.one(request), await request.json())})


async def exec_inspect(rooms: Rooms, request: Request) -> Document:
    return rooms.execs.document(rooms.execs.find(request.params["id"]))


async def exec_resize(rooms: Rooms, request: Request) -> None:
    one = rooms.execs.find(request.params["id"])
    rooms.execs.resize(one, request.integer("h", 0) or 0, request.integer("w", 0) or 0)


async def exec_start(rooms: Rooms, request: Request) -> Any:
    one = rooms.execs.find(request.params["id"])
    body = await request.json()
    size = body.get("ConsoleSize")
    console = (int(size[0]), int(size[1])) if size and size[0] else None
    if body.get("Detach"):
        (await rooms.execs.start(one, stdin=False, output=False, console=console)).close()
        return Reply(200, content=b"")
    tty = bool(one.body.get("Tty"))
    stdin = bool(one.body.get("AttachStdin"))
    watch = _watch(str(one.body.get("DetachKeys") or ""), tty)
    rooms.execs.check(one)
    rooms.execs.process(one.container, one.body)  # a user who is not there is an answer, not output
    duplex = await request.hijack(RAW if tty or request.version < (1, 42) else MULTIPLEXED)
    try:
        pipes = await rooms.execs.start(one, stdin=stdin, output=True, console=console)
    except Error as error:
        said = f"{error.says}\r\n".encode()
        await duplex.send(said if tty else frame(STDOUT, said))
        return None
    try:
        left = await _run_exec(one, duplex, pipes, tty, watch if stdin else None)
    except BaseException:
        one.master = -1
        pipes.close()
        raise
    if left:
        rooms.containers.background(_leave_exec(one, pipes))
    else:
        one.master = -1
        pipes.close()
    return None


async def _leave_exec(one: execs.Exec, pipes: Pipes) -> None:
    """Nobody looks at its terminal any more, and it is not to hang for that."""

    async def drop(data: bytes) -> None:
        del data

    reading = asyncio.ensure_future(pump_out(pipes.master, drop))
    await one.ended.wait()
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    one.master = -1
    pipes.close()


async def _run_exec(one: execs.Exec, duplex: Duplex, pipes: Pipes, tty: bool, stdin: Watch | None) -> bool:
    """True when the client has left by the detach keys: it runs on."""
    left = asyncio.Event()

    async def feed() -> None:
        with contextlib.suppress(OSError):
            while data := await duplex.receive():
                target = pipes.master if tty else pipes.stdin
                if stdin and target >= 0:
                    typed, detached = stdin.take(data)
                    await write_all(target, typed)
                    if detached:
                        left.set()
                        return
        pipes.close_stdin()

    head = asyncio.ensure_future(duplex.taken())  # some clients lose what comes together with it
    heard = passed = 0  # bytes out of the pipes, and on to the client

    def sender(stream: int) -> Callable[[bytes], Awaitable[None]]:
        async def send(data: bytes) -> None:
            nonlocal heard, passed
            heard += len(data)
            await asyncio.shield(head)
            await duplex.send(data if tty else frame(stream, data))
            passed += len(data)

        return send

    sources = {pipes.master: STDOUT} if tty else {pipes.stdout: STDOUT, pipes.stderr: STDERR}
    feeding = asyncio.ensure_future(feed())
    reading = asyncio.gather(*(pump_out(fd, sender(stream)) for fd, stream in sources.items()))
    try:
        ended, leaving = asyncio.ensure_future(one.ended.wait()), asyncio.ensure_future(left.wait())
        waiting: set[asyncio.Future[Any]] = {ended, reading, leaving}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if left.is_set():
            ended.cancel()
            return True
        await ended
        # A child that holds the pipe does not keep the exec open; what was written before the end still comes, to a slow client too.
        due = heard + sum(waiting_bytes(fd, termios.FIONREAD) for fd in sources) if not reading.done() else 0
        await asyncio.wait({reading}, timeout=0.2)
        while passed < due and not reading.done():
            await asyncio.wait({reading}, timeout=0.05)
    finally:
        feeding.cancel()
        head.cancel()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, Gone):
            await reading
    return False


async def _until_gone(duplex: Duplex) -> None:
    while not duplex.gone:
        await asyncio.sleep(0.05)
