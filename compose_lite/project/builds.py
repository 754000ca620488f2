"""Building the images of a project's services: what each build is asked for (pure), in which order, and having it done.

On our own engine by paths of this machine (POST /compose-lite/v1/build), on another one by Docker's classic build from a tar.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from compose_lite import __version__, ids
from compose_lite.api.protocol import DockerEngine
from compose_lite.errors import ProjectError
from compose_lite.ignore import Pattern, ignored, parse_ignore
from compose_lite.project import transfers
from compose_lite.project.report import Report
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Build, Service

Document = dict[str, Any]
_AT_ONCE = 4
_SERVICE, _IMAGE = "service:", "docker-image://"


@dataclass(frozen=True, slots=True)
class BuildWishes:
    """What the command line adds to the build sections. environ: for SSH_AUTH_SOCK."""

    args: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    check: bool = False
    ssh: tuple[str, ...] = ()
    provenance: str = ""
    sbom: str = ""
    push: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


class BuildFailed(ProjectError):
    """A build did not come to its end. The text has the lines of the Dockerfile and the reason, as Docker Compose shows them."""

    def __init__(self, service: str, failed: Mapping[str, Any], checked: Sequence[Document] = ()) -> None:
        """checked: what checks had found before."""
        self.checked = checked
        excerpt = f"{failed['excerpt']}\n\n" if failed.get("excerpt") else ""
        target = f"target {service}: " if service else ""
        code = str(failed.get("code") or "build")  # of what went wrong; a step that ended badly has told more itself
        code = "build-failed" if code == "build" or (code == "build-step" and failed.get("exit")) else code
        super().__init__(code, f"{excerpt}{target}failed to solve: {failed['says']}", remedy=failed.get("remedy") or None)


async def build_images(
    engine: DockerEngine, project: Project, services: Iterable[Service], report: Report, wishes: BuildWishes | None = None
) -> list[Document]:
    """Builds them side by side, after those whose images they build on; what checks have found."""
    wishes = wishes or BuildWishes(environ=os.environ)
    chosen = _with_parents(project, list(services))
    done = {service.name: anyio.Event() for service in chosen}
    limit, found = anyio.CapacityLimiter(_AT_ONCE), list[Document]()
    failures: list[BaseException] = []

    async def one(service: Service) -> None:
        for parent in _parents(service):
            await done[parent].wait()
        async with limit:
            try:
                found.extend(await _build(engine, project, service, report, wishes, several=len(chosen) > 1))
            except ProjectError as error:
                failures.append(error)
                group.cancel_scope.cancel()
                return
        done[service.name].set()

    async with anyio.create_task_group() as group:
        for service in chosen:
            group.start_soon(one, service)
    if failures:
        raise failures[0]
    return found


def _parents(service: Service) -> list[str]:
    contexts = service.build.additional_contexts.values() if service.build else ()
    return [value.removeprefix(_SERVICE) for value in contexts if value.startswith(_SERVICE)]


def _with_parents(project: Project, services: Sequence[Service]) -> list[Service]:
    """Those and what they are built on, each once, parents first; ProjectError for a cycle or an unknown one."""
    everything = project.all_services()
    ordered: dict[str, Service] = {}

    def add(service: Service, path: tuple[str, ...]) -> None:
        if service.name in ordered:
            return
        if service.name in path:
            circle = " -> ".join((*path[path.index(service.name) :], service.name))
            raise ProjectError("build-cycle", f"the images of services are built on one another in a circle: {circle}")
        for parent in _parents(service):
            if parent not in everything or everything[parent].build is None:
                says = f"service {service.name!r} is built on the image of service {parent!r}, which is not built"
                where = place(project, ("services", service.name, "build", "additional_contexts"))
                raise ProjectError("build-context", says, place=where, remedy="Name a service with a build section.")
            add(everything[parent], (*path, service.name))
        ordered[service.name] = service

    for service in services:
        add(service, ())
    return list(ordered.values())


# What a build is asked for


def build_request(project: Project, service: Service, wishes: BuildWishes, *, several: bool = False) -> Document:
    """The body of POST /compose-lite/v1/build: the build section, paths of this machine, secrets' contents. Pure."""
    build = service.build
    assert build is not None
    if build.isolation and build.isolation != "default":
        says = f"build.isolation {build.isolation!r} of service {service.name!r} is Windows' own"
        raise ProjectError("build-isolation", says, place=place(project, ("services", service.name, "build", "isolation")))
    args = {k: v for k, v in build.args.items() if v is not None}
    return {
        "context": build.context or project.working_dir,
        "dockerfile": build.dockerfile or "Dockerfile",
        "dockerfile_inline": build.dockerfile_inline,
        "args": {**args, **wishes.args},
        "target": build.target,
        "tags": [project.image_of(service), *build.tags],
        "labels": _labels(project, service, build),
        "no_cache": build.no_cache or wishes.no_cache,
        "pull": build.pull or wishes.pull,
        "network": build.network,
        "extra_hosts": sorted(f"{host}:{a}" for host, addresses in build.extra_hosts.items() for a in addresses),
        "shm_size": build.shm_size,
        "ulimits": {n: [u.single or u.soft, u.single or u.hard] for n, u in build.ulimits.items()},
        "secrets": _secrets(project, build),
        "ssh": _agents(build, wishes),
        "additional_contexts": {name: _context(project, value) for name, value in build.additional_contexts.items()},
        "cache_from": list(build.cache_from),
        "cache_to": list(build.cache_to),
        "platforms": list(build.platforms) or ([service.platform] if service.platform else []),
        "privileged": build.privileged,
        "entitlements": list(build.entitlements),
        "provenance": wishes.provenance or build.provenance,
        "sbom": wishes.sbom or build.sbom,
        "check": wishes.check,
        "prefix": service.name if several else "",
    }


def _labels(project: Project, service: Service, build: Build) -> dict[str, str]:
    return {**build.labels, ids.PROJECT: project.name, ids.SERVICE: service.name, ids.VERSION: __version__}


def _context(project: Project, value: str) -> str:
    if not value.startswith(_SERVICE):
        return value
    parent = project.all_services()[value.removeprefix(_SERVICE)]
    return _IMAGE + project.image_of(parent)


def _secrets(project: Project, build: Build) -> list[Document]:
    found = []
    for reference in build.secrets:
        declared = project.secrets[reference.source]
        entry: Document = {"id": reference.target or reference.source}
        if declared.file:
            entry["file"] = declared.file
        else:
            entry["content"] = base64.b64encode(declared.content.encode()).decode()
        found.append(entry)
    return found


def _agents(build: Build, wishes: BuildWishes) -> list[Document]:
    """`default`, `id=path`; without a path the agent of the environment."""
    given = dict(build.ssh)
    for text in wishes.ssh:
        for entry in text.split(","):
            id_, _, path = entry.partition("=")
            given[id_] = path
    agent = wishes.environ.get("SSH_AUTH_SOCK", "")
    for name, socket in given.items():
        if not socket and not agent:
            says = f"ssh: {name} names no agent, and there is none: SSH_AUTH_SOCK is not set"
            raise ProjectError("build-ssh", says, remedy="Start ssh-agent, or name its socket.")
    return [{"id": id_, "path": path or agent} for id_, path in given.items()]


def bake_file(project: Project, services: Iterable[Service], wishes: BuildWishes) -> Document:
    """What `build --print` shows: the builds as a file for Docker's bake. Pure."""
    targets: dict[str, Document] = {}
    for service in services:
        assert service.build is not None
        asked = build_request(project, service, wishes)
        context, file = asked["context"], asked["dockerfile"]
        secrets = [f"id={s['id']},type=file,src={s['file']}" if "file" in s else f"id={s['id']},type=env" for s in asked["secrets"]]
        entry: Document = {
            "context": context,
            "contexts": asked["additional_contexts"],
            "dockerfile": "" if asked["dockerfile_inline"] else file if "://" in context else os.path.join(context, file),
            "dockerfile-inline": asked["dockerfile_inline"],
            "args": asked["args"],
            "labels": asked["labels"],
            "tags": asked["tags"],
            "target": asked["target"],
            "platforms": asked["platforms"],
            "secret": secrets,
            "ssh": [one["id"] for one in asked["ssh"]],
            "cache-from": asked["cache_from"],
            "cache-to": asked["cache_to"],
            "network": asked["network"],
            "no-cache": asked["no_cache"],
            "pull": asked["pull"],
            "shm-size": str(asked["shm_size"]) if asked["shm_size"] else "",
            "entitlements": asked["entitlements"],
            "output": ["type=docker"],
        }
        targets[service.name] = {key: value for key, value in entry.items() if value}
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


# Having it done


async def _build(
    engine: DockerEngine, project: Project, service: Service, report: Report, wishes: BuildWishes, *, several: bool
) -> list[Document]:
    image = project.image_of(service)
    if not wishes.check:
        report.event("Image", image, "Building")
    found: list[Document] = []
    async for event in stream_build(engine, build_request(project, service, wishes, several=several)):
        if "errorDetail" in event:
            failed = event.get("failed") or {"says": event["error"]}
            report.build(service.name, {"failed": failed})
            report.event("Image", image, "Error", failed=True)
            raise BuildFailed(service.name, failed, found)
        if "check" in event:
            found.append({"service": service.name, "warnings": event["check"], "context": service.build.context if service.build else ""})
        elif "warning" in event:
            report.warn(f"{service.name}: {event['warning']}")
        else:
            report.build(service.name, event)
    if wishes.check:
        return found
    if wishes.push:
        for name in [image, *(service.build.tags if service.build else ())]:
            await transfers.push(engine, name, report)
    report.event("Image", image, "Built", done=True)
    return found


async def stream_build(engine: DockerEngine, request: Document) -> AsyncIterator[Document]:
    """The events of a build; the last one has `aux` with the image's ID, or `errorDetail`."""
    if engine.dry:
        return
    version = await engine.version()
    if (version.get("Platform") or {}).get("Name") == "compose-lite":
        logins = {"docker_config": str(engine.logins.folder)} if engine.logins else {}
        async with engine.client.stream("POST", "/compose-lite/v1/build", body={**request, **logins}) as answer:
            async for event in answer.iter_json():
                yield event
        return
    if request.get("check"):
        raise ProjectError("build-check", "the build checks are compose-lite's own engine's", remedy="Leave --engine out.")
    query = {
        "t": request["tags"],
        "dockerfile": request["dockerfile"],
        "target": request["target"] or None,
        "buildargs": request["args"] or None,
        "labels": request["labels"],
        "nocache": request["no_cache"] or None,
        "pull": request["pull"] or None,
        "networkmode": request["network"] or None,
        "extrahosts": request["extra_hosts"] or None,
        "version": "1",
        "rm": True,
    }
    if request.get("tar"):
        context = await anyio.Path(request["tar"]).read_bytes()
    elif _is_remote(request["context"]):
        context, query["remote"] = b"", request["context"]  # that engine fetches it
    else:
        inline = request.get("dockerfile_inline") or ""
        context, query["dockerfile"] = await anyio.to_thread.run_sync(_context_tar, request["context"], request["dockerfile"], inline)
    async for event in engine.build(context, query=query):
        yield event


def _is_remote(context: str) -> bool:
    return "://" in context or context.startswith(("git@", "github.com/"))


def _context_tar(folder: str, dockerfile: str, inline: str) -> tuple[bytes, str]:
    """The context for a foreign engine's classic build, without what .dockerignore leaves out, and the Dockerfile's name in it."""
    made = io.BytesIO()
    place = os.path.normpath(os.path.join(folder, dockerfile))
    outside = not inline and not place.startswith(os.path.join(os.path.normpath(folder), ""))
    name = ".dockerfile" if outside else "Dockerfile" if inline else os.path.relpath(place, folder)
    content = inline.encode() if inline else Path(place).read_bytes() if outside else None
    with tarfile.open(fileobj=made, mode="w") as tar:
        for member in _members(folder, _patterns(folder, "" if inline else place), {name, ".dockerignore"}):
            if content is None or member != name:
                tar.add(os.path.join(folder, member), arcname=member, recursive=False)
        if content is not None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue(), name


def _patterns(folder: str, dockerfile: str) -> tuple[Pattern, ...]:
    for name in ([f"{dockerfile}.dockerignore"] if dockerfile else []) + [os.path.join(folder, ".dockerignore")]:
        with contextlib.suppress(FileNotFoundError):
            return parse_ignore(Path(name).read_text(encoding="utf-8"))
    return ()


def _members(folder: str, patterns: Sequence[Pattern], always: set[str]) -> Iterator[str]:
    """Relative paths; a folder that is left out is looked into only where an exception may bring something back."""
    look = any(pattern.exception for pattern in patterns)
    for here, folders, files in os.walk(folder):
        inner = os.path.relpath(here, folder)
        names = {name: name if inner == "." else f"{inner}/{name}" for name in (*folders, *files)}
        out = {name for name, path in names.items() if ignored(path, patterns) and path not in always}
        yield from (path for name, path in sorted(names.items()) if name not in out)
        folders[:] = sorted(name for name in folders if look or name not in out or any(a.startswith(names[name] + "/") for a in always))
