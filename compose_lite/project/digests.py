"""Images pinned to what their registry has now: `config --resolve-image-digests`, `--lock-image-digests` and `publish`.

As with Docker Compose it is the registry that is asked, by way of the engine, never what lies on this machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from compose_lite import reference
from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError, ImageError, Place, ProjectError
from compose_lite.project.configtext import ConfigText, check_format, checked, in_order
from compose_lite.spec.load import LoadOptions, load_model
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service, changed
from compose_lite.spec.render import as_text, ordinary, render

Asked = Callable[[], Awaitable[Engine]]
"""Gives the engine; called only when a registry has to be asked."""


async def pinned_text(options: LoadOptions, format: str, *, lock: bool, engine: Asked) -> ConfigText:
    """What `config` prints with its images by digest. lock: nothing but the images, as an override of the files."""
    check_format(format)
    if not options.interpolate:
        model = load_model(options)
        tree = ordinary(model.tree)
        services: dict[str, Any] = tree.get("services") or {}
        found = await pinned({name: (str(s["image"]), None) for name, s in services.items() if s.get("image")}, engine)
        for name, image in found.items():
            services[name]["image"] = image
        if lock:
            only = {name: {"image": found[name]} if name in found else {} for name in services}
            tree = {"services": only} if services else {}
        return ConfigText(as_text(in_order(tree), format), model.warnings)
    loaded = checked(options)
    project = await pinned_project(loaded.project, engine)
    if lock:
        project = Project(services={name: Service(name=name, image=service.image) for name, service in project.services.items()})
    return ConfigText(render(project, format), loaded.warnings)


async def pinned_project(project: Project, engine: Asked) -> Project:
    """The project with every image that its files name by digest; services without one, which are built, stay as they are."""
    named = {name: (s.image, place(project, ("services", name, "image"))) for name, s in project.services.items() if s.image}
    images = await pinned(named, engine)
    services = {name: changed(s, image=images.get(name, s.image)) for name, s in project.services.items()}
    return project.model_copy(update={"services": services})


async def pinned(images: dict[str, tuple[str, Place | None]], engine: Asked) -> dict[str, str]:
    """Service -> its image's full name by digest, of service -> (image, where it is said). Each name is asked for once, side by side."""
    refs = {service: _parsed(service, image, where) for service, (image, where) in images.items()}
    wanted = {str(ref): service for service, ref in refs.items() if not ref.digest}
    digests: dict[str, str] = {}

    async def look(name: str, service: str) -> None:
        digests[name] = await _digest(asked, name, service, images[service][1])

    if wanted:
        asked = await engine()
        async with anyio.create_task_group() as group:
            for name, service in wanted.items():
                group.start_soon(look, name, service)
    return {service: str(ref) if ref.digest else f"{ref}@{digests[str(ref)]}" for service, ref in refs.items()}


def _parsed(service: str, image: str, where: Place | None) -> reference.Reference:
    """Docker's canonical name: a tag beside a digest says nothing and is left out."""
    try:
        ref = reference.parse_tagged(image)
    except ImageError as error:
        raise ProjectError(error.code, f"services.{service}.image: {error.says}", place=where, remedy=error.remedy) from error
    return ref.with_digest(ref.digest) if ref.digest else ref


async def _digest(engine: Engine, name: str, service: str, where: Place | None) -> str:
    try:
        found = await engine.distribution(name)
    except ApiError as error:
        if not error.http_status:
            raise
        says = f"services.{service}.image: failed to resolve digest for {name}: {error.says}"
        raise ProjectError("image-digest", says, place=where, remedy=_REMEDIES.get(error.http_status, _REACH)) from error
    return str((found.get("Descriptor") or {}).get("digest", ""))


_REACH = "Is its registry reachable?"
_REMEDIES = {
    404: "Push the image first, or correct the name: digests are those of the registry, not of images on this machine.",
    401: "Log in by `docker login`, or correct the name.",
    403: "Log in by `docker login`, or correct the name.",
}
