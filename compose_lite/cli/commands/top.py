"""`top`: the processes of the project's running containers, in one table."""

from __future__ import annotations

from compose_lite.cli import tables
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments
from compose_lite.project.observe import containers_of

COMMAND = Command("top", "Display the running processes", (arguments("services"),))


async def run(context: Context, services: tuple[str, ...]) -> None:
    _, name = context.load_or_name()
    engine = await context.engine()
    titles: dict[str, None] = {}
    lines: list[tuple[list[str], dict[str, str]]] = []
    for container in await containers_of(engine, name, services, oneoff=None, all=False):
        document = await engine.top(container.id)
        titles.update(dict.fromkeys(document["Titles"]))
        head = [container.service, str(container.number or "")]
        lines += [(head, dict(zip(document["Titles"], process, strict=False))) for process in document.get("Processes") or ()]
    if lines:
        cells = [[*head, *(process.get(title, "-") for title in titles)] for head, process in lines]
        context.out.write(tables.table([["SERVICE", "#", *titles], *cells], tables.TOP))
