"""A saved image (docker-archive) as values: its configuration, what each layer has, and the tree that they make. Pure but for reading."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Document = dict[str, Any]
RECENT = 1_600_000_000  # seconds: what was made by the build has its time


def saved(path: Path, base: int) -> tuple[Document, list[str], dict[str, str]]:
    """The configuration; a line for each layer above the base's first `base`; path -> what is there."""
    with tarfile.open(path) as archive:
        manifest = json.load(_file(archive, "manifest.json"))[0]
        config = json.load(_file(archive, manifest["Config"]))
        tree: dict[str, str] = {}
        layers = []
        for number, name in enumerate(manifest["Layers"]):
            with tarfile.open(fileobj=_file(archive, name)) as layer:
                found = entries(layer)
            apply(tree, found)
            if number >= base:
                layers.append(" ".join(sorted(found)))
    return config, layers, tree


def _file(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None, name
    return found


def entries(layer: tarfile.TarFile) -> dict[str, str]:
    """path -> kind, mode, owner, time if it was set, attributes, and content or target."""
    found: dict[str, str] = {}
    for member in layer:
        path = _path(member.name)
        if member.islnk():
            found[path] = f"hard link to {_path(member.linkname)}"
            continue
        kind = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.FIFOTYPE: "pipe", tarfile.CHRTYPE: "node"}.get(
            member.type, "file"
        )
        words = [kind, oct(member.mode), f"{member.uid}:{member.gid}"]
        if member.mtime < RECENT:
            words.append(f"at {int(member.mtime)}")
        words += [f"{key}={value!r}" for key, value in sorted(member.pax_headers.items()) if "xattr" in key]
        if kind == "file":
            content = layer.extractfile(member)
            data = content.read() if content else b""
            words.append(f"{len(data)} {data[:200].decode(errors='replace')!r}" if len(data) < 200 else hashlib.sha256(data).hexdigest())
        elif kind == "link":
            words.append(f"-> {member.linkname}")
        elif kind == "node":
            words.append(f"{member.devmajor}:{member.devminor}")
        found[path] = " ".join(words)
    return found


def _path(name: str) -> str:
    return "/" + ("" if name == "." else name.removeprefix("./").strip("/"))


def apply(tree: dict[str, str], layer: Mapping[str, str]) -> None:
    """A layer over what is below, by the rules of OCI's image-spec (layer.md, whiteouts)."""
    for path in layer:
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            _remove(tree, folder, itself=False)
        elif name.startswith(".wh."):
            _remove(tree, f"{folder}/{name.removeprefix('.wh.')}", itself=True)
    for path, what in layer.items():
        if path.rpartition("/")[2].startswith(".wh."):
            continue
        if path in tree and not what.startswith("folder"):
            _remove(tree, path, itself=True)
        tree[path] = what


def _remove(tree: dict[str, str], path: str, *, itself: bool) -> None:
    for other in [other for other in tree if other.startswith(f"{path}/") or (itself and other == path)]:
        del tree[other]
