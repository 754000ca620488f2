"""`container`: ls, inspect, create, run, update, start, stop, restart, kill, rm, logs, exec, prune and the like, in Docker's forms."""

from __future__ import annotations

import sys
import time
from typing import Any

from compose_lite.api.protocol import split_reference
from compose_lite.cli import attaching, containerrow, nouns, streams, tables
from compose_lite.cli.commands import stats as usage
from compose_lite.cli.containeroptions import OPTIONS, UPDATE, update_body
from compose_lite.cli.context import Context
from compose_lite.cli.copying import copy_in, copy_out, split_path
from compose_lite.cli.pflag import Command, argument, arguments, flag, option, options
from compose_lite.errors import Error, UsageError

HELP = "Manage containers"


async def ls(
    context: Context,
    all: bool,
    filter: tuple[str, ...],
    format: str,
    last: int,
    latest: bool,
    no_trunc: bool,
    quiet: bool,
    size: bool,
) -> None:
    limit = 1 if latest else max(0, last)
    size = size or (".Size" in format)
    found = await (await context.engine()).containers(all=all or bool(limit), filters=tables.filters(filter), limit=limit, size=size)
    now = time.time()
    rows = [containerrow.row(c, now, no_trunc=no_trunc, size=size) for c in found]
    columns = (*containerrow.COLUMNS, *(("Size",) if size else ()))
    context.out.write(tables.listing(rows, containerrow.HEADERS, columns, format, quiet="ID" if quiet else ""))


async def inspect(context: Context, names: tuple[str, ...], format: str, size: bool) -> int:
    nouns.at_least(names, f"{context.program} container inspect")
    engine = await context.engine()
    return await nouns.inspect(context, names, lambda name: engine.container(name, size=size), format)


async def rm(context: Context, names: tuple[str, ...], force: bool, volumes: bool) -> int:
    nouns.at_least(names, f"{context.program} container rm")
    engine = await context.engine()
    return await nouns.each(context, names, lambda name: engine.remove(name, force=force, volumes=volumes), forgiving=force)


async def stop(context: Context, names: tuple[str, ...], signal: str | None, timeout: int | None) -> int:
    nouns.at_least(names, f"{context.program} container stop")
    engine = await context.engine()
    return await nouns.each(context, names, lambda name: engine.stop(name, timeout=timeout, signal=signal))


async def restart(context: Context, names: tuple[str, ...], signal: str | None, timeout: int | None) -> int:
    nouns.at_least(names, f"{context.program} container restart")
    engine = await context.engine()
    return await nouns.each(context, names, lambda name: engine.restart(name, timeout=timeout, signal=signal))


async def kill(context: Context, names: tuple[str, ...], signal: str | None) -> int:
    nouns.at_least(names, f"{context.program} container kill")
    engine = await context.engine()
    return await nouns.each(context, names, lambda name: engine.kill(name, signal=signal))


async def pause(context: Context, names: tuple[str, ...]) -> int:
    nouns.at_least(names, f"{context.program} container pause")
    return await nouns.each(context, names, (await context.engine()).pause)


async def unpause(context: Context, names: tuple[str, ...]) -> int:
    nouns.at_least(names, f"{context.program} container unpause")
    return await nouns.each(context, names, (await context.engine()).unpause)


async def start(context: Context, names: tuple[str, ...], attach: bool, interactive: bool, detach_keys: str) -> int:
    nouns.at_least(names, f"{context.program} container start")
    return await attaching.start(context, names, attach, interactive, detach_keys)


async def wait(context: Context, names: tuple[str, ...]) -> None:
    nouns.at_least(names, f"{context.program} container wait")
    engine = await context.engine()
    for name in names:
        context.print(str((await engine.wait(name))["StatusCode"]))


async def rename(context: Context, container: str, name: str) -> None:
    await (await context.engine()).rename(container, name)


async def update(context: Context, names: tuple[str, ...], **o: Any) -> int:
    nouns.at_least(names, f"{context.program} container update")
    body, engine = update_body(o), await context.engine()

    async def change(name: str) -> None:
        for warning in (await engine.update(name, body)).get("Warnings") or ():
            context.err.write(f"{warning}\n")

    return await nouns.each(context, names, change)


async def top(context: Context, container: str, words: tuple[str, ...]) -> None:
    found = await (await context.engine()).top(container, ps_args=" ".join(words) or None)
    context.out.write(tables.table([found["Titles"], *(found.get("Processes") or ())], (20, 3)))


async def logs(context: Context, container: str, follow: bool, since: str, until: str, tail: str, timestamps: bool) -> None:
    engine = await context.engine()
    document = await engine.container(container)
    now = time.time_ns()
    frames = engine.logs(
        document["Id"],
        follow=follow,
        since=nouns.moment(since, now) or None,
        until=nouns.moment(until, now) or None,
        tail=tail,
        timestamps=timestamps,
        tty=bool(document["Config"].get("Tty")),
    )
    async for some in frames:
        for stream, data in some:
            out = sys.stderr if stream == 2 else sys.stdout
            out.buffer.write(data)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.flush()


async def prune(context: Context, filter: tuple[str, ...], force: bool) -> None:
    wanted = tables.filters(filter)
    if nouns.confirmed(context, "This will remove all stopped containers.", force):
        done = await (await context.engine()).prune_containers(filters=wanted)
        nouns.pruned(context, "Containers", done.get("ContainersDeleted") or [], done.get("SpaceReclaimed") or 0)


async def cp(context: Context, source: str, target: str, archive: bool, follow_link: bool, quiet: bool) -> None:
    del quiet  # nothing is shown in any case
    (from_name, from_path), (to_name, to_path) = split_path(source), split_path(target)
    if bool(from_name) == bool(to_name):
        says = "copying between containers is not supported" if from_name else "must specify at least one container source"
        raise UsageError("copy-direction", says, remedy="One of the paths is CONTAINER:PATH.")
    engine = await context.engine()
    options: dict[str, Any] = {"cwd": context.cwd, "follow": follow_link, "archive": archive}
    if to_name:
        await copy_in(engine, to_name, source, to_path, **options)
    else:
        await copy_out(engine, from_name, from_path, target, stdout=context.out.buffer, **options)


async def attach(context: Context, container: str, detach_keys: str, no_stdin: bool, sig_proxy: bool) -> int:
    keys = streams.detach_keys(detach_keys, context.environ)
    engine = await context.engine()
    document = await engine.container(container)
    if not document["State"]["Running"]:
        raise UsageError("not-running", "cannot attach to a stopped container, start it first")
    return await attaching.joined(engine, document["Id"], stdin=not no_stdin, proxied=sig_proxy, keys=keys)


async def export(context: Context, container: str, output: str) -> None:
    if not output and context.out.isatty():
        raise UsageError("export-terminal", "cowardly refusing to save to a terminal", remedy="Use -o or redirect.")
    async with (await context.engine()).export(container) as answer:
        await streams.write_answer(context, answer, output, "export-output")


async def diff(context: Context, container: str) -> None:
    for change in await (await context.engine()).changes(container):
        context.print(f"{'CAD'[change['Kind']]} {change['Path']}")


async def stats(context: Context, all: bool, format: str, names: tuple[str, ...], no_stream: bool, no_trunc: bool) -> None:
    engine = await context.engine()

    async def listed() -> list[tuple[str, str]]:
        documents = [await engine.container(name) for name in names]
        found = [(d["Id"], d["Name"]) for d in documents] or [(d["Id"], d["Names"][0]) for d in await engine.containers(all=all)]
        return [(id, name.lstrip("/")) for id, name in found]

    await usage.show(context, listed, format, no_stream=no_stream, no_trunc=no_trunc)


async def port(context: Context, container: str, private: str | None) -> None:
    published = (await (await context.engine()).container(container))["NetworkSettings"].get("Ports") or {}
    wanted = private if not private or "/" in private else f"{private}/tcp"
    lines = []
    for inner, bindings in sorted(published.items()):
        for one in bindings or () if wanted in (None, inner) else ():
            address = f"[{one['HostIp']}]" if ":" in one["HostIp"] else one["HostIp"]
            lines.append(("" if wanted else f"{inner} -> ") + f"{address}:{one['HostPort']}")
    if wanted and not lines:
        raise Error("no-port", f"No public port '{private}' published for {container}", remedy="Publish it: `-p`, or `ports`.")
    context.out.write("".join(f"{line}\n" for line in lines))


async def commit(
    context: Context, container: str, reference: str | None, author: str, change: tuple[str, ...], message: str, pause: bool
) -> None:
    repo, tag = split_reference(reference) if reference else ("", "")
    more: dict[str, Any] = {"author": author or None, "comment": message or None, "changes": list(change) or None, "pause": pause}
    context.print((await (await context.engine()).commit(container, repo=repo, tag=tag or "", **more))["Id"])


NAMES = arguments("names", metavar="CONTAINER [CONTAINER...]")
DETACH_KEYS = option("--detach-keys", default="", help="Override the key sequence for detaching a container")
CP = (
    argument("source", metavar="CONTAINER:SRC_PATH|SRC_PATH|-"),
    argument("target", metavar="CONTAINER:DEST_PATH|DEST_PATH|-"),
    flag("-a", "--archive", help="Archive mode (copy all uid/gid information)"),
    flag("-L", "--follow-link", help="Always follow symbol link in SRC_PATH"),
    flag("-q", "--quiet", help="Suppress progress output during copy"),
)
ATTACH = (
    argument("container"),
    DETACH_KEYS,
    flag("--no-stdin", help="Do not attach STDIN"),
    flag("--sig-proxy", default=True, help="Proxy all received signals to the process"),
)
SIGNAL = option("-s", "--signal", help="Signal to send to the container")
TIMEOUT = option("-t", "--timeout", type=int, default=None, help="Seconds to wait before killing the container")
LS = (
    flag("-a", "--all", help="Show all containers (default shows just running)"),
    options("-f", "--filter", help="Filter output based on conditions provided"),
    option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template"),
    option("-n", "--last", type=int, default=-1, help="Show n last created containers (includes all states)"),
    flag("-l", "--latest", help="Show the latest created container (includes all states)"),
    flag("--no-trunc", help="Don't truncate output"),
    flag("-q", "--quiet", help="Only display container IDs"),
    flag("-s", "--size", help="Display total file sizes"),
)
RM = (
    flag("-f", "--force", help="Force the removal of a running container (uses SIGKILL)"),
    flag("-v", "--volumes", help="Remove anonymous volumes associated with the container"),
    NAMES,
)
START = (
    flag("-a", "--attach", help="Attach STDOUT/STDERR and forward signals"),
    flag("-i", "--interactive", help="Attach container's STDIN"),
    DETACH_KEYS,
    NAMES,
)
LOGS = (
    flag("-f", "--follow", help="Follow log output"),
    option("--since", default="", help="Show logs since timestamp or relative (e.g. 42m for 42 minutes)"),
    option("--until", default="", help="Show logs before a timestamp or relative (e.g. 42m for 42 minutes)"),
    option("-n", "--tail", default="all", help="Number of lines to show from the end of the logs"),
    flag("-t", "--timestamps", help="Show timestamps"),
    argument("container"),
)
EXEC = (
    flag("-d", "--detach", help="Detached mode: run command in the background"),
    DETACH_KEYS,
    options("-e", "--env", help="Set environment variables"),
    options("--env-file", help="Read in a file of environment variables"),
    flag("-i", "--interactive", help="Keep STDIN open even if not attached"),
    flag("--privileged", help="Give extended privileges to the command"),
    flag("-t", "--tty", help="Allocate a pseudo-TTY"),
    option("-u", "--user", default="", help="Username or UID"),
    option("-w", "--workdir", default="", help="Working directory inside the container"),
    argument("container"),
    arguments("command", required=True, metavar="COMMAND [ARG...]"),
)
RUN = (
    flag("-d", "--detach", help="Run container in background and print container ID"),
    DETACH_KEYS,
    flag("--sig-proxy", default=True, help="Proxy received signals to the process"),
    *OPTIONS,
)
INSPECT = (
    option("-f", "--format", default="", help="json or a Go template"),
    flag("-s", "--size", help="Display total file sizes"),
    NAMES,
)
PRUNE = (options("--filter", help='Provide filter values (e.g. "until=<timestamp>")'), flag("-f", "--force", help="Do not prompt"))
STATS = (
    flag("-a", "--all", help="Show all containers (default shows just running)"),
    option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template"),
    flag("--no-stream", help="Disable streaming stats and only pull the first result"),
    flag("--no-trunc", help="Do not truncate output"),
    arguments("names", metavar="[CONTAINER...]"),
)
PORT = (argument("container"), argument("private", required=False, metavar="[PRIVATE_PORT[/PROTO]]"))
COMMIT = (
    option("-a", "--author", default="", help='Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
    options("-c", "--change", help="Apply Dockerfile instruction to the created image"),
    option("-m", "--message", default="", help="Commit message"),
    flag("-p", "--pause", default=True, help="Pause container during commit"),
    argument("container"),
    argument("reference", required=False, metavar="[REPOSITORY[:TAG]]"),
)
SUBCOMMANDS: dict[str, tuple[Command, Any]] = {
    "ls": (Command("ls", "List containers", LS), ls),
    "inspect": (Command("inspect", "Display detailed information on one or more containers", INSPECT), inspect),
    "attach": (Command("attach", "Attach to a running container", ATTACH), attach),
    "cp": (Command("cp", "Copy files/folders between a container and the local filesystem", CP), cp),
    "diff": (Command("diff", "Inspect changes to files on a container's filesystem", (argument("container"),)), diff),
    "export": (
        Command(
            "export",
            "Export a container's filesystem as a tar archive",
            (argument("container"), option("-o", "--output", default="", help="Write to a file, instead of STDOUT")),
        ),
        export,
    ),
    "create": (Command("create", "Create a new container", OPTIONS, interspersed=False), attaching.create),
    "run": (Command("run", "Create and run a new container from an image", RUN, interspersed=False), attaching.run),
    "exec": (Command("exec", "Execute a command in a running container", EXEC, interspersed=False), attaching.exec),
    "start": (Command("start", "Start one or more stopped containers", START), start),
    "stop": (Command("stop", "Stop one or more running containers", (SIGNAL, TIMEOUT, NAMES)), stop),
    "restart": (Command("restart", "Restart one or more containers", (SIGNAL, TIMEOUT, NAMES)), restart),
    "kill": (Command("kill", "Kill one or more running containers", (SIGNAL, NAMES)), kill),
    "pause": (Command("pause", "Pause all processes within one or more containers", (NAMES,)), pause),
    "unpause": (Command("unpause", "Unpause all processes within one or more containers", (NAMES,)), unpause),
    "wait": (Command("wait", "Block until containers stop, then print their exit codes", (NAMES,)), wait),
    "update": (Command("update", "Update configuration of one or more containers", (*UPDATE, NAMES)), update),
    "rename": (Command("rename", "Rename a container", (argument("container"), argument("name"))), rename),
    "top": (
        Command(
            "top",
            "Display the running processes of a container",
            (argument("container"), arguments("words", metavar="[ps OPTIONS]")),
            interspersed=False,
        ),
        top,
    ),
    "stats": (Command("stats", "Display a live stream of container(s) resource usage statistics", STATS), stats),
    "port": (Command("port", "List port mappings or a specific mapping for the container", PORT), port),
    "commit": (Command("commit", "Create a new image from a container's changes", COMMIT), commit),
    "rm": (Command("rm", "Remove one or more containers", RM), rm),
    "logs": (Command("logs", "Fetch the logs of a container", LOGS), logs),
    "prune": (Command("prune", "Remove all stopped containers", PRUNE), prune),
}
for _alias, _name in (("list", "ls"), ("ps", "ls"), ("remove", "rm")):
    SUBCOMMANDS[_alias] = SUBCOMMANDS[_name]
