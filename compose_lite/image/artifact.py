"""A Compose project kept in a registry as an OCI artifact -> files. A program: `python -m compose_lite.image.artifact NAME FOLDER`.

Writes FOLDER/<digest>/compose.yaml (and what it extends, and env files) unless it is there, and answers with one JSON object:
`{"digest": ...}` or `{"error": {...}}`. A process of its own, so that the command line never imports a registry client. Layers and
annotations are those that `docker compose publish` writes (https://docs.docker.com/compose/how-tos/oci-artifact/). No name in an
artifact may leave the folder.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import urllib3

from compose_lite import reference
from compose_lite.errors import Error, ImageError
from compose_lite.image import manifest as manifests
from compose_lite.image.registry import Session, endpoints
from compose_lite.logins import Logins

FILES = ("application/vnd.docker.compose.file+yaml", "application/vnd.docker.compose.yaml")
ENV_FILE = "application/vnd.docker.compose.envfile"
LARGEST = 16 << 20
"""Bytes that one file may have."""


def bring(name: str, folder: Path) -> str:
    """The digest, whose folder is there then."""
    ref = reference.parse(name).with_default_tag()
    failed: Exception | None = None
    for base in endpoints(ref.domain, dict(os.environ)):
        session = Session(base, ref.path, Logins().of(ref.domain))
        try:
            wanted = ref.digest or ref.tag
            content = session.get(f"manifests/{wanted}", {"Accept": manifests.ACCEPT}).data
            digest = ref.digest or manifests.digest_of(content)
            manifests.check_digest(content, digest, "the artifact")
            target = folder / digest.removeprefix("sha256:")
            if not target.exists():
                _unpack(session, manifests.document(content, f"the manifest of {name}"), name, target)
            return target.name
        except (ImageError, urllib3.exceptions.HTTPError) as error:
            failed = error
    if isinstance(failed, ImageError):
        raise failed
    raise ImageError("registry-unreachable", f"cannot reach the registry {ref.domain}: {failed}", remedy="Check network, proxy and name.")


def _unpack(session: Session, manifest: dict[str, Any], name: str, target: Path) -> None:
    files: dict[str, bytes] = {}
    for layer in manifest.get("layers") or ():
        kind, digest = layer.get("mediaType"), str(layer.get("digest"))
        if kind not in (*FILES, ENV_FILE):
            continue
        if int(layer.get("size", 0)) > LARGEST:
            raise ImageError("artifact", f"{name}: a file of {layer['size']} bytes is no Compose file")
        content = session.get(f"blobs/{digest}").data
        manifests.check_digest(content, digest, "a file of the artifact")
        place(files, layer, content)
    if "compose.yaml" not in files:
        raise ImageError("artifact", f"{name} holds no Compose file", remedy="Publish one with `docker compose publish`.")
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    for file, content in files.items():
        (scratch / file).write_bytes(content)
    try:
        scratch.rename(target)
    except OSError:  # somebody else was faster
        shutil.rmtree(scratch)


def place(files: dict[str, bytes], layer: dict[str, Any], content: bytes) -> None:
    """Puts a layer where it belongs: Compose files after one another in compose.yaml, what these name beside it."""
    notes = layer.get("annotations") or {}
    if layer["mediaType"] == ENV_FILE:
        files[_plain(str(notes.get("com.docker.compose.envfile", "")))] = content
    elif "com.docker.compose.extends" in notes:
        files[_plain(str(notes.get("com.docker.compose.file", "")))] = content
    else:
        before = files.get("compose.yaml")
        files["compose.yaml"] = content if before is None else before + b"\n---\n" + content


def _plain(name: str) -> str:
    if not name or name in (".", "..", "compose.yaml") or "/" in name or "\0" in name:
        raise ImageError("artifact", f"the artifact wants to write a file {name!r}, which may leave its folder", remedy="Do not use it.")
    return name


def main() -> int:
    name, folder = sys.argv[1:]
    answer: dict[str, Any]
    try:
        answer = {"digest": bring(name, Path(folder))}
    except Error as error:
        answer = {"error": {"code": error.code, "says": error.says, "remedy": error.remedy}}
    except OSError as error:
        answer = {"error": {"code": "remote-fetch", "says": f"{name} cannot be written: {error}", "remedy": None}}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
