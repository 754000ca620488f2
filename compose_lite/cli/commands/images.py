"""`images`: the images that the project's containers were made from."""

from __future__ import annotations

import time
from typing import Any

from compose_lite import ids, units
from compose_lite.cli import gotemplate, nouns, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.errors import ApiError, UsageError
from compose_lite.project.observe import Seen, containers_of

COMMAND = Command(
    "images",
    "List images used by the created containers",
    (
        option("--format", default="table", help="Format the output. Values: [table | json]"),
        flag("-q", "--quiet", help="Only display IDs"),
        arguments("services"),
    ),
)


async def run(context: Context, services: tuple[str, ...], format: str, quiet: bool) -> None:
    if format not in ("", "table", "json"):
        raise UsageError("format", f'format value "{format}" could not be parsed: parsing failed', remedy="Say table or json.")
    _, name = context.load_or_name()
    engine = await context.engine()
    found = await containers_of(engine, name, services, oneoff=None)
    documents: dict[str, dict[str, Any]] = {}
    for id in {c.image_id for c in found}:
        try:
            documents[id] = await engine.image(id)
        except ApiError as error:
            if error.http_status != 404:
                raise
    rows = [image_row(c, documents[c.image_id]) for c in sorted(found, key=lambda c: c.name) if c.image_id in documents]
    if quiet:
        context.out.write("".join(f"{id.removeprefix('sha256:')}\n" for id in dict.fromkeys(row["ID"] for row in rows)))
    elif format == "json":
        context.print(gotemplate.go_json(rows))
    else:
        head = ["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]
        context.out.write(tables.table([head, *(_cells(row) for row in rows)], tables.COMPOSE))


def image_row(container: Seen, image: dict[str, Any]) -> dict[str, Any]:
    """The fields of --format json."""
    tags = image.get("RepoTags") or []
    named = container.image if ":" in container.image.rsplit("/", 1)[-1] else f"{container.image}:latest"
    repository, _, tag = (named if named in tags else tags[0] if tags else "").rpartition(":")
    platform = "/".join(filter(None, (image.get("Os"), image.get("Architecture"), image.get("Variant"))))
    return {
        "ID": image["Id"],
        "ContainerName": container.name,
        "Repository": repository,
        "Tag": tag,
        "Platform": platform,
        "Size": image.get("Size", 0),
        "LastTagTime": (image.get("Metadata") or {}).get("LastTagTime") or image.get("Created") or "0001-01-01T00:00:00Z",
    }


def _cells(row: dict[str, Any]) -> list[str]:
    tagged = row["LastTagTime"]
    age = "N/A" if tagged.startswith("0001") else nouns.ago(units.parse_rfc3339(tagged) / 10**9, time.time())
    names = [row["ContainerName"], row["Repository"] or "<none>", row["Tag"] or "<none>", row["Platform"]]
    return [*names, ids.short(row["ID"]), units.human_size(row["Size"]), age]
