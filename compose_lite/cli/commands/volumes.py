"""`volumes`: the project's volumes, or those that some services' containers mount."""

from __future__ import annotations

from compose_lite.cli import tables
from compose_lite.cli.commands.volume import COLUMNS, HEADERS, row
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.errors import ProjectError
from compose_lite.project.observe import containers_of, project_filter

COMMAND = Command(
    "volumes",
    "List volumes",
    (
        option("--format", default="table", help="Format output: table, 'table TEMPLATE', json or a Go template"),
        flag("-q", "--quiet", help="Only display volume names"),
        arguments("services"),
    ),
)


async def run(context: Context, services: tuple[str, ...], format: str, quiet: bool) -> None:
    project, name = context.load_or_name()
    engine = await context.engine()
    found = await engine.volumes(filters=project_filter(name))
    if services:
        containers = await containers_of(engine, name, services, oneoff=None)
        for service in services:
            if not any(c.service == service for c in containers) and (project is None or service not in project.all_services()):
                raise ProjectError("no-such-service", f"no such service: {service}")
        mounted = {m.get("Name") for c in containers for m in c.document.get("Mounts") or ()}
        found = [v for v in found if v["Name"] in mounted]
    rows = [row(v) for v in sorted(found, key=lambda v: v["Name"])]
    context.out.write(tables.listing(rows, HEADERS, COLUMNS, "" if quiet else format, quiet="Name" if quiet else ""))
