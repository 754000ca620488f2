"""Pushing to registries (OCI distribution specification 1.1): blobs that are missing there, then the manifest.

A layer that came from a registry goes back with the very bytes it came as; a built one is packed and compressed, always to the
same bytes. It must never push to a mirror: what is pushed goes where its name says.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlencode, urljoin

import urllib3

from compose_lite.errors import ImageError
from compose_lite.image import compression, layers, registry
from compose_lite.image import manifest as manifests
from compose_lite.image.blobs import BlobWriter
from compose_lite.image.image import Image, Layer
from compose_lite.image.manifest import Descriptor
from compose_lite.image.registry import Session
from compose_lite.image.store import ImageStore
from compose_lite.logins import Login, Logins
from compose_lite.reference import Reference

Progress = Callable[[str, str, int, int], None]
"""(layer's short digest, what is done with it, bytes, bytes in all)"""
_CHUNK = 1 << 18
_GZIP = manifests.DOCKER_LAYER + ".gzip"


@dataclass(frozen=True, slots=True)
class Pushed:
    digest: str
    size: int


def push(store: ImageStore, ref: Reference, *, login: Login | None = None, progress: Progress) -> Pushed:
    """The image of that name, to the registry of that name."""
    name = ref.with_default_tag()
    image = store.require(str(name))
    if image.rootfs:
        raise ImageError("image-rootfs", f"{image.rootfs} of the machine cannot be pushed")
    base = registry.endpoints(name.domain, {})[-1]
    session = Session(base, name.path, login or Logins().of(name.domain), actions="pull,push")
    try:
        return _push(store, session, name, image, progress)
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        says = f"cannot reach the registry {name.domain}: {reason}"
        raise ImageError("registry-unreachable", says, remedy="Check network and name.") from error


def _push(store: ImageStore, session: Session, name: Reference, image: Image, progress: Progress) -> Pushed:
    found = [store.layer(diff_id) for diff_id in image.diff_ids]
    present = [layer for layer in found if layer is not None]
    session.authorize()
    with ThreadPoolExecutor(max_workers=3, thread_name_prefix="push") as workers:
        jobs = [workers.submit(_layer, store, session, layer, progress) for layer in dict.fromkeys(present)]
        by_id = {layer.diff_id: job.result() for layer, job in zip(dict.fromkeys(present), jobs, strict=True)}
    descriptors = [by_id[layer.diff_id] for layer in present]
    config = store.blob(image.id).read_bytes()
    content, kind = _manifest(store, image, config, descriptors)
    if not _is_there(session, image.id):
        _upload(session, config, len(config), image.id)
    put_manifest(session, str(name.tag), content, kind)
    digest = manifests.digest_of(content)
    store.note_digest(image.id, name, digest)
    return Pushed(digest, len(content))


def _manifest(store: ImageStore, image: Image, config: bytes, descriptors: list[Descriptor]) -> tuple[bytes, str]:
    """The manifest that the image came with, if its layers are the pushed ones; else one in Docker's form."""
    if image.manifest:
        with contextlib.suppress(OSError, ImageError):
            content = store.blob(image.manifest).read_bytes()
            known = manifests.manifest(manifests.document(content, "a manifest"), "a manifest")
            if [layer.digest for layer in known.layers] == [layer.digest for layer in descriptors]:
                return content, known.media_type
    oci = any(layer.media_type.startswith(manifests.OCI_LAYER) for layer in descriptors)  # zstd, which Docker's form has not
    kind, config_kind = (manifests.OCI_MANIFEST, manifests.OCI_CONFIG) if oci else (manifests.DOCKER_MANIFEST, manifests.DOCKER_CONFIG)
    rows = [layer.document() for layer in descriptors]
    if oci:
        rows = [row | {"mediaType": manifests.OCI_LAYER + "+gzip"} if row["mediaType"] == _GZIP else row for row in rows]
    config_row = Descriptor(config_kind, image.id, len(config)).document()
    made = {"schemaVersion": 2, "mediaType": kind, "config": config_row, "layers": rows}
    return json.dumps(made, indent=3).encode(), kind


def _layer(store: ImageStore, session: Session, layer: Layer, progress: Progress) -> Descriptor:
    short = layer.diff_id.removeprefix("sha256:")[:12]
    progress(short, "Preparing", 0, 0)
    path = store.blob(layer.blob) if layer.blob else None
    if path and path.exists() and (kind := _compression(path)):
        descriptor = Descriptor(manifests.OCI_LAYER + kind if kind == "+zstd" else _GZIP, layer.blob, path.stat().st_size)
        _send(session, descriptor, path, short, progress)
        return descriptor
    with store.blob_writer() as blob:
        digest, size = _compressed(layer, path, blob)
        descriptor = Descriptor(_GZIP, digest, size)
        _send(session, descriptor, blob.path, short, progress)
        return descriptor


def _compression(path: Path) -> str:
    """The suffix of its media type, for what registries take; empty for a blob that is better compressed first."""
    with path.open("rb") as file:
        return compression.of_stream(file).suffix


def _compressed(layer: Layer, kept: Path | None, blob: BlobWriter) -> tuple[str, int]:
    """The layer's tar (as it was kept, else made from its folder) in the temporary blob; digest and size of what is there then."""
    writer = compression.GZIP.writer(cast(Any, blob))
    if kept and kept.exists():
        with kept.open("rb") as raw:
            shutil.copyfileobj(compression.of_stream(raw).reader(raw), writer, _CHUNK)
        writer.close()
        return blob.digest(), blob.size
    packed = layers.pack(layer.path, writer.write)
    writer.close()
    if packed.digest != layer.diff_id:
        raise ImageError("layer-changed", f"the unpacked layer {layer.diff_id} was changed on disk", remedy="Build or pull it again.")
    return blob.digest(), blob.size


def _send(session: Session, descriptor: Descriptor, path: Path, short: str, progress: Progress) -> None:
    if _is_there(session, descriptor.digest):
        progress(short, "Layer already exists", 0, 0)
        return
    with path.open("rb") as file:
        body = _Told(cast("IO[bytes]", file), lambda done: progress(short, "Pushing", done, descriptor.size))
        _upload(session, body, descriptor.size, descriptor.digest)
    progress(short, "Pushed", descriptor.size, descriptor.size)


def _is_there(session: Session, digest: str) -> bool:
    answer = session.send("HEAD", f"blobs/{digest}")
    answer.release_conn()
    return answer.status == 200


def send_blob(session: Session, content: bytes, digest: str) -> None:
    """A small one, unless it is there."""
    if not _is_there(session, digest):
        _upload(session, content, len(content), digest)


def copy(source: Session, target: Session, wanted: str) -> dict[str, Any]:
    """An image, with all its platforms, from one repository to another, byte by byte; its descriptor. wanted: a tag or digest."""
    answer = source.get(f"manifests/{wanted}", {"Accept": manifests.ACCEPT})
    kind, content = answer.headers.get("Content-Type", ""), answer.data
    digest = manifests.digest_of(content)
    if ":" in wanted:
        manifests.check_digest(content, wanted, "the manifest")
    document = manifests.document(content, f"the manifest of {source.path}")
    for one in document.get("manifests") or ():
        copy(source, target, str(one["digest"]))
    for blob in (document.get("config"), *(document.get("layers") or ())):
        if blob and not blob.get("urls") and not _is_there(target, blob["digest"]):
            _upload(target, source.get(f"blobs/{blob['digest']}"), int(blob["size"]), blob["digest"])  # its registry checks the digest
    put_manifest(target, digest, content, kind)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def put_manifest(session: Session, name: str, content: bytes, kind: str) -> None:
    answer = session.send("PUT", f"manifests/{name}", headers={"Content-Type": kind}, body=content)
    if answer.status not in (200, 201, 202):
        raise refused(answer, session.path, "the manifest")
    answer.release_conn()


def _upload(session: Session, body: Any, size: int, digest: str) -> None:
    """One POST for a place, one PUT with the whole blob."""
    begun = session.send("POST", "blobs/uploads/", headers={"Content-Length": "0"})
    if begun.status not in (201, 202) or "Location" not in begun.headers:
        raise refused(begun, session.path, "a blob")
    begun.release_conn()
    place = urljoin(f"{session.base}/", begun.headers["Location"])
    place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    done = session.send("PUT", place, headers=headers, body=body)
    if done.status not in (201, 202, 204):
        raise refused(done, session.path, "a blob")
    done.release_conn()


def refused(answer: urllib3.BaseHTTPResponse, path: str, what: str) -> ImageError:
    text = ""
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
        text = json.loads(answer.data)["errors"][0]["message"]
    if answer.status in (401, 403):
        says = f"push access denied to {path}: {text or 'the registry wants another login'}"
        return ImageError("registry-denied", says, remedy="`docker login` writes the login that is used here.")
    return ImageError("registry-answer", f"the registry answers {answer.status} to {what} of {path}{f': {text}' if text else ''}")


class _Told:
    """A file whose progress is told as it is read."""

    def __init__(self, file: IO[bytes], told: Callable[[int], None]) -> None:
        self._file, self._told, self._done = file, told, 0

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        self._done = 0
        while piece := self._file.read(_CHUNK):
            self._done += len(piece)
            yield piece
            self._told(self._done)


def progress_document(layer: str, status: str, done: int, total: int) -> dict[str, Any]:
    """A row of Docker's push stream."""
    detail = {"current": done, "total": total} if total and status == "Pushing" else {}
    return {"status": status, "progressDetail": detail, "id": layer}
