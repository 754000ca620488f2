"""`image`: ls, inspect, rm, tag, history, prune, build, load, save, pull, push, in Docker's forms."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import anyio

from compose_lite import ids, units
from compose_lite.api.protocol import split_reference
from compose_lite.cli import imagebuild, nouns, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, arguments, flag, option, options
from compose_lite.cli.streams import write_answer
from compose_lite.errors import ApiError, Error, UsageError

HELP = "Manage images"
NONE = "<none>"
HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
HISTORY_HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}


# --- ls


def rows(image: Mapping[str, Any], now: float, *, no_trunc: bool = False, digests: bool = False) -> list[tables.Row]:
    """A summary as `ls` prints it: a row for each tag (and digest, if asked for); one of `<none>` without any."""
    named = [(*_split_tag(ref), NONE) for ref in image.get("RepoTags") or () if ref != "<none>:<none>"]
    by_digest = [ref.partition("@") for ref in image.get("RepoDigests") or () if not ref.startswith("<none>@")]
    if digests:
        known = {repo: digest for repo, _, digest in by_digest}
        named = [(repo, tag, known.get(repo, NONE)) for repo, tag, _ in named]
    if not named:
        named = [(repo, NONE, digest if digests else NONE) for repo, _, digest in by_digest] or [(NONE, NONE, NONE)]
    size = int(image.get("Size") or 0)
    created = float(image.get("Created") or 0)
    count = image.get("Containers", -1)
    same = {
        "ID": image["Id"] if no_trunc else ids.short(image["Id"]),
        "CreatedSince": nouns.ago(created, now) if created > 0 else "N/A",
        "CreatedAt": nouns.created_at(created),
        "Size": units.human_size(size),
        "VirtualSize": units.human_size(size),
        "Containers": "N/A" if count is None or count < 0 else str(count),
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
    }
    return [{**same, "Repository": repo, "Tag": tag, "Digest": digest} for repo, tag, digest in named]


def _split_tag(reference: str) -> tuple[str, str]:
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, NONE)


async def ls(
    context: Context, names: tuple[str, ...], all: bool, digests: bool, filter: tuple[str, ...], format: str, no_trunc: bool, quiet: bool
) -> None:
    wanted = tables.filters(filter)
    if names:
        wanted["reference"] = [*wanted.get("reference", ()), *names]
    found = await (await context.engine()).images(all=all, filters=wanted)
    found.sort(key=lambda i: -(i.get("Created") or 0))
    now = time.time()
    if quiet and format in ("", "table"):
        unique = dict.fromkeys(i["Id"] if no_trunc else ids.short(i["Id"]) for i in found)
        context.out.write("".join(f"{one}\n" for one in unique))
        return
    made = [row for image in found for row in rows(image, now, no_trunc=no_trunc, digests=digests)]
    columns = ("Repository", "Tag", *(("Digest",) if digests else ()), "ID", "CreatedSince", "Size")
    context.out.write(tables.listing(made, HEADERS, columns, format))


# --- one image


async def inspect(context: Context, names: tuple[str, ...], format: str, platform: str | None) -> int:
    nouns.at_least(names, f"{context.program} image inspect")
    engine = await context.engine()
    return await nouns.inspect(context, names, lambda name: engine.image(name, platform=platform), format)


async def rm(context: Context, names: tuple[str, ...], force: bool, no_prune: bool) -> int:
    nouns.at_least(names, f"{context.program} image rm")
    engine = await context.engine()
    status = 0
    for name in names:
        try:
            for one in await engine.remove_image(name, force=force, prune=not no_prune):
                context.print("".join(f"{word}: {one[word]}" for word in ("Untagged", "Deleted") if one.get(word)))
        except ApiError as error:
            if not error.http_status:
                raise
            context.err.write(f"{error}\n")
            status = status if force and error.http_status == 404 else 1
    return status


async def tag(context: Context, source: str, target: str) -> None:
    repo, name = split_reference(target)
    await (await context.engine()).tag(source, repo, name)


def history_row(step: Mapping[str, Any], now: float, no_trunc: bool, human: bool) -> tables.Row:
    created = float(step.get("Created") or 0)
    stamp = units.rfc3339(int(created) * 10**9)
    by = str(step.get("CreatedBy") or "").replace("\t", " ")
    return {
        "ID": step.get("Id", "") if no_trunc or step.get("Id") == "<missing>" else ids.short(step.get("Id", "")),
        "CreatedAt": stamp,
        "CreatedSince": (nouns.ago(created, now) if created > 0 else "N/A") if human else stamp,
        "CreatedBy": by if no_trunc else tables.trimmed(by, 45),
        "Size": units.human_size(step.get("Size") or 0) if human else str(step.get("Size") or 0),
        "Comment": step.get("Comment") or "",
    }


async def history(context: Context, name: str, format: str, human: bool, no_trunc: bool, quiet: bool) -> None:
    now = time.time()
    made = [history_row(step, now, no_trunc, human) for step in await (await context.engine()).history(name)]
    columns = ("ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment")
    context.out.write(tables.listing(made, HISTORY_HEADERS, columns, format, quiet="ID" if quiet else ""))


async def prune(context: Context, all: bool, filter: tuple[str, ...], force: bool) -> None:
    wanted = tables.filters(filter)
    wanted["dangling"] = ["false" if all else "true"]
    which = "all images without at least one container associated to them" if all else "all dangling images"
    if not nouns.confirmed(context, f"This will remove {which}.", force):
        return
    done = await (await context.engine()).prune_images(filters=wanted)
    lines = [f"{word.lower()}: {one[word]}" for one in done.get("ImagesDeleted") or () for word in ("Untagged", "Deleted") if one.get(word)]
    nouns.pruned(context, "Images", lines, done.get("SpaceReclaimed") or 0)


# --- to and from files and registries


async def load(context: Context, input: str, quiet: bool) -> None:
    if not input and os.isatty(0):
        raise UsageError("load-terminal", "requested load from stdin, but stdin is empty", remedy="Name a file with --input.")
    try:
        source: BinaryIO = Path(context.cwd, input).open("rb") if input else sys.stdin.buffer
    except OSError as error:
        raise Error("load-input", f"open {input}: {(error.strerror or str(error)).lower()}") from error
    with source:
        async for one in (await context.engine()).load(_parts(source), quiet=quiet):
            if one.get("stream"):
                context.out.write(one["stream"])


async def _parts(source: BinaryIO) -> AsyncIterator[bytes]:
    while part := await anyio.to_thread.run_sync(source.read, 1 << 20):
        yield part


async def save(context: Context, names: tuple[str, ...], output: str) -> None:
    nouns.at_least(names, f"{context.program} image save")
    if not output and os.isatty(1):
        raise UsageError("save-terminal", "cowardly refusing to save to a terminal", remedy="Use the -o flag or redirect.")
    async with (await context.engine()).save(list(names)) as answer:
        await write_answer(context, answer, output, "save-output")


async def pull(context: Context, name: str, platform: str | None, quiet: bool) -> None:
    repo, tag_or_digest = split_reference(name)
    full = f"{repo}{'@' if ':' in (tag_or_digest or '') else ':'}{tag_or_digest}"
    if not quiet and tag_or_digest == "latest" and full != name:
        context.print("Using default tag: latest")
    async for one in (await context.engine()).pull(name, platform=platform):
        if not quiet:
            _progress(context, one)
    context.print(full)


async def push(context: Context, name: str, quiet: bool) -> None:
    async for one in (await context.engine()).push(name):
        if not quiet:
            _progress(context, one)
    if quiet:
        context.print(name)


def _progress(context: Context, one: Mapping[str, Any]) -> None:
    """A document of a transfer as one line; bars of bytes are left out."""
    if one.get("status") and not one.get("progressDetail"):
        context.print(f"{one['id']}: {one['status']}" if one.get("id") else one["status"])


FORMAT = option("--format", default="", help="Format output: table, 'table TEMPLATE', json or a Go template")
QUIET = flag("-q", "--quiet", help="Only show image IDs")
LS: Sequence[Any] = (
    flag("-a", "--all", help="Show all images (default hides intermediate images)"),
    flag("--digests", help="Show digests"),
    options("-f", "--filter", help="Filter output based on conditions provided"),
    FORMAT,
    flag("--no-trunc", help="Don't truncate output"),
    QUIET,
    arguments("names", metavar="[REPOSITORY[:TAG]]"),
)
INSPECT = (
    option("-f", "--format", default="", help="json or a Go template"),
    option("--platform", help="Inspect a specific platform of the image"),
    arguments("names", metavar="IMAGE [IMAGE...]"),
)
RM = (
    flag("-f", "--force", help="Force removal of the image"),
    flag("--no-prune", help="Do not delete untagged parents"),
    arguments("names", metavar="IMAGE [IMAGE...]"),
)
HISTORY = (
    FORMAT,
    flag("-H", "--human", default=True, help="Print sizes and dates in human readable format"),
    flag("--no-trunc", help="Don't truncate output"),
    QUIET,
    argument("name", metavar="IMAGE"),
)
PRUNE = (
    flag("-a", "--all", help="Remove all unused images, not just dangling ones"),
    options("--filter", help='Provide filter values (e.g. "until=<timestamp>")'),
    flag("-f", "--force", help="Do not prompt for confirmation"),
)
LOAD = (
    option("-i", "--input", default="", help="Read from tar archive file, instead of STDIN"),
    flag("-q", "--quiet", help="Suppress the load output"),
)
PULL = (
    option("--platform", help="Set platform if server is multi-platform capable"),
    flag("-q", "--quiet", help="Suppress verbose output"),
    argument("name", metavar="NAME[:TAG|@DIGEST]"),
)
SUBCOMMANDS = {
    "ls": (Command("ls", "List images", LS), ls),
    "inspect": (Command("inspect", "Display detailed information on one or more images", INSPECT), inspect),
    "rm": (Command("rm", "Remove one or more images", RM), rm),
    "tag": (
        Command(
            "tag",
            "Create a tag TARGET that refers to SOURCE",
            (argument("source", metavar="SOURCE_IMAGE[:TAG]"), argument("target", metavar="TARGET_IMAGE[:TAG]")),
        ),
        tag,
    ),
    "history": (Command("history", "Show the history of an image", HISTORY), history),
    "prune": (Command("prune", "Remove unused images", PRUNE), prune),
    "load": (Command("load", "Load an image from a tar archive or STDIN", LOAD), load),
    "save": (
        Command(
            "save",
            "Save one or more images to a tar archive (streamed to STDOUT by default)",
            (
                option("-o", "--output", default="", help="Write to a file, instead of STDOUT"),
                arguments("names", metavar="IMAGE [IMAGE...]"),
            ),
        ),
        save,
    ),
    "pull": (Command("pull", "Download an image from a registry", PULL), pull),
    "push": (
        Command(
            "push",
            "Upload an image to a registry",
            (flag("-q", "--quiet", help="Suppress verbose output"), argument("name", metavar="NAME[:TAG|@DIGEST]")),
        ),
        push,
    ),
}
SUBCOMMANDS["build"] = (imagebuild.COMMAND, imagebuild.build)
SUBCOMMANDS["list"] = SUBCOMMANDS["ls"]
SUBCOMMANDS["remove"] = SUBCOMMANDS["rm"]
