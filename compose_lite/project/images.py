"""The images of a project's services: what has to be built or pulled (pure), and doing it.

`image_needs` decides by pull_policy and what is there; `ensure_images` looks, acts and answers with the ids.
"""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio

from compose_lite import __version__, ids
from compose_lite.api.protocol import DockerEngine
from compose_lite.errors import ApiError, ProjectError
from compose_lite.project.report import Report, Silent
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service
from compose_lite.units import parse_duration

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """act: nothing, pull, build, or missing (it is not there and may not be fetched)."""

    service: str
    image: str
    act: Literal["nothing", "pull", "build", "missing"]
    because: str = ""


def image_need(project: Project, service: Service, present: Document | None, *, build: bool, no_build: bool, pull: str, now: float) -> Need:
    """What has to happen for one service's image. pull: the command line's policy, empty for the service's own."""
    image, policy = service.image_name(project.name), pull or service.pull_policy or "missing"
    if service.build is not None:
        if no_build and present is None:
            return Need(service.name, image, "missing", "--no-build")
        if not no_build and (build or policy == "build" or present is None):
            return Need(service.name, image, "build")
        return Need(service.name, image, "nothing")
    if policy == "never":
        return Need(service.name, image, "nothing" if present else "missing", "pull_policy: never")
    if policy == "build":
        says = f"service {service.name!r} has pull_policy `build` but no build section"
        raise ProjectError("no-build", says, place=place(project, ("services", service.name, "pull_policy")))
    if policy == "always" or present is None:
        return Need(service.name, image, "pull")
    age = refresh_after(policy)
    if age is not None and now - _pulled_at(present) > age:
        return Need(service.name, image, "pull")
    return Need(service.name, image, "nothing")


def refresh_after(policy: str) -> float | None:
    """Seconds of `daily`, `weekly` and `every_<duration>`; None for the others."""
    if policy == "daily":
        return 86400.0
    if policy == "weekly":
        return 7 * 86400.0
    if policy.startswith("every_"):
        with suppress(ValueError):
            return parse_duration(policy.removeprefix("every_"), days=True) / 10**9
    return None


def _pulled_at(image: Document) -> float:
    from compose_lite.units import parse_rfc3339

    stamp = (image.get("Metadata") or {}).get("LastTagTime") or image.get("Created") or ""
    with suppress(ValueError):
        return parse_rfc3339(stamp) / 10**9
    return 0.0


async def ensure_images(
    engine: DockerEngine,
    project: Project,
    services: Iterable[Service],
    report: Report,
    *,
    build: bool = False,
    no_build: bool = False,
    pull: str = "",
    quiet_pull: bool = False,
    quiet_build: bool = False,
    dry_run: bool = False,
) -> dict[str, str]:
    """Builds and pulls what is needed, side by side; service name -> image id. Raises for the first that cannot be had."""
    import time

    wanted = {s.image_name(project.name): s for s in services if s.provider is None}
    present: dict[str, Document | None] = {}

    async def look(image: str) -> None:
        present[image] = await inspect_or_none(engine, image)

    async with anyio.create_task_group() as group:
        for image in wanted:
            group.start_soon(look, image)
    needs = [
        image_need(project, service, present[image], build=build, no_build=no_build, pull=pull, now=time.time())
        for image, service in wanted.items()
    ]
    for need in needs:
        if need.act == "missing":
            remedy = (
                f"Pull it first: `compose-lite image pull {need.image}`." if not need.because.startswith("--") else "Leave --no-build out."
            )
            raise ProjectError("image-missing", f"No such image: {need.image} ({need.because})", remedy=remedy)
    if dry_run:
        for need in needs:
            if need.act != "nothing":
                report.event("Image", need.image, "Pulling" if need.act == "pull" else "Building")
        needs = []
    pulling, building = Silent() if quiet_pull else report, Silent() if quiet_build else report
    everybody = project.all_services()
    async with anyio.create_task_group() as group:
        for need in needs:
            if need.act == "pull":
                group.start_soon(pull_image, engine, project, everybody[need.service], pulling, present[need.image] is not None)
    await build_images(engine, project, [everybody[n.service] for n in needs if n.act == "build"], building)
    touched = [n.image for n in needs if n.act != "nothing"]
    for image in touched:
        present[image] = await inspect_or_none(engine, image)
    return {s.name: (present.get(s.image_name(project.name)) or {}).get("Id", "") for s in services if s.provider is None}


async def inspect_or_none(engine: DockerEngine, image: str) -> Document | None:
    try:
        return await engine.image(image)
    except ApiError as error:
        if error.http_status == 404:
            return None
        raise


async def pull_image(engine: DockerEngine, project: Project, service: Service, report: Report, present: bool = False) -> None:
    image = service.image_name(project.name)
    report.event("Image", image, "Pulling")
    try:
        async for progress in engine.pull(image, platform=service.platform or None):
            if progress.get("progressDetail", {}).get("total"):
                detail = progress["progressDetail"]
                report.event("Image", image, "Pulling", detail=f"{progress.get('id', '')} {detail['current'] * 100 // detail['total']}%")
    except ApiError as error:
        report.event("Image", image, "Error", failed=True, detail=error.says)
        raise ApiError(
            error.says, http_status=error.http_status, code="image-pull", remedy=f"Is the name {image!r} right, and its registry reachable?"
        ) from error
    report.event("Image", image, "Pulled", done=True)


async def build_images(engine: DockerEngine, project: Project, services: Iterable[Service], report: Report, **options: Any) -> None:
    """One after the other what is built from others of them, the rest as it comes."""
    for service in services:
        await build_image(engine, project, service, report, **options)


def build_request(project: Project, service: Service, **options: Any) -> Document:
    """The body of POST /compose-lite/v1/build: the build section, paths of this machine, secrets' contents. Pure."""
    build = service.build
    assert build is not None
    image = service.image_name(project.name)
    labels = {**build.labels, ids.PROJECT: project.name, ids.SERVICE: service.name, ids.VERSION: __version__}
    secrets = []
    for reference in build.secrets:
        declared = project.secrets[reference.source]
        entry: Document = {"id": reference.target or reference.source}
        if declared.file:
            entry["file"] = declared.file
        else:
            entry["content"] = base64.b64encode(declared.content.encode()).decode()
        secrets.append(entry)
    args = {k: v for k, v in build.args.items() if v is not None}
    request: Document = {
        "context": build.context,
        "dockerfile": build.dockerfile or "Dockerfile",
        "dockerfile_inline": build.dockerfile_inline,
        "args": {**args, **(options.get("args") or {})},
        "target": build.target,
        "tags": [image, *build.tags],
        "labels": labels,
        "no_cache": build.no_cache or bool(options.get("no_cache")),
        "pull": build.pull or bool(options.get("pull")),
        "network": build.network,
        "extra_hosts": sorted(f"{host}:{a}" for host, addresses in build.extra_hosts.items() for a in addresses),
        "shm_size": build.shm_size,
        "ulimits": {n: [u.single or u.soft, u.single or u.hard] for n, u in build.ulimits.items()},
        "secrets": secrets,
        "ssh": [{"id": key, "path": path or ""} for key, path in build.ssh.items()],
        "additional_contexts": dict(build.additional_contexts),
        "cache_from": list(build.cache_from),
        "cache_to": list(build.cache_to),
        "platforms": list(build.platforms) or ([service.platform] if service.platform else []),
        "privileged": build.privileged,
    }
    return request


async def build_image(engine: DockerEngine, project: Project, service: Service, report: Report, **options: Any) -> str:
    """The new image's id. On our engine by path; elsewhere by Docker's classic build, from a tar."""
    image = service.image_name(project.name)
    report.event("Image", image, "Building")
    request = build_request(project, service, **options)
    found = ""
    async for one in _stream(engine, request):
        if one.get("stream"):
            report.output(service.name, one["stream"])
        if one.get("error"):
            report.event("Image", image, "Error", failed=True)
            status = int((one.get("errorDetail") or {}).get("code") or 0)
            raise ProjectError("build-failed", f"target {service.name}: failed to solve: {one['error']}", status=17 if not status else 1)
        found = (one.get("aux") or {}).get("ID") or found
    report.event("Image", image, "Built", done=True)
    return found


async def _stream(engine: DockerEngine, request: Mapping[str, Any]) -> Any:
    version = await engine.version()
    if (version.get("Platform") or {}).get("Name") == "compose-lite":
        raise ProjectError(
            "build-missing",
            f"this version of compose-lite cannot build images yet: {request['tags'][0]}",
            remedy="Build it elsewhere and load it (`compose-lite image load -i ARCHIVE`), or name an `image:`.",
        )
    query = {
        "t": request["tags"],
        "dockerfile": request["dockerfile"],
        "target": request["target"] or None,
        "buildargs": request["args"] or None,
        "labels": request["labels"],
        "nocache": request["no_cache"] or None,
        "pull": request["pull"] or None,
        "version": "1",
        "rm": True,
    }
    context = await anyio.to_thread.run_sync(_context_tar, request["context"])
    async for one in engine.build(context, query=query):
        yield one


def _context_tar(folder: str) -> bytes:
    """A small context for a foreign engine's classic build."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.add(str(Path(folder)), arcname=".")
    return made.getvalue()
