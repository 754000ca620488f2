"""The work of `up` and `create`: images, providers, ports, plan, converge, waiting. The attached form is cli/foreground.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.context import Context, is_true
from compose_lite.cli.lifecycle import guard, real
from compose_lite.cli.logview import LogView
from compose_lite.cli.progress import Plain
from compose_lite.cli.timed import FORMS, Listening, Timing
from compose_lite.errors import ApiError, ProjectError, UsageError, nearest
from compose_lite.graph.services import with_dependencies
from compose_lite.logins import Logins
from compose_lite.project import apisocket, planview
from compose_lite.project.containerspec import port_bindings
from compose_lite.project.converge import Converging
from compose_lite.project.images import ensure_images
from compose_lite.project.languagemodels import provided_models, runner
from compose_lite.project.observe import Seen, Snapshot, containers_of, observe
from compose_lite.project.ownership import foreign, refusal, touched
from compose_lite.project.plan import CreateContainer, Keep, Plan, StartContainer
from compose_lite.project.providers import provided
from compose_lite.project.reconcile import Wishes, diverged_volumes, reconcile
from compose_lite.project.recorded import known_configurations, with_recorded_variables
from compose_lite.project.report import Report, Silent
from compose_lite.project.timing import Span
from compose_lite.project.waiting import ended_well, ready
from compose_lite.spec.models.project import Project, place


def parse_scale(entries: Sequence[str], project: Project) -> dict[str, int]:
    """`web=3` of --scale."""
    made = {}
    for entry in entries:
        name, equals, count = entry.partition("=")
        if not equals or not count.isdigit():
            raise UsageError("scale", f'invalid --scale option "{entry}". Should be SERVICE=NUM')
        if name not in project.services:
            raise ProjectError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.services))
        made[name] = int(count)
    return made


@dataclass(slots=True)
class Upping:
    context: Context
    project: Project
    report: Plain
    services: tuple[str, ...]
    options: Mapping[str, Any]
    scale: dict[str, int] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)
    _reserved: bool = False

    def __post_init__(self) -> None:
        if apisocket.users(self.project):
            logins = Logins(self.context.environ).all()
            self.project = apisocket.with_api_socket(self.project, self.context.engine_url(), logins)

    async def view(self, *, start: bool = True) -> planview.View:
        """What `converge` would do. Asks only."""
        engine = await self.context.engine()
        runner(self.project, self.context.environ)
        heard = _Images()
        images = await self._images(engine, heard)
        snapshot = await observe(engine, self.project)
        await self.check_external(engine, self.chosen())
        self.project = await with_recorded_variables(engine, self.project, snapshot)
        plan = reconcile(self.project, snapshot, self.wishes(images, start=start))
        others = foreign(self.project, touched(plan, snapshot.containers), real)
        if others:
            plan.warnings.append(str(refusal(self.project, others)))
        facts = planview.Facts(
            known=await known_configurations(engine, self.project, snapshot, plan),
            images=heard.acts,
            providers=[n for n in self.chosen() if self.project.services[n].provider is not None],
            renew_volumes=bool(self.options.get("renew_anon_volumes")),
            diverged=diverged_volumes(self.project, snapshot),
        )
        return planview.view(self.project, snapshot, plan, facts)

    async def show(self, *, start: bool) -> None:
        """--dry-run."""
        found = await self.view(start=start)
        for warning in found.warnings:
            self.report.warn(warning)
        lines = planview.as_text(found, self.context.cwd).splitlines()
        self.context.out.write("".join(f"DRY-RUN MODE - {line}\n" for line in lines))

    async def converge(self, *, start: bool, view: LogView | None = None) -> Converging:
        """Images, providers, ports, plan, deeds."""
        o, engine = self.options, await self.context.engine()
        runner(self.project, self.context.environ)
        began, listening = time.monotonic(), Listening(self.report)
        images = await self._images(engine, listening)
        self.timing.images = listening.spans
        self.timing.part("images", began)
        began = time.monotonic()
        if any(s.provider is not None for s in self.project.services.values()):
            names = with_dependencies(self.project, self.chosen())
            self.project = await provided(self.project, [n for n in names if n in self.chosen()], self.report, self.context.environ)
        self.project = await provided_models(self.project, self.report, self.context.environ)
        snapshot = await observe(engine, self.project)
        await self.check_external(engine, self.chosen())
        wishes = self.wishes(images, start=start, recreate_volumes=self._may_recreate_volumes(snapshot))
        plan = reconcile(self.project, snapshot, wishes)
        guard(self.context, self.project, touched(plan, snapshot.containers), yes=bool(o.get("yes")))
        work = Converging(engine, self.project, snapshot, self.report, images, o.get("timeout"), bool(o.get("renew_anon_volumes")))
        if view is not None:
            work.before_start = view.follow_started
            steps = [p.step for p in plan.steps if isinstance(p.step, StartContainer | Keep)]
            view.announce([(step.name, step.service) for step in [*steps, *(c for c in plan.creations() if c.replaces)]])
        if start:
            await self._reserve_ports(engine, plan)
        self.timing.part("look and plan", began)
        try:
            await work.run(plan, self.context.options.parallel)
        finally:
            if self._reserved:
                with suppress(ApiError):
                    await engine.extension("POST", "ports/release", body={"Owner": self.project.name})
        return work

    async def ground(self) -> None:
        """Networks and volumes of the services alone; orphans go if that is wished."""
        engine = await self.context.engine()
        await self.check_external(engine, self.chosen())
        snapshot = await observe(engine, self.project)
        plan = reconcile(self.project, snapshot, replace(self.wishes({}, start=False), ground_only=True))
        guard(self.context, self.project, touched(plan, snapshot.containers))
        await Converging(engine, self.project, snapshot, self.report).run(plan)

    def wishes(self, images: Mapping[str, str], *, start: bool, recreate_volumes: bool = False) -> Wishes:
        o, environ = self.options, self.context.environ
        return Wishes(
            services=self.services,
            scale=self.scale,
            images=images,
            force_recreate=bool(o.get("force_recreate") or o.get("renew_anon_volumes")),
            no_recreate=bool(o.get("no_recreate")),
            always_recreate_deps=bool(o.get("always_recreate_deps")),
            no_deps=bool(o.get("no_deps")),
            start=start,
            all_resources=self.context.options.all_resources,
            recreate_volumes=recreate_volumes,
            remove_orphans=bool(o.get("remove_orphans")) or is_true(environ.get("COMPOSE_REMOVE_ORPHANS")),
            ignore_orphans=bool(o.get("ignore_orphans")) or is_true(environ.get("COMPOSE_IGNORE_ORPHANS")),
        )

    async def _images(self, engine: DockerEngine, report: Report) -> dict[str, str]:
        o = self.options
        return await ensure_images(
            engine,
            self.project,
            [self.project.services[n] for n in self.chosen()],
            report,
            build=bool(o.get("build")),
            no_build=bool(o.get("no_build")),
            pull=pull_policy(o.get("pull") or ""),
            quiet_pull=bool(o.get("quiet_pull")),
            quiet_build=bool(o.get("quiet_build")),
            dry_run=self.context.options.dry_run,
        )

    def _may_recreate_volumes(self, snapshot: Snapshot) -> bool:
        """Asked on a terminal, since data is lost; --yes says yes, and without a terminal nothing is lost."""
        names = diverged_volumes(self.project, snapshot)
        if not names:
            return False
        if self.options.get("yes"):
            return True
        asked = f"Volume {', '.join(names)} exists but doesn't match configuration in compose file. Recreate (data will be lost)?"
        if not sys.stdin.isatty():
            self.report.warn(f"{asked} Not without a terminal; say -y to do it.")
            return False
        self.context.err.write(f"{asked} [y/N] ")
        self.context.err.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def chosen(self) -> list[str]:
        if not self.services:
            return list(self.project.services)
        return list(self.services) if self.options.get("no_deps") else with_dependencies(self.project, self.services)

    async def check_external(self, engine: DockerEngine, chosen: Sequence[str]) -> None:
        """External networks and volumes must be there before anything is made."""
        for key in sorted({k for n in chosen if not self.project.services[n].network_mode for k in self.project.services[n].networks}):
            network = self.project.networks[key]
            if network.external:
                await _must_exist(engine.network(network.name), "network", network.name, self.project, ("networks", key))
        for key in sorted({v.source for n in chosen for v in self.project.services[n].volumes if v.source in self.project.volumes}):
            volume = self.project.volumes[key]
            if volume.external:
                await _must_exist(engine.volume(volume.name), "volume", volume.name, self.project, ("volumes", key))

    async def _reserve_ports(self, engine: DockerEngine, plan: Plan) -> None:
        """On our engine all fixed host ports are bound before anything starts; one that is taken is one early error."""
        if not self.context.own_engine:
            return
        for planned in plan.steps:
            step = planned.step
            service = self.project.services.get(getattr(step, "service", ""))
            fresh = (isinstance(step, CreateContainer) and not step.replaces) or (isinstance(step, StartContainer) and step.id)
            if not fresh or service is None:
                continue
            ports = [p for p in service.ports if p.published and "-" not in p.published]
            if ports and self.scale.get(service.name, service.replicas) == 1:
                self._reserved = True
                try:
                    await engine.extension("POST", "ports/reserve", body={"Owner": self.project.name, "PortBindings": port_bindings(ports)})
                except ApiError as error:
                    where = place(self.project, ("services", service.name, "ports"))
                    raise ProjectError(error.reason or "port-in-use", f"service {service.name!r}: {error.says}", place=where) from error

    async def detached(self) -> int:
        o = self.options
        if self.context.options.dry_run:
            await self.show(start=not o.get("no_start"))
            return 0
        try:
            work = await self.converge(start=not o.get("no_start"))
            if o.get("wait"):
                await self._wait(work)
            if o.get("timing"):
                self.report.close()
                self.context.out.write(FORMS[o["timing"]](await self.timing.spans(work)))
        finally:
            self.report.close()
        return 0

    async def _wait(self, work: Converging) -> None:
        """--wait: every container healthy, running where it has no healthcheck, or ended with 0; that, where somebody waits for its end."""
        engine, seconds = work.engine, self.options.get("wait_timeout")
        containers = await containers_of(engine, self.project.name, self.chosen(), all=True)
        one_shot = {
            other
            for name in self.chosen()
            for other, dependency in self.project.services[name].depends_on.items()
            if dependency.condition == "service_completed_successfully"
        }

        async def one(container: Seen) -> None:
            self.report.event("Container", container.name, "Waiting")
            began = time.monotonic()
            try:
                status = "Exited"
                if container.service in one_shot:
                    await ended_well(engine, self.report, container.id, container.name, container.service)
                else:
                    status = await ready(engine, self.report, container.id, container.name)
            except ProjectError as error:
                self.report.event("Container", container.name, "Error", failed=True)
                raise ProjectError("wait-failed", error.says, remedy=error.remedy) from None
            self.timing.waits.append(Span(container.service, container.name, "wait until up", began, time.monotonic()))
            self.report.event("Container", container.name, status, done=True)

        try:
            with anyio.fail_after(seconds or None):
                async with anyio.create_task_group() as group:
                    for container in containers:
                        group.start_soon(one, container)
        except TimeoutError:
            raise ProjectError("wait-timeout", f"timeout waiting for dependencies: application not healthy after {seconds}s") from None


class _Images(Silent):
    """Hears which images would be fetched or built."""

    def __init__(self) -> None:
        self.acts: dict[str, str] = {}

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        if kind == "Image":
            self.acts[name] = {"Pulling": "pull", "Building": "build"}[status]


async def _must_exist(call: Any, kind: str, name: str, project: Project, path: tuple[str, ...]) -> None:
    try:
        await call
    except ApiError as error:
        if error.http_status != 404:
            raise
        says = f"{kind} {name} declared as external, but could not be found"
        if kind == "volume":
            says = f'external volume "{name}" not found'
        raise ProjectError(
            f"external-{kind}", says, place=place(project, path), remedy=f"Create it: `compose-lite {kind} create {name}`."
        ) from None


def pull_policy(text: str) -> str:
    if text not in ("", "always", "missing", "never", "build", "if_not_present", "policy"):
        raise UsageError("pull-policy", f'invalid --pull option "{text}"', remedy="Say always, missing, never or build.")
    return {"if_not_present": "missing", "policy": ""}.get(text, text)
