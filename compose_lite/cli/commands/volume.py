"""`volume`: ls, inspect, create, rm, prune, in Docker's forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compose_lite.cli import nouns, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option, options
from compose_lite.errors import UsageError

HELP = "Manage volumes"
HEADERS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Status": "STATUS",
    "Group": "GROUP",
    "Availability": "AVAILABILITY",
}
COLUMNS = ("Driver", "Name")


def row(volume: Mapping[str, Any]) -> tables.Row:
    """A volume's document as `ls` prints it."""
    labels, label = tables.labelled(volume.get("Labels"))
    made = dict.fromkeys(("Availability", "Group", "Links", "Size", "Status"), "N/A")
    return {**made, **{name: volume.get(name, "") for name in ("Name", "Driver", "Scope", "Mountpoint")}, "Labels": labels, "Label": label}


async def ls(context: Context, filter: tuple[str, ...], format: str, quiet: bool) -> None:
    engine = await context.engine()
    found = sorted(await engine.volumes(filters=tables.filters(filter)), key=lambda v: v["Name"])
    context.out.write(tables.listing([row(v) for v in found], HEADERS, COLUMNS, format, quiet="Name" if quiet else ""))


async def inspect(context: Context, names: tuple[str, ...], format: str) -> int:
    nouns.at_least(names, f"{context.program} volume inspect")
    engine = await context.engine()
    return await nouns.inspect(context, names, engine.volume, format)


async def create(context: Context, names: tuple[str, ...], driver: str, label: tuple[str, ...], opt: tuple[str, ...], name: str) -> None:
    if len(names) > 1:
        raise UsageError("argument-many", f"'{context.program} volume create' requires at most 1 argument")
    engine = await context.engine()
    body = {"Name": names[0] if names else name, "Driver": driver, "DriverOpts": nouns.pairs(opt), "Labels": nouns.pairs(label)}
    context.print((await engine.create_volume(body))["Name"])


async def rm(context: Context, names: tuple[str, ...], force: bool) -> int:
    nouns.at_least(names, f"{context.program} volume rm")
    engine = await context.engine()
    return await nouns.each(context, names, lambda name: engine.remove_volume(name, force=force), forgiving=force)


async def prune(context: Context, all: bool, filter: tuple[str, ...], force: bool) -> None:
    wanted = tables.filters(filter)
    if all:
        wanted["all"] = ["true"]
    which = "all local volumes" if all else "anonymous local volumes"
    if nouns.confirmed(context, f"This will remove {which} not used by at least one container.", force):
        done = await (await context.engine()).prune_volumes(filters=wanted)
        nouns.pruned(context, "Volumes", done.get("VolumesDeleted") or [], done.get("SpaceReclaimed") or 0)


FILTER = options("-f", "--filter", help='Provide filter values (e.g. "dangling=true")')
FORMAT = option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template")
SUBCOMMANDS = {
    "ls": (Command("ls", "List volumes", (FILTER, FORMAT, flag("-q", "--quiet", help="Only display volume names"))), ls),
    "inspect": (
        Command(
            "inspect",
            "Display detailed information on one or more volumes",
            (option("-f", "--format", default="", help="json or a Go template"), arguments("names", metavar="VOLUME [VOLUME...]")),
        ),
        inspect,
    ),
    "create": (
        Command(
            "create",
            "Create a volume",
            (
                option("-d", "--driver", default="local", help="Specify volume driver name"),
                options("--label", help="Set metadata for a volume"),
                options("-o", "--opt", help="Set driver specific options"),
                option("--name", default="", hidden=True),
                arguments("names", metavar="[VOLUME]"),
            ),
        ),
        create,
    ),
    "rm": (
        Command(
            "rm",
            "Remove one or more volumes",
            (flag("-f", "--force", help="Force the removal of volumes"), arguments("names", metavar="VOLUME [VOLUME...]")),
        ),
        rm,
    ),
    "prune": (
        Command(
            "prune",
            "Remove unused local volumes",
            (
                flag("-a", "--all", help="Remove all unused volumes, not just anonymous ones"),
                options("--filter", help='Provide filter values (e.g. "label=<label>")'),
                flag("-f", "--force", help="Do not prompt for confirmation"),
            ),
        ),
        prune,
    ),
}
SUBCOMMANDS["list"] = SUBCOMMANDS["ls"]
SUBCOMMANDS["remove"] = SUBCOMMANDS["rm"]
