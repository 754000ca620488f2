"""The images of a project's services: what has to be built or pulled (pure), and doing it.

`image_need` decides by pull_policy and what is there; `ensure_images` looks, acts and answers with the ids. builds.py builds.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from compose_lite.api.protocol import DRY_RUN, DockerEngine
from compose_lite.errors import ApiError, ProjectError
from compose_lite.project import transfers
from compose_lite.project.builds import BuildWishes, build_images
from compose_lite.project.report import Report, Silent
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service, changed
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
    image, policy = project.image_of(service), pull or service.pull_policy or "missing"
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
    wishes: BuildWishes | None = None,
) -> dict[str, str]:
    """Builds and pulls what is needed, side by side; service name -> image id. Raises for the first that cannot be had."""
    import time

    wanted = {project.image_of(s): s for s in services if s.provider is None}
    for service in list(wanted.values()):  # steps of pre_start may have images of their own
        for step in service.pre_start:
            if step.image and step.image not in wanted:
                wanted[step.image] = changed(service, image=step.image, build=None)
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
                group.start_soon(pull_image, engine, project, wanted[need.image], pulling, present[need.image] is not None)
    await build_images(engine, project, [everybody[n.service] for n in needs if n.act == "build"], building, wishes)
    touched = [n.image for n in needs if n.act != "nothing"]
    for image in touched:
        present[image] = await inspect_or_none(engine, image)
    return {s.name: (present.get(project.image_of(s)) or {}).get("Id", "") for s in services if s.provider is None}


async def inspect_or_none(engine: DockerEngine, image: str) -> Document | None:
    try:
        found = await engine.image(image)
        return None if engine.dry and found.get("Id") == DRY_RUN else found
    except ApiError as error:
        if error.http_status == 404:
            return None
        raise


async def pull_image(engine: DockerEngine, project: Project, service: Service, report: Report, present: bool = False) -> None:
    image = project.image_of(service)
    try:
        await transfers.pull(engine, image, report, platform=service.platform or "")
    except ApiError as error:
        raise ApiError(
            error.says, http_status=error.http_status, code="image-pull", remedy=f"Is the name {image!r} right, and its registry reachable?"
        ) from error
