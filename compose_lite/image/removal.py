"""Taking an image's name or the image away: what came of it, and when that is refused, in Docker's words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compose_lite.errors import ImageError
from compose_lite.image.image import Image
from compose_lite.reference import Reference


@dataclass(frozen=True, slots=True)
class Use:
    """A container made from an image."""

    container: str
    running: bool


@dataclass(frozen=True, slots=True)
class Untagged:
    name: str


@dataclass(frozen=True, slots=True)
class Deleted:
    id: str


Removal = Untagged | Deleted


def refuse_by_id(image: Image, tags: Sequence[str], uses: Sequence[Use], force: bool) -> None:
    short = image.id.removeprefix("sha256:")[:12]
    running = next((use for use in uses if use.running), None)
    if running:
        raise _conflict(f"unable to delete {short} (cannot be forced) - image is being used by running container {running.container[:12]}")
    if len({tag.rpartition(":")[0] for tag in tags}) > 1 and not force:
        raise _conflict(f"unable to delete {short} (must be forced) - image is referenced in multiple repositories")
    if uses and not force:
        raise _conflict(f"unable to delete {short} (must be forced) - image is being used by stopped container {uses[0].container[:12]}")


def refuse_last_name(ref: Reference, uses: Sequence[Use], force: bool) -> None:
    if uses and not force:
        use = next((use for use in uses if use.running), uses[0])
        who = f"container {use.container[:12]} is using its referenced image"
        raise _conflict(f'unable to remove repository reference "{ref.familiar}" (must force) - {who}')


def _conflict(says: str) -> ImageError:
    return ImageError("image-conflict", f"conflict: {says}", remedy="Remove the container first.")
