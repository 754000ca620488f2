"""Layers of a Compose project -> an OCI artifact in a registry. A program: `python -m compose_lite.image.artifactpush NAME [1.0|1.1]`.

Reads `{"layers": [...], "images": [...]}` (a layer: mediaType, annotations, data in base64; an image: its name) and answers with
`{"digest": ...}` or `{"error": {...}}`. A process of its own, as image/artifact.py is, which reads what this writes. Spec: OCI image
manifest 1.1, "guidance for artifacts"; registries that know 1.0 alone get Docker Compose's own kind of empty configuration. Images
are copied beside the artifact, and an index names them with the artifact as its subject, as `docker compose publish --app` does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import urllib3

from compose_lite import __version__, reference
from compose_lite.errors import Error, ImageError
from compose_lite.image import manifest, registry, upload
from compose_lite.logins import Logins

PROJECT, EMPTY = "application/vnd.docker.compose.project", "application/vnd.oci.empty.v1+json"
EMPTY_1_0 = "application/vnd.docker.compose.config.empty.v1+json"
Document = dict[str, Any]


def manifest_of(layers: list[Document], version: str, created: str) -> tuple[bytes, dict[str, bytes]]:
    """The manifest and the blobs that it names, by digest."""
    blobs: dict[str, bytes] = {}

    def row(kind: str, content: bytes, **more: Any) -> Document:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content), **more}

    kind = {"artifactType": PROJECT} if version == "1.1" else {}
    made = {
        "schemaVersion": 2,
        "mediaType": manifest.OCI_MANIFEST,
        **kind,
        "config": row(EMPTY if version == "1.1" else EMPTY_1_0, b"{}"),
        "layers": [row(one["mediaType"], base64.b64decode(one["data"]), annotations=one["annotations"]) for one in layers],
        "annotations": {"org.opencontainers.image.created": created},
    }
    return json.dumps(made).encode(), blobs


def push(name: str, layers: list[Document], version: str, images: Sequence[str] = ()) -> str:
    """The manifest's digest. version: 1.0, 1.1, or empty: 1.1, and 1.0 for a registry that refuses that."""
    ref = reference.parse(name).with_default_tag()
    session = registry.Session(registry.endpoints(ref.domain, {})[-1], ref.path, Logins().of(ref.domain), actions="pull,push")
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        session.authorize()
        for number in [version] if version else ["1.1", "1.0"]:
            content, blobs = manifest_of(layers, number, created)
            for digest, blob in blobs.items():
                upload.send_blob(session, blob, digest)
            answer = session.send("PUT", f"manifests/{ref.tag}", headers={"Content-Type": manifest.OCI_MANIFEST}, body=content)
            if answer.status in (200, 201, 202):
                subject = {"mediaType": manifest.OCI_MANIFEST, "digest": manifest.digest_of(content), "size": len(content)}
                _bring(session, images, subject)
                return str(subject["digest"])
        raise upload.refused(answer, ref.path, "the manifest")
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        says = f"cannot reach the registry {ref.domain}: {reason}"
        raise ImageError("registry-unreachable", says, remedy="Check network and name.") from error


def _bring(session: registry.Session, images: Sequence[str], subject: Document) -> None:
    """Copies the images to the session's repository, and puts an index of them there."""
    found = []
    for image in images:
        ref = reference.parse(image).with_default_tag()
        found.append(registry.answered(ref, None, partial(upload.copy, target=session, wanted=str(ref.digest or ref.tag))))
    if found:
        notes = {"com.docker.compose.version": __version__}
        index = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": found, "subject": subject, "annotations": notes}
        content = json.dumps(index).encode()
        upload.put_manifest(session, manifest.digest_of(content), content, manifest.OCI_INDEX)


def main() -> int:
    name, version = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    answer: Document
    try:
        asked = json.load(sys.stdin)
        answer = {"digest": push(name, asked["layers"], version, asked["images"])}
    except Error as error:
        answer = {"error": {"code": error.code, "says": error.says, "remedy": error.remedy}}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
