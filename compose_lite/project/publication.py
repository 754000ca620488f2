"""What `publish` sends of a project: its Compose files, what they extend and their env files, as layers of an OCI artifact.

The files go as they are written, comments and variables included; only the names of files beside them are exchanged, in place,
for names made of their contents, as `docker compose publish` does. Reads files; asks nobody and sends nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from compose_lite.errors import ProjectError
from compose_lite.spec.models.project import Project
from compose_lite.spec.remote import is_elsewhere

COMPOSE_FILE, ENV_FILE = "application/vnd.docker.compose.file+yaml", "application/vnd.docker.compose.envfile"
NOTE = "com.docker.compose."
DIGESTS = "image-digests.yaml"
Layer = dict[str, Any]


@dataclass(slots=True)
class _Publication:
    version: str
    layers: list[Layer] = field(default_factory=list)
    beside: dict[str, Layer] = field(default_factory=dict)  # by name

    def compose_file(self, path: Path) -> bytes:
        """The file's text with the names of its neighbours exchanged; these are layers then."""
        text = _read(path)
        edits: list[tuple[int, int, str]] = []
        for kind, node in _neighbours(yaml.compose(text, Loader=yaml.SafeLoader)):
            if kind == "include":
                raise ProjectError(
                    "publish-include",
                    f"{path}: cannot publish a Compose file that includes the local file {node.value}",
                    remedy="Merge it first: `compose-lite config > compose.yaml`, and publish that.",
                )
            if "$" in node.value:
                says = f"{path}: the name of a file to publish has a variable in it: {node.value}"
                raise ProjectError("publish-variable", says, remedy="Write the name out.")
            if kind == "optional" and not (path.parent / node.value).exists():
                continue
            name = self._neighbour(path.parent / node.value, kind)
            edits.append((node.start_mark.index, node.end_mark.index, json.dumps(name)))
        for begin, end, name in sorted(edits, reverse=True):
            text = text[:begin] + name + text[end:]
        return text.encode()

    def _neighbour(self, path: Path, kind: str) -> str:
        content = self.compose_file(path) if kind == "extends" else _read(path).encode()
        name = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest() + (".yaml" if kind == "extends" else ".env")
        notes = {"extends": "true", "file": name} if kind == "extends" else {"envfile": name}
        self.beside[name] = self.layer(COMPOSE_FILE if kind == "extends" else ENV_FILE, content, **notes)
        return name

    def layer(self, kind: str, content: bytes, **notes: str) -> Layer:
        found = {NOTE + key: value for key, value in {**notes, "version": self.version}.items()}
        return {"mediaType": kind, "annotations": found, "data": base64.b64encode(content).decode()}


def layers(project: Project, digests: Mapping[str, str], version: str) -> list[Layer]:
    """digests: service → its image by digest, when they are to be pinned."""
    made = _Publication(version)
    for name in project.compose_files:
        path = Path(project.working_dir, name)
        made.layers.append(made.layer(COMPOSE_FILE, made.compose_file(path), file=path.name))
    if digests:
        pinned = {"services": {service: {"image": image} for service, image in digests.items()}}
        made.layers.append(made.layer(COMPOSE_FILE, yaml.safe_dump(pinned).encode(), file=DIGESTS))
    return [*made.layers, *made.beside.values()]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(
            "publish-file", f"{path} cannot be read to be published: {error}", remedy="Files from stdin have no name."
        ) from error


def _neighbours(root: yaml.Node | None) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """(kind, node) of the local files that a Compose file names: extends, env_file (or optional), include."""
    top = _entries(root)
    for service in _entries(top.get("services")).values():
        said = _entries(service)
        extended = _entries(said.get("extends")).get("file")
        yield from _local("extends", extended)
        for entry in _items(said.get("env_file")):
            said_of = _entries(entry)
            required = getattr(said_of.get("required"), "value", "true") != "false"
            yield from _local("env_file" if required else "optional", entry if not said_of else said_of.get("path"))
    for entry in _items(top.get("include")):
        for path in _items(entry if isinstance(entry, yaml.ScalarNode) else _entries(entry).get("path")):
            yield from _local("include", path)


def _local(kind: str, node: yaml.Node | None) -> Iterator[tuple[str, yaml.ScalarNode]]:
    if isinstance(node, yaml.ScalarNode) and node.value and not is_elsewhere(node.value):
        yield kind, node


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [] if node is None else [node]
