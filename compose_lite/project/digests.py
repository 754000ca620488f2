"""Images pinned to what their registry has now: `config --resolve-image-digests`, `--lock-image-digests` and `publish`.

As with Docker Compose it is the registry that is asked, by way of the engine, never what lies on this machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from compose_lite import reference
from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError, ImageError, Place, ProjectError
from compose_lite.project.configtext import ConfigText, check_format, checked
from compose_lite.spec.document import Path, dotted
from compose_lite.spec.load import LoadOptions, load_model
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service, changed
from compose_lite.spec.render import model_text, ordinary, render

Asked = Callable[[], Awaitable[Engine]]
"""Gives the engine; called only when a registry has to be asked."""


async def pinned_text(options: LoadOptions, format: str, *, lock: bool, engine: Asked) -> ConfigText:
    """What `config` prints with its images by digest. lock: nothing but the images, as an override of the files."""
    check_format(format)
    if not options.interpolate:
        model = load_model(options)
        tree = ordinary(model.tree)
        services: dict[str, Any] = tree.get("services") or {}
        named = {name: service for name, service in services.items() if service.get("image")}
        found = await pinned({("services", name, "image"): (str(service["image"]), None) for name, service in named.items()}, engine)
        for name, service in named.items():
            service["image"] = found["services", name, "image"]
        if lock:
            only = {name: {"image": s["image"]} if s.get("image") else {} for name, s in services.items()}
            tree = {"services": only} if services else {}
        return ConfigText(model_text(tree, format), model.warnings)
    loaded = checked(options)
    project = await pinned_project(loaded.project, engine)
    if lock:
        project = Project(services={name: Service(name=name, image=service.image) for name, service in project.services.items()})
    return ConfigText(render(project, format), loaded.warnings)


async def pinned_project(project: Project, engine: Asked) -> Project:
    """The project with every image that its files name by digest, those of pre_start's steps too; what is only built stays as it is."""
    paths: dict[Path, str] = {}
    for name, service in project.services.items():
        paths[("services", name, "image")] = service.image
        paths |= {("services", name, "pre_start", n, "image"): step.image for n, step in enumerate(service.pre_start)}
    found = await pinned({path: (image, place(project, path)) for path, image in paths.items() if image}, engine)
    return project.model_copy(update={"services": {name: _with(s, name, found) for name, s in project.services.items()}})


def _with(service: Service, name: str, found: Mapping[Path, str]) -> Service:
    steps = [
        step.model_copy(update={"image": found.get(("services", name, "pre_start", n, "image"), step.image)})
        for n, step in enumerate(service.pre_start)
    ]
    return changed(service, image=found.get(("services", name, "image"), service.image), pre_start=steps)


async def pinned(images: Mapping[Path, tuple[str, Place | None]], engine: Asked) -> dict[Path, str]:
    """The full name by digest at each path that has an image (and where that is said). Each name is asked for once, side by side."""
    refs = {path: _parsed(path, image, where) for path, (image, where) in images.items()}
    wanted = {str(ref): path for path, ref in refs.items() if not ref.digest}
    digests: dict[str, str] = {}

    async def look(name: str, path: Path) -> None:
        digests[name] = await _digest(asked, name, path, images[path][1])

    if wanted:
        asked = await engine()
        async with anyio.create_task_group() as group:
            for name, path in wanted.items():
                group.start_soon(look, name, path)
    return {path: str(ref) if ref.digest else f"{ref}@{digests[str(ref)]}" for path, ref in refs.items()}


def _parsed(path: Path, image: str, where: Place | None) -> reference.Reference:
    """Docker's canonical name: a tag beside a digest says nothing and is left out."""
    try:
        ref = reference.parse_tagged(image)
    except ImageError as error:
        raise ProjectError(error.code, f"{dotted(path)}: {error.says}", place=where, remedy=error.remedy) from error
    return ref.with_digest(ref.digest) if ref.digest else ref


async def _digest(engine: Engine, name: str, path: Path, where: Place | None) -> str:
    try:
        found = await engine.distribution(name)
    except ApiError as error:
        if not error.http_status:
            raise
        says = f"{dotted(path)}: failed to resolve digest for {name}: {error.says}"
        raise ProjectError("image-digest", says, place=where, remedy=_REMEDIES.get(error.http_status, _REACH)) from error
    return str((found.get("Descriptor") or {}).get("digest", ""))


_REACH = "Is its registry reachable?"
_REMEDIES = {
    404: "Push the image first, or correct the name: digests are those of the registry, not of images on this machine.",
    401: "Log in by `docker login`, or correct the name.",
    403: "Log in by `docker login`, or correct the name.",
}
