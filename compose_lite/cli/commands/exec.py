"""`exec`: one more command in a running container of a service; its exit status is ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import one_of
from compose_lite.cli.pflag import Command, argument, arguments, flag, option, options
from compose_lite.cli.streams import detach_keys, talk
from compose_lite.errors import ApiError, UsageError

COMMAND = Command(
    "exec",
    "Execute a command in a running container",
    (
        argument("service"),
        arguments("command", required=True, metavar="COMMAND [ARGS...]"),
        flag("-d", "--detach", help="Detached mode: Run command in the background"),
        options("-e", "--env", help="Set environment variables"),
        option("--index", type=int, default=0, help="Index of the container if service has multiple replicas"),
        flag("--privileged", help="Give extended privileges to the process"),
        option("-u", "--user", default="", help="Run the command as this user"),
        option("-w", "--workdir", default="", help="Path to workdir directory for this command"),
        flag("-T", "--no-tty", default=None, help="Disable pseudo-TTY allocation (default: on without a terminal)"),
        flag("-t", "--tty", hidden=True, default=None),
        flag("-i", "--interactive", default=True, hidden=True),
    ),
    interspersed=False,
)


_STATUSES = {"not found": 127, "no such file": 127, "not a directory": 127, "permission denied": 126, "must be an absolute path": 128}


async def run(context: Context, service: str, command: Sequence[str], **o: Any) -> int:
    _, name = context.load_or_name()
    engine = await context.engine()
    id = (await one_of(engine, name, service, o["index"], all=False)).id
    terminal = os.isatty(0) and os.isatty(1) and not o["no_tty"] and not o["detach"]
    if o["no_tty"] is False or o["tty"]:
        terminal = not o["detach"]
    if wrong := next((entry for entry in o["env"] if entry.startswith("=")), None):
        raise UsageError("pair", f"invalid environment variable: {wrong}", status=1)
    body = {
        "Cmd": list(command),
        "Env": list(o["env"]),
        "User": o["user"],
        "WorkingDir": o["workdir"],
        "Privileged": o["privileged"],
        "Tty": terminal,
        "AttachStdin": bool(o["interactive"]) and not o["detach"],
        "AttachStdout": not o["detach"],
        "AttachStderr": not o["detach"],
    }
    exec_id = await engine.exec_create(id, body)
    if o["detach"]:
        await engine.exec_detached(exec_id, tty=False)
        return 0
    try:
        stream = await engine.exec_start(exec_id, tty=terminal)
    except ApiError as error:
        error.status = next((status for words, status in _STATUSES.items() if words in error.says), 1)
        raise
    async with stream:
        keys = detach_keys("", context.environ)
        if await talk(
            stream,
            stdin=bool(o["interactive"]),
            terminal=terminal,
            resize=lambda rows, columns: engine.exec_resize(exec_id, rows, columns),
            keys=keys,
        ):
            return 0
    return int((await engine.exec_inspect(exec_id)).get("ExitCode") or 0)
