"""`engine`: our engine itself: is it there, start it, end it, and where its socket is, for people and for DOCKER_HOST.

Ending the engine ends no container; the next command starts a new engine that takes them over.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import anyio

from compose_lite import __version__
from compose_lite.api.client import EngineClient
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli import unitfile
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, flag, option
from compose_lite.errors import ApiError, UsageError

HELP = "Show, start and stop the engine"
_END_SECONDS = 10.0


def listening_pid(path: Path) -> int:
    """The process that listens at the socket; 0 if nobody does. unix(7), SO_PEERCRED"""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return 0
        return int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


async def status(context: Context, format: str) -> int:
    """Exit status 1 when no engine runs; starts none."""
    if format not in ("", "pretty", "json"):
        raise UsageError("format", f'unsupported format "{format}"', remedy="Say pretty or json.")
    row = await _status(context)
    if format == "json":
        context.print(json.dumps(row))
    else:
        width = max(len(key) for key in row)
        context.out.write("".join(f"{key + ':':<{width + 2}}{_shown(value)}\n" for key, value in row.items()))
    return 0 if row["Running"] else 1


async def _status(context: Context) -> dict[str, Any]:
    folders = context.folders
    pid = listening_pid(folders.engine_socket)
    row: dict[str, Any] = {"Running": bool(pid), "Socket": f"unix://{folders.engine_socket}", "Data": str(folders.data)}
    if not pid:
        return {**row, "Version": __version__}
    engine = DockerEngine(EngineClient(row["Socket"]))
    try:
        version, info = await engine.version(), await engine.info()
    finally:
        await engine.aclose()
    return {
        **row,
        "Pid": pid,
        "Version": version.get("Version", ""),
        "ApiVersion": version.get("ApiVersion", ""),
        "Containers": info.get("Containers", 0),
        "ContainersRunning": info.get("ContainersRunning", 0),
        "Images": info.get("Images", 0),
        "Warnings": info.get("Warnings") or [],
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(value) if isinstance(value, list) else str(value)


async def start(context: Context) -> None:
    await own_engine(context)
    context.print(f"unix://{context.folders.engine_socket}")


async def own_engine(context: Context) -> DockerEngine:
    if not context.own_engine:
        raise UsageError("engine-foreign", "another engine is chosen (--engine or COMPOSE_LITE_ENGINE)", remedy="Leave that out here.")
    return await context.engine()


async def stop(context: Context, containers: bool, timeout: int | None, with_machine: bool = False) -> int:
    """The family ends as soon as the engine does; its zygote stays with containers that run."""
    if with_machine:
        return await _go_down(context)
    path = context.folders.engine_socket
    pid = listening_pid(path)
    if not pid:
        _end_template(context.folders.worker_socket)
        context.print("The engine does not run.")
        return 0
    engine = await own_engine(context)
    running = await engine.containers()
    if containers:
        async with anyio.create_task_group() as group:
            for container in running:
                group.start_soon(_stop_container, engine, container["Id"], timeout)
    await engine.aclose()
    await _end(context, pid)
    if running and not containers:
        context.print(f"The engine has ended; {len(running)} containers go on running. The next command looks after them again.")
    return 0


async def _end(context: Context, pid: int) -> None:
    path = context.folders.engine_socket
    os.kill(pid, signal.SIGTERM)
    with anyio.move_on_after(_END_SECONDS):
        while listening_pid(path) == pid:
            await anyio.sleep(0.02)
    if listening_pid(path) == pid:
        raise ApiError(f"the engine (process {pid}) does not end", code="engine-stop", remedy=f"See {context.folders.data}/engine.log.")


async def _go_down(context: Context) -> int:
    """What the unit does at its end. A unit that only is stopped or restarted leaves everything as it is."""
    left = context.folders.run / "c"
    if not unitfile.is_going_down(os.geteuid()) or not (left.is_dir() and any(left.iterdir())):
        return 0
    engine = await own_engine(context)
    await engine.extension("POST", "shutdown")
    await engine.aclose()
    await _end(context, listening_pid(context.folders.engine_socket))
    return 0


def _end_template(path: Path) -> None:
    """One that was started without an engine would wait for commands a while yet."""
    pid = listening_pid(path)
    if pid:
        path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGTERM)


async def _stop_container(engine: DockerEngine, id: str, timeout: int | None) -> None:
    await engine.stop(id, timeout=timeout)


async def enable(context: Context) -> None:
    uid = os.geteuid()
    content = unitfile.text([sys.executable, "-m", "compose_lite"], context.environ, uid)
    context.print(unitfile.enable(unitfile.path_of(uid, context.environ), content, uid))


async def disable(context: Context) -> None:
    uid = os.geteuid()
    context.print(unitfile.disable(unitfile.path_of(uid, context.environ), uid))


SUBCOMMANDS = {
    "enable": (Command("enable", "Start the engine with the machine, by a systemd unit, for the sake of restart policies", ()), enable),
    "disable": (Command("disable", "Remove the systemd unit", ()), disable),
    "status": (Command("status", "Show whether the engine runs", (option("--format", default="", help="pretty or json"),)), status),
    "start": (Command("start", "Start the engine unless it runs; print its socket", ()), start),
    "socket": (Command("socket", "Print the engine's socket, for DOCKER_HOST; starts the engine unless it runs", ()), start),
    "stop": (
        Command(
            "stop",
            "End the engine; containers go on running",
            (
                flag("--containers", help="Stop all running containers first"),
                option("-t", "--timeout", type=int, help="Seconds of grace for the containers"),
                flag("--with-machine", help="Only if systemd is going down: stop containers first, which start with the next engine again"),
            ),
        ),
        stop,
    ),
}
