"""`run`: a one-off container of a service, after what it needs is up."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from compose_lite.cli.attaching import INTERRUPTED, passed_on
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, arguments, flag, option, options
from compose_lite.cli.progress import Plain, progress
from compose_lite.cli.streams import detach_keys, talk
from compose_lite.cli.upping import Upping, pull_policy
from compose_lite.errors import ApiError, ProjectError, UsageError, first_error, nearest
from compose_lite.graph.services import needs
from compose_lite.project.containerspec import Instance, create_body, injected_files
from compose_lite.project.images import ensure_images
from compose_lite.project.injecting import inject
from compose_lite.project.languagemodels import provided_models
from compose_lite.project.observe import containers_of
from compose_lite.project.plan import AwaitCondition
from compose_lite.spec.dotenv import parse
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import PortConfig, Service, VolumeMount, changed
from compose_lite.spec.shellwords import split_words
from compose_lite.spec.shortforms import parse_ports, parse_volume

COMMAND = Command(
    "run",
    "Run a one-off command on a service",
    (
        argument("service"),
        arguments("command", metavar="[COMMAND] [ARGS...]"),
        flag("--build", help="Build image before starting container"),
        options("--cap-add", help="Add Linux capabilities"),
        options("--cap-drop", help="Drop Linux capabilities"),
        flag("-d", "--detach", help="Run container in background and print container ID"),
        option("--entrypoint", help="Override the entrypoint of the image"),
        options("-e", "--env", help="Set environment variables"),
        options("--env-from-file", help="Set environment variables from file"),
        flag("-i", "--interactive", default=True, help="Keep STDIN open even if not attached"),
        options("-l", "--label", help="Add or override a label"),
        option("--name", help="Assign a name to the container"),
        flag("-T", "--no-TTY", "--no-tty", default=None, help="Disable pseudo-TTY allocation (default: auto-detected)"),
        flag("--no-deps", help="Don't start linked services"),
        options("-p", "--publish", help="Publish a container's port(s) to the host"),
        option("--pull", default="policy", help='Pull image before running ("always"|"missing"|"never")'),
        flag("-q", "--quiet", help="Don't print anything to STDOUT but the command's output"),
        flag("--quiet-build", help="Suppress progress output from the build process"),
        flag("--quiet-pull", help="Pull without printing progress information"),
        flag("--remove-orphans", help="Remove containers for services not defined in the Compose file"),
        flag("--rm", help="Automatically remove the container when it exits"),
        flag("-P", "--service-ports", help="Run command with all service's ports enabled and mapped to the host"),
        flag("--use-aliases", help="Use the service's network useAliases in the network(s) the container connects to"),
        option("-u", "--user", help="Run as specified username or uid"),
        options("-v", "--volume", help="Bind mount a volume"),
        option("-w", "--workdir", help="Working directory inside the container"),
        flag("-t", "--tty", default=None, hidden=True),
    ),
    interspersed=False,
)


async def run(context: Context, service: str, command: Sequence[str], **o: Any) -> int:
    project = context.load(profiles=(), services=(service,))
    if service not in project.services:
        raise ProjectError("no-such-service", f"no such service: {service}", remedy=nearest(service, project.services))
    if o["service_ports"] and o["publish"]:
        raise UsageError("flags-together", "--service-ports and --publish are incompatible")
    pull = pull_policy(o["pull"])
    engine, report = await context.engine(), progress(context, quiet=o["quiet"], title="Creating")
    wanted = adapted(project, project.services[service], command, o, context.environ, context.cwd)
    project = project.model_copy(update={"services": {**project.services, service: wanted}})
    project = await _dependencies(context, project, wanted, report, o)
    wanted = project.services[service]
    images = await ensure_images(
        engine, project, [wanted], report, build=o["build"], pull=pull, quiet_pull=o["quiet_pull"], quiet_build=o["quiet_build"]
    )
    report.close()
    slug = secrets.token_hex(32)
    name = o["name"] or wanted.container_name or project.joined(service, "run", slug[:12])
    terminal = wanted.tty
    sharing = {c.service: c.id for c in reversed(await containers_of(engine, project.name, all=True))}
    instance = Instance(
        project, wanted, 1, name, images.get(service, ""), sharing, oneoff=slug, read=lambda p: (Path(project.working_dir) / p).read_text()
    )
    body = create_body(instance)
    body.update(OpenStdin=bool(o["interactive"]), StdinOnce=bool(o["interactive"]), AttachStdin=bool(o["interactive"]) and not o["detach"])
    body["HostConfig"]["AutoRemove"] = bool(o["rm"])
    if o["use_aliases"]:
        for endpoint in body["NetworkingConfig"]["EndpointsConfig"].values():
            endpoint["Aliases"] = [*endpoint["Aliases"], service]
    answer = await engine.create_container(name, body, platform=wanted.platform or None)
    id = str(answer["Id"])
    for warning in answer.get("Warnings") or ():
        report.warn(warning)
    left = False
    try:
        await inject(engine, id, injected_files(instance))
        if o["detach"]:
            await engine.start(id)
            context.print(id)
            return 0
        stdin, keys = bool(o["interactive"]), detach_keys("", context.environ)
        status, left = await _attached(engine, id, stdin=stdin, terminal=terminal, removed=o["rm"], keys=keys)
        return status
    except (ApiError, BaseExceptionGroup) as failed:
        error = first_error(failed)
        if not isinstance(error, ApiError):
            raise
        raise ProjectError("run-failed", str(error), status=not_started(error.says) if wanted.init else 1) from error
    finally:
        if o["rm"] and not o["detach"] and not left:
            with anyio.CancelScope(shield=True), suppress(ApiError):
                await engine.remove(id, force=True, volumes=True)


def not_started(says: str) -> int:
    """Behind an init it is the init that finds no program, and ends with a shell's status."""
    if "executable file not found" in says or "no such file or directory" in says:
        return 127
    return 126 if "permission denied" in says else 1


async def _attached(engine: Any, id: str, *, stdin: bool, terminal: bool, removed: bool, keys: bytes) -> tuple[int, bool]:
    """Attached before the start, so that nothing is missed; the status of the container, once it is gone when it goes by itself.

    The second is true when it was left as it is: by the detach keys, or by a signal where there is no keyboard. The container is given
    that signal, and ends by it or not; `timeout 5 compose-lite run` does not hang. At a keyboard Ctrl-C can come again.
    """
    async with await engine.attach(id, stdin=stdin, tty=terminal) as stream:
        result, left = {"code": 0}, False
        listening = anyio.Event()

        async def wait() -> None:
            condition = "removed" if removed else "next-exit"
            result["code"] = int((await engine.wait(id, condition=condition, registered=listening.set))["StatusCode"])
            ended.set()

        async def signals() -> None:
            nonlocal left
            await passed_on(engine, id, all=os.isatty(0))
            result["code"], left = INTERRUPTED, True
            ended.set()
            talking.cancel()

        ended, talking = anyio.Event(), anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await listening.wait()
            try:
                await engine.start(id)
            except BaseException:
                group.cancel_scope.cancel()
                raise
            group.start_soon(signals)
            await anyio.sleep(0)  # it listens before output is shown that somebody may wait for
            with talking:
                left = await talk(stream, stdin=stdin, terminal=terminal, resize=partial(engine.resize, id), keys=keys)
            if not left:
                await ended.wait()
            group.cancel_scope.cancel()
    return result["code"], left


async def _dependencies(context: Context, project: Project, service: Service, report: Plain, o: dict[str, Any]) -> Project:
    """What the service needs is brought up first; its networks and volumes are made in any case. The project as providers leave it."""
    needed = () if o["no_deps"] else tuple(n for n in needs(service) if n in project.services)
    if needed:
        wishes = {key: o[key] for key in ("quiet_pull", "quiet_build", "remove_orphans")}
        upping = Upping(context, project, report, needed, wishes)
        if context.options.dry_run:
            await upping.show(start=True)
            return project
        work = await upping.converge(start=True)
        project = upping.project
        await _conditions(work, project, service)
    if not needed and not context.options.dry_run:
        project = await provided_models(project, report, context.environ)
    orphans = {"ignore_orphans": True} if needed else {"remove_orphans": o["remove_orphans"]}  # with what is needed they were seen to
    lone = Upping(context, project, report, (service.name,), {"no_deps": True, **orphans})
    await lone.ground()
    return lone.project


async def _conditions(work: Any, project: Project, service: Service) -> None:
    for other, dependency in needs(service).items():
        if dependency.condition != "service_started" and other in project.services:
            names = tuple(c.name for c in await containers_of(work.engine, project.name, [other]))
            await work.perform(AwaitCondition(service.name, other, dependency.condition, dependency.required, names))


def adapted(project: Project, service: Service, command: Sequence[str], o: dict[str, Any], environ: dict[str, str], cwd: str) -> Service:
    """The service as this one-off wants it. Pure but for --env-from-file."""
    terminal = bool(os.isatty(0) and os.isatty(1)) and not o["no_tty"] and not o["detach"]
    if o["no_tty"] is False or o["tty"]:
        terminal = not o["detach"]
    fields: dict[str, Any] = {
        "tty": terminal,
        "stdin_open": bool(o["interactive"]),
        "restart": "",
        "deploy": None,
        "healthcheck": service.healthcheck,
    }
    if service.deploy is not None:
        fields["deploy"] = service.deploy.model_copy(update={"restart_policy": None})
    if command:
        fields["command"] = list(command)
    if o["entrypoint"] is not None:
        fields["entrypoint"] = split_words(o["entrypoint"])
        if not command:
            fields["command"] = []
    if o["user"]:
        fields["user"] = o["user"]
    if o["workdir"]:
        fields["working_dir"] = o["workdir"]
    environment = dict(service.environment)
    for path in o["env_from_file"]:
        try:
            text = (Path(cwd) / path).read_text()
        except OSError as error:
            raise UsageError("option-file", f"open {path}: {(error.strerror or '').lower()}", status=1) from error
        environment.update(parse(text, lambda name: None))  # what it does not say itself is nothing there
    for entry in o["env"]:
        key, equals, value = entry.partition("=")
        found = value if equals else environ.get(key)
        if found is not None:  # a bare name that nobody has set says nothing
            environment[key] = found
    fields["environment"] = {k: v for k, v in environment.items() if v is not None or k in service.environment}
    if wrong := next((e for e in o["label"] if "=" not in e), None):
        raise UsageError("pair", f"label must be set as KEY=VALUE: {wrong}", status=1)
    if o["label"]:
        fields["labels"] = {**service.labels, **{k: v for k, _, v in (e.partition("=") for e in o["label"])}}
    for key, other in (("cap_add", "cap_drop"), ("cap_drop", "cap_add")):
        if o[key] or o[other]:
            fields[key] = [*(one for one in getattr(service, key) if one not in o[other]), *o[key]]
    if not o["service_ports"]:
        fields["ports"] = []
    if o["publish"]:
        fields["ports"] = [*fields.get("ports", service.ports), *(port for text in o["publish"] for port in _ports(text))]
    if o["volume"]:
        fields["volumes"] = [*service.volumes, *(_volume(text, cwd) for text in o["volume"])]
    fields["container_name"] = ""
    return changed(service, **fields)


def _ports(text: str) -> list[PortConfig]:
    return [PortConfig.model_validate(dict(p)) for p in parse_ports(text)]


def _volume(text: str, cwd: str) -> VolumeMount:
    made = VolumeMount.model_validate(dict(parse_volume(text)))
    if made.type == "bind":
        made = made.model_copy(update={"source": str(Path(cwd, made.source).expanduser().resolve())})
    return made
