"""Containers in the foreground: create, pull what is missing, attach, start, pass signals on, end with their status."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio

from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.containeroptions import create_body, environment
from compose_lite.cli.context import Context
from compose_lite.cli.streams import detach_keys, talk
from compose_lite.errors import ApiError, Error, UsageError

INTERRUPTED = 130  # a shell's status of what Ctrl-C has ended
PROXIED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


async def created(context: Context, engine: DockerEngine, o: Mapping[str, Any]) -> str:
    """The id of a new container; its image is pulled as --pull says."""
    if o["pull"] not in ("always", "missing", "never"):
        raise UsageError("pull-policy", f'invalid pull option: "{o["pull"]}"', remedy="Say always, missing or never.", status=125)
    cidfile = Path(context.cwd, o["cidfile"]) if o["cidfile"] else None
    if cidfile and cidfile.exists():
        raise Error("cidfile", f"container ID file found, make sure the other container isn't running or delete {o['cidfile']}", status=125)
    body = create_body(o, context.environ, context.cwd)
    if o["pull"] == "always":
        await _pull(context, engine, o)
    try:
        made = await engine.create_container(o["name"], body, platform=o["platform"])
    except ApiError as error:
        if error.http_status != 404 or "image" not in error.says.lower() or o["pull"] == "never":
            raise
        context.err.write(f"Unable to find image '{_full(o['image'])}' locally\n")
        await _pull(context, engine, o)
        made = await engine.create_container(o["name"], body, platform=o["platform"])
    for warning in made.get("Warnings") or ():
        context.err.write(f"WARNING: {warning}\n")
    if cidfile:
        cidfile.write_text(made["Id"])
    return str(made["Id"])


def _full(image: str) -> str:
    return image if ":" in image.rsplit("/", 1)[-1] or "@" in image else f"{image}:latest"


async def _pull(context: Context, engine: DockerEngine, o: Mapping[str, Any]) -> None:
    async for one in engine.pull(o["image"], platform=o["platform"]):
        if not o["quiet"] and one.get("status") and not one.get("progressDetail"):
            context.err.write((f"{one['id']}: " if one.get("id") else "") + f"{one['status']}\n")


async def create(context: Context, **o: Any) -> None:
    context.print(await created(context, await context.engine(), {**o, "detach": False}))


async def run(context: Context, **o: Any) -> int:
    engine = await context.engine()
    if o["tty"] and o["interactive"] and not o["detach"] and not os.isatty(0):
        raise UsageError("no-terminal", "the input device is not a TTY", remedy="Leave -t out.", status=125)
    try:
        id = await created(context, engine, o)
        if o["detach"]:
            await engine.start(id)
            context.print(id)
            return 0
        streams = {word.lower() for word in o["attach"]} or {"stdout", "stderr", *(("stdin",) if o["interactive"] else ())}
        keys = detach_keys(o["detach_keys"], context.environ)
        return await attached(engine, id, streams, tty=o["tty"], removed=o["rm"], proxied=o["sig_proxy"], keys=keys)
    except ApiError as error:
        error.status = start_status(error)
        raise


def start_status(error: ApiError) -> int:
    """125: the engine's error; 126: the command cannot be run; 127: there is no such command."""
    says = error.says.lower()
    if "executable file not found" in says or "no such file or directory" in says:
        return 127
    return 126 if "permission denied" in says or "is a directory" in says else 125


async def attached(
    engine: DockerEngine, id: str, streams: set[str], *, tty: bool, removed: bool = False, proxied: bool = True, keys: bytes = b""
) -> int:
    """Attached before the start, so that nothing is missed; the container's exit status, 0 when left by the detach keys."""
    stdin = "stdin" in streams
    async with await engine.attach(id, stdin=stdin, stdout="stdout" in streams, stderr="stderr" in streams, tty=tty) as stream:
        result: dict[str, int] = {"code": 0}
        listening = anyio.Event()

        async def wait() -> None:
            condition = "removed" if removed else "next-exit"
            result["code"] = int((await engine.wait(id, condition=condition, registered=listening.set))["StatusCode"])

        failed: ApiError | None = None
        async with anyio.create_task_group() as outer:
            if proxied:
                outer.start_soon(_proxy_signals, engine, id)
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await listening.wait()
                try:
                    await engine.start(id)
                except ApiError as error:  # raised below: a task group would wrap it
                    failed = error
                    group.cancel_scope.cancel()
                else:
                    if await talk(
                        stream, stdin=stdin, terminal=tty, resize=lambda rows, columns: engine.resize(id, rows, columns), keys=keys
                    ):
                        group.cancel_scope.cancel()
            outer.cancel_scope.cancel()
        if failed:
            raise failed
    return result["code"]


async def joined(engine: DockerEngine, id: str, *, stdin: bool, proxied: bool, keys: bytes, told: bool = False) -> int:
    """This terminal at a running container until it ends; its exit status, 0 when left by the detach keys.

    told: INTERRUPTED instead, when INT or TERM was passed on.
    """
    document = await engine.container(id)
    terminal, stdin = bool(document["Config"].get("Tty")), stdin and bool(document["Config"].get("OpenStdin"))
    result, passed = {"code": 0}, set[int]()
    async with await engine.attach(id, stdin=stdin, tty=terminal) as stream, anyio.create_task_group() as group:

        async def wait() -> None:
            result["code"] = int((await engine.wait(id))["StatusCode"])

        if proxied and not terminal:
            group.start_soon(_proxy_signals, engine, id, passed)
        async with anyio.create_task_group() as inner:
            inner.start_soon(wait)
            if await talk(stream, stdin=stdin, terminal=terminal, resize=lambda rows, columns: engine.resize(id, rows, columns), keys=keys):
                inner.cancel_scope.cancel()
        group.cancel_scope.cancel()
    return INTERRUPTED if told and passed & {signal.SIGINT, signal.SIGTERM} else result["code"]


async def passed_on(engine: DockerEngine, id: str, *, all: bool = False) -> None:
    """Returns when INT or TERM has come and the container has been given it; all: never, each is given to it."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            with suppress(ApiError):
                await engine.kill(id, signal=str(int(number)))
            if not all:
                return


async def _proxy_signals(engine: DockerEngine, id: str, passed: set[int] | None = None) -> None:
    """passed: gets those that have come."""
    with anyio.open_signal_receiver(*PROXIED) as signals:
        async for number in signals:
            if passed is not None:
                passed.add(number)
            try:
                await engine.kill(id, signal=str(int(number)))
            except ApiError:
                return


async def start(context: Context, names: Sequence[str], attach: bool, interactive: bool, keys: str) -> int:
    engine = await context.engine()
    if attach or interactive:
        if len(names) > 1:
            raise UsageError("start-many", "you cannot start and attach multiple containers at once")
        document = await engine.container(names[0])
        streams = {"stdout", "stderr", *(("stdin",) if interactive and document["Config"].get("OpenStdin") else ())}
        tty = bool(document["Config"].get("Tty"))
        return await attached(engine, document["Id"], streams, tty=tty, keys=detach_keys(keys, context.environ))
    status = 0
    for name in names:
        try:
            await engine.start(name)
            context.print(name)
        except ApiError as error:
            if not error.http_status:
                raise
            context.err.write(f"{error}\n")
            status = 1
    return status


async def exec(context: Context, container: str, command: Sequence[str], **o: Any) -> int:
    engine = await context.engine()
    tty, stdin = bool(o["tty"]), bool(o["interactive"]) and not o["detach"]
    if tty and stdin and not os.isatty(0):
        raise UsageError("no-terminal", "the input device is not a TTY", remedy="Leave -t out.")
    body = {
        "Cmd": list(command),
        "Env": environment(o["env_file"], o["env"], context.environ, context.cwd),
        "User": o["user"],
        "WorkingDir": o["workdir"],
        "Privileged": o["privileged"],
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStdout": not o["detach"],
        "AttachStderr": not o["detach"],
    }
    keys = detach_keys(o["detach_keys"], context.environ)
    id = await engine.exec_create(container, body)
    if o["detach"]:
        await engine.exec_detached(id, tty=tty)
        return 0
    async with await engine.exec_start(id, tty=tty) as stream:
        if await talk(stream, stdin=stdin, terminal=tty, resize=lambda rows, columns: engine.exec_resize(id, rows, columns), keys=keys):
            return 0
    return int((await engine.exec_inspect(id)).get("ExitCode") or 0)
