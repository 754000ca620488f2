"""A stage of a Dockerfile as values: what is asked for, what it stands on, what it comes to, the image's document made of that. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose_lite.build import operations as ops
from compose_lite.build.operations import Operation, Source
from compose_lite.errors import BuildError
from compose_lite.image.manifest import Platform, host_platform

Document = dict[str, Any]
_EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the build is asked for beside the Dockerfile. contexts: names of the additional contexts."""

    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platform: Platform = field(default_factory=host_platform)
    build_platform: Platform = field(default_factory=host_platform)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: frozenset[str] = frozenset()
    network: str = "default"
    entitlements: frozenset[str] = frozenset()
    prefix: str = ""
    """What stands in front of a stage's name when several builds are shown together."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the history; operation: whose layer it tells of, None for none."""

    created_by: str
    operation: ops.Number | None = None


@dataclass(slots=True)
class Base:
    """What a stage begins with: an image's whole configuration, and what only a stage before it can hand on."""

    image: Document
    history: list[Document | Entry] = field(default_factory=list)
    env: dict[str, str] | None = None
    args: list[tuple[str, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class StagePlan:
    """A stage as it is to be made. image: the configuration without rootfs and history."""

    index: int
    name: str
    source: Source
    image: Document
    history: list[Document | Entry]
    env: dict[str, str]
    args: list[tuple[str, str | None]]
    operations: list[Operation] = field(default_factory=list)
    titles: dict[ops.Number, str] = field(default_factory=dict)
    base_title: str = ""
    needs: set[int] = field(default_factory=set)

    @property
    def as_base(self) -> Base:
        return Base(self.image, list(self.history), dict(self.env), list(self.args))


def scratch_base(platform: Platform) -> Base:
    image: Document = {"architecture": platform.architecture, "os": platform.os, "config": {"WorkingDir": "/"}}
    if platform.variant:
        image["variant"] = platform.variant
    return Base(image)


def image_base(config: Mapping[str, Any]) -> Base:
    """An image's configuration as a base; its history goes on."""
    kept = {k: copy.deepcopy(v) for k, v in config.items() if k in ("architecture", "os", "variant", "os.version", "os.features", "author")}
    kept["config"] = copy.deepcopy(dict(config.get("config") or {}))
    return Base(kept, [dict(entry) for entry in config.get("history") or ()])


def source_date_epoch(args: Mapping[str, str]) -> int | None:
    """The creation time that is asked for, in seconds; BuildError when it is no number."""
    text = args.get(_EPOCH, "")
    if not text:
        return None
    if not text.isdigit():
        raise BuildError("dockerfile", f"invalid {_EPOCH}: {text}")
    return int(text)


def document(
    plan: StagePlan, diff_ids: Sequence[str], created: Mapping[ops.Number, str], labels: Mapping[str, str], epoch: str = ""
) -> Document:
    """The image's configuration: what the stage says, its layers, its history. epoch: the one time that everything is to have."""
    image = copy.deepcopy(plan.image)
    if labels:
        image["config"]["Labels"] = {**(image["config"].get("Labels") or {}), **labels}
    times = [created[entry.operation] for entry in plan.history if isinstance(entry, Entry) and entry.operation is not None]
    inherited = [str(entry["created"]) for entry in plan.history if isinstance(entry, dict) and entry.get("created")]
    last = epoch or (times[0] if times else inherited[-1] if inherited else "1970-01-01T00:00:00Z")
    history = []
    for entry in plan.history:
        if isinstance(entry, dict):
            history.append(entry)
            continue
        if entry.operation is not None:
            last = epoch or created[entry.operation]
        row: Document = {"created": last, "created_by": entry.created_by, "comment": "buildkit.dockerfile.v0"}
        history.append(row if entry.operation is not None else row | {"empty_layer": True})
    return {**image, "created": last, "history": history, "rootfs": {"type": "layers", "diff_ids": list(diff_ids)}}
