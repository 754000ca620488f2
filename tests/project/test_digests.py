"""Images pinned to what the registry has: what is printed, and who is asked for what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from compose_lite.errors import ApiError, ProjectError
from compose_lite.project.digests import pinned_text
from compose_lite.spec.load import LoadOptions

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


class Asked:
    """An engine that knows what registries have, and remembers who was asked for."""

    def __init__(self, **digests: str) -> None:
        self.digests = {"docker.io/library/busybox:latest": ONE, "example.org/me/app:1": TWO}
        self.names: list[str] = []

    async def distribution(self, name: str, *, auth: Any = None) -> dict[str, Any]:
        self.names.append(name)
        if name not in self.digests:
            raise ApiError("manifest unknown", http_status=404)
        return {"Descriptor": {"digest": self.digests[name]}, "Platforms": None}


def shown(folder: Path, text: str, *, format: str = "yaml", lock: bool = False, **more: Any) -> tuple[str, list[str]]:
    """What is printed, and the names that were asked for."""
    (folder / "compose.yaml").write_text(text)
    engine = Asked()

    async def given() -> Any:
        return engine

    async def run() -> str:
        return (await pinned_text(LoadOptions({}, str(folder), project_name="shop", **more), format, lock=lock, engine=given)).text

    return anyio.run(run), sorted(engine.names)


def test_names_are_completed_and_a_digest_that_is_there_is_kept(tmp_path: Path) -> None:
    text = f"""
services:
  a: {{image: busybox}}
  b: {{image: "docker.io/library/busybox:latest"}}
  c: {{image: "example.org/me/app:1@{ONE}"}}
  d: {{build: .}}
  e: {{image: nobody, profiles: [x]}}
"""
    found, asked = shown(tmp_path, text)
    images = {name: service.get("image") for name, service in yaml.safe_load(found)["services"].items()}
    busybox = f"docker.io/library/busybox:latest@{ONE}"
    assert images == {"a": busybox, "b": busybox, "c": f"example.org/me/app@{ONE}", "d": None}
    assert asked == ["docker.io/library/busybox:latest"]


def test_the_lock_is_an_override_of_images_alone(tmp_path: Path) -> None:
    text = "services:\n  a: {image: 'example.org/me/app:1', command: x}\n  d: {build: .}\nnetworks: {n: {}}\nx-a: 1\n"
    found, _ = shown(tmp_path, text, lock=True)
    assert found == f"services:\n  a:\n    image: example.org/me/app:1@{TWO}\n  d: {{}}\n"
    as_json, _ = shown(tmp_path, text, lock=True, format="json")
    assert json.loads(as_json)["services"]["a"]["image"] == f"example.org/me/app:1@{TWO}"


def test_without_interpolation_every_service_is_pinned(tmp_path: Path) -> None:
    text = "services:\n  a: {image: busybox, profiles: [x], hostname: $HOST}\n"
    found, _ = shown(tmp_path, text, interpolate=False)
    service = yaml.safe_load(found)["services"]["a"]
    assert (service["image"], service["hostname"]) == (f"docker.io/library/busybox:latest@{ONE}", "$HOST")
    assert shown(tmp_path, text, interpolate=False, lock=True)[0] == f"services:\n  a:\n    image: {service['image']}\n"


def test_nobody_is_asked_when_nothing_is_to_be_pinned(tmp_path: Path) -> None:
    assert shown(tmp_path, f"services:\n  a: {{image: 'busybox@{ONE}'}}\n")[1] == []


def test_what_cannot_be_pinned_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(BaseExceptionGroup) as group:
        shown(tmp_path, "services:\n  a: {image: nobody}\n")
    (error,) = group.value.exceptions
    assert isinstance(error, ProjectError) and error.code == "image-digest" and error.place and error.place.line == 2
    with pytest.raises(ProjectError, match=r"services.a.image: invalid reference format") as caught:
        shown(tmp_path, "services:\n  a: {image: '$$X'}\n")
    assert caught.value.code == "image-name"
