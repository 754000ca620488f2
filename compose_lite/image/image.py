"""What the rest of the program knows of an image and of an unpacked layer: values, made by the store. And `rootfs:/path`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose_lite.image import manifest as manifests

ROOTFS = "rootfs:"


@dataclass(frozen=True, slots=True)
class Layer:
    """An unpacked layer. blob: the digest of the bytes it came as, where they are kept."""

    diff_id: str
    path: Path
    content: int
    tar_size: int
    blob: str = ""
    media_type: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """What the rest of the program knows of an image. layers: folders for overlayfs, bottom first."""

    id: str
    config: Mapping[str, Any]
    layers: tuple[Path, ...]
    diff_ids: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    parent: str = ""
    manifest: str = ""
    tagged_at: int = 0
    rootfs: str = ""
    """The machine's own folder that this pseudo image shows (`rootfs:/path`); its secrets are to be hidden."""

    @property
    def size(self) -> int:
        return sum(self.layer_sizes)

    @property
    def created(self) -> str:
        return str(self.config.get("created") or "0001-01-01T00:00:00Z")

    @property
    def run_config(self) -> Mapping[str, Any]:
        """`config.config`: Env, Cmd, Entrypoint, User and so on."""
        found = self.config.get("config")
        return found if isinstance(found, Mapping) else {}


def rootfs_image(text: str) -> Image | None:
    """`rootfs:/path`: the folder itself as the only layer, with a configuration that lets a shell run in it."""
    folder = Path(text.removeprefix(ROOTFS) or "/")
    if not folder.is_absolute() or not folder.is_dir():
        return None
    platform = manifests.host_platform()
    config = {
        "architecture": platform.architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": [manifests.DEFAULT_PATH], "Cmd": ["/bin/sh"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }
    name = ROOTFS + str(folder)
    digest = manifests.digest_of(name.encode())
    return Image(digest, config, (folder,), (), (0,), (name,), rootfs=str(folder))
