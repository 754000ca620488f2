"""`logs`: output of the project's containers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import anyio

from compose_lite import ids
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import one_of
from compose_lite.cli.logview import LogView
from compose_lite.cli.nouns import moment
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.errors import ProjectError, UsageError
from compose_lite.project.observe import containers_of, project_filter

COMMAND = Command(
    "logs",
    "View output from containers",
    (
        arguments("services"),
        flag("-f", "--follow", help="Follow log output"),
        option("--since", help="Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
        option("--until", help="Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
        option("-n", "--tail", default="all", help="Number of lines to show from the end of the logs for each container"),
        flag("-t", "--timestamps", help="Show timestamps"),
        flag("--no-color", help="Produce monochrome output"),
        flag("--no-log-prefix", help="Don't print prefix in logs"),
        option("--index", type=int, default=0, help="index of the container if service has multiple replicas"),
    ),
)


async def run(context: Context, services: Sequence[str], **o: Any) -> None:
    if o["index"] and len(services) != 1:
        raise UsageError("index-service", "--index requires one service to be selected", remedy="Name the service whose replica it is.")
    project, name = context.load_or_name(services)
    engine = await context.engine()
    found = await containers_of(engine, name, services, oneoff=None)
    for service in services:
        if (project is not None and service not in project.all_services()) and not any(c.service == service for c in found):
            raise ProjectError("no-such-service", f"no such service: {service}")
    if o["index"]:
        found = [await one_of(engine, name, services[0], o["index"])]
    elif not services:
        found = [c for c in found if not c.oneoff and (project is None or c.service in project.services)]
    view = LogView(context, engine, prefix=not o["no_log_prefix"], colour=not o["no_color"], timestamps=o["timestamps"])
    labels = {c.id: view.label_of(c.document) for c in found}
    view.width = max((len(v) for v in labels.values()), default=0)
    tail = None if o["tail"] in ("all", "", None) else o["tail"]
    now = time.time_ns()
    options: dict[str, str | None] = {
        "tail": tail,
        "since": moment(o["since"] or "", now, "since") or None,
        "until": moment(o["until"] or "", now, "until") or None,
    }
    if not o["follow"]:
        await _show(engine, view, [(c.id, labels[c.id]) for c in found], options)
        return
    view.services, view.options = services, options
    async with anyio.create_task_group() as group:
        view.group = group
        for container in found:
            if container.state != "created":
                await view.follow(container.id, container.name, container.service)
        group.start_soon(view.listen, name)
        group.start_soon(_newcomers, view, name)
        await view.until_all_ended()
        group.cancel_scope.cancel()


async def _show(engine: DockerEngine, view: LogView, found: Sequence[tuple[str, str]], options: dict[str, str | None]) -> None:
    """In the order of time; one after the other when a terminal is among them, whose output has no lines to order."""
    readable, terminals = [], set()
    for id, label in found:
        document = await engine.container(id)
        if document["HostConfig"]["LogConfig"]["Type"] != "none":
            readable.append((id, label))
        else:
            view.context.warn(f"the output of {document['Name'].lstrip('/')} is not kept (logging driver none)")
        if document["Config"].get("Tty"):
            terminals.add(id)
    if len(readable) > 1 and not terminals:
        await view.merged(readable, **options)
        return
    for id, label in readable:
        await view.show(id, label, follow=False, tty=id in terminals, **options)


async def _newcomers(view: LogView, project: str) -> None:
    """Containers that start while we look."""
    async for event in view.engine.events(filters={"type": ["container"], "event": ["start"], **project_filter(project)}):
        attributes = event["Actor"].get("Attributes") or {}
        service = attributes.get(ids.SERVICE, "")
        if not view.services or service in view.services:
            await view.follow(event["Actor"]["ID"], attributes.get("name", ""), service, again=True)
