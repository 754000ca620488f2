"""`ls`: the projects that have containers, by the labels of these."""

from __future__ import annotations

from collections import Counter
from typing import Any

from compose_lite import ids
from compose_lite.cli import gotemplate, tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, flag, option, options
from compose_lite.errors import UsageError

COMMAND = Command(
    "ls",
    "List running compose projects",
    (
        flag("-a", "--all", help="Show all stopped Compose projects"),
        options("--filter", help="Filter output based on conditions provided"),
        option("--format", default="table", help="Format the output. Values: [table | json]"),
        flag("-q", "--quiet", help="Only display project names"),
    ),
)


async def run(context: Context, all: bool, filter: tuple[str, ...], format: str, quiet: bool) -> None:
    if format not in ("", "table", "json"):
        raise UsageError("format", f'format value "{format}" could not be parsed: parsing failed', remedy="Say table or json.")
    wanted = tables.filters(filter, ("name",)).get("name", [])
    found = await (await context.engine()).containers(all=all, filters={"label": [ids.PROJECT]})
    rows = [row for row in projects(found) if not wanted or any(name in row["Name"] for name in wanted)]
    if quiet:
        context.out.write("".join(f"{row['Name']}\n" for row in rows))
    elif format == "json":
        context.print(gotemplate.go_json(rows))
    else:
        cells = [[row["Name"], row["Status"], row["ConfigFiles"]] for row in rows]
        context.out.write(tables.table([["NAME", "STATUS", "CONFIG FILES"], *cells], tables.COMPOSE))


def projects(containers: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row a project, by name: how many of its containers are in which state, and its files."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for container in containers:
        by_name.setdefault((container.get("Labels") or {}).get(ids.PROJECT, ""), []).append(container)
    rows = []
    for name, own in sorted(by_name.items()):
        states = Counter(str(c.get("State")) for c in own)
        files = dict.fromkeys(f for c in own for f in (c["Labels"].get(ids.CONFIG_FILES) or "N/A").split(","))
        known = [f for f in files if f != "N/A"] or ["N/A"]
        status = ", ".join(f"{state}({count})" for state, count in sorted(states.items()))
        rows.append({"Name": name, "Status": status, "ConfigFiles": ",".join(known)})
    return rows
