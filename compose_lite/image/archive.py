"""Image archives: docker-archive (`docker save`, manifest.json) and OCI layout (index.json, blobs/) in, both in one out.

The outer tar is read through its own index of members, never extracted; layers go through the same checked
unpacking as pulled ones. Compressed archives and pipes are first copied to a file beside the store.
"""

from __future__ import annotations

import contextlib
import io
import json
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, BinaryIO, cast

from compose_lite import reference
from compose_lite.errors import ImageError
from compose_lite.image import compression, layers, tarstream
from compose_lite.image import manifest as manifests
from compose_lite.image.image import Image, Layer
from compose_lite.image.store import ImageStore
from compose_lite.reference import Reference

Progress = Callable[[str, int, int], None]
"""(layer's short id, bytes done, bytes in all)"""


def _silent(layer: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Member:
    start: int
    size: int
    link: str = ""


class _Archive:
    """Random access to the members of a tar file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: dict[str, _Member] = {}
        counting = _Positioned(file)
        for entry, body in tarstream.entries(cast("IO[bytes]", counting)):
            name = posixpath.normpath(entry.name.lstrip("/"))
            if entry.kind == tarstream.FILE:
                self._members[name] = _Member(counting.at, entry.size)
                counting.jump(body)
            elif entry.kind == tarstream.SYMLINK:  # old `docker save` links equal layers to one another
                self._members[name] = _Member(0, 0, posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.link)))
            elif entry.kind == tarstream.LINK:
                self._members[name] = _Member(0, 0, posixpath.normpath(entry.link))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def _real(self, name: str) -> _Member:
        for _ in range(8):
            member = self._members.get(posixpath.normpath(name))
            if member is None:
                break
            if not member.link:
                return member
            name = member.link
        raise ImageError(
            "archive-member", f"the archive lacks {name}", remedy="Make it again with `docker save` or `compose-lite image save`."
        )

    def read(self, name: str) -> bytes:
        member = self._real(name)
        if member.size > 64 * 1024 * 1024:
            raise ImageError("archive-member", f"{name} in the archive is too large for a document")
        self._file.seek(member.start)
        return self._file.read(member.size)

    def stream(self, name: str) -> tuple[io.BufferedReader, int]:
        member = self._real(name)
        return io.BufferedReader(tarstream.Slice(self._file, member.start, member.size), 1 << 20), member.size


class _Positioned:
    """Counts the position, and lets the content of members be jumped over instead of read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.at = file, 0

    def read(self, count: int) -> bytes:
        piece = self._file.read(count)
        self.at += len(piece)
        return piece

    def jump(self, body: tarstream.Body) -> None:
        self.at += body.left
        self._file.seek(self.at)
        body.left = 0


# In


def load(store: ImageStore, file: BinaryIO, progress: Progress = _silent) -> list[Image]:
    """Adds all images of the archive to the store; returns them in the archive's order."""
    with _seekable(store, file) as ready, store.using_layers():
        archive = _Archive(ready)
        if "manifest.json" in archive:
            return [_load_docker(store, archive, entry, progress) for entry in _list(archive.read("manifest.json"))]
        if "index.json" in archive:
            return _load_oci(store, archive, progress)
        raise ImageError(
            "archive-kind",
            "the archive has neither manifest.json nor index.json: it is no image archive",
            remedy="Give a file of `docker save`.",
        )


def _list(content: bytes) -> list[dict[str, Any]]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ImageError("image-document", f"manifest.json of the archive is no JSON document: {error}") from error
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ImageError("image-document", "manifest.json of the archive is no list of images")
    return value


def _load_docker(store: ImageStore, archive: _Archive, entry: dict[str, Any], progress: Progress) -> Image:
    config = archive.read(str(entry.get("Config", "")))
    names = [reference.parse_tagged(name) for name in entry.get("RepoTags") or ()]
    return _add(store, archive, config, [str(name) for name in entry.get("Layers") or ()], names, progress)


def _load_oci(store: ImageStore, archive: _Archive, progress: Progress) -> list[Image]:
    found: list[Image] = []
    index = manifests.document(archive.read("index.json"), "index.json of the archive")
    for entry in index.get("manifests") or ():
        outer = manifests.descriptor(entry, "index.json of the archive")
        name = outer.annotations.get("io.containerd.image.name") or outer.annotations.get("org.opencontainers.image.ref.name", "")
        value = manifests.document(_blob(archive, outer.digest), f"the manifest {outer.digest}")
        if outer.media_type in manifests.INDEXES or "manifests" in value:
            chosen = manifests.choose(value, manifests.host_platform(), "the archive")
            value = manifests.document(_blob(archive, chosen.digest), f"the manifest {chosen.digest}")
        manifest = manifests.manifest(value, "the archive")
        paths = ["blobs/" + layer.digest.replace(":", "/") for layer in manifest.layers]
        names = _names_of(name)
        found.append(_add(store, archive, _blob(archive, manifest.config.digest), paths, names, progress))
    return found


def _names_of(text: str) -> list[Reference]:
    with contextlib.suppress(ImageError):
        return [reference.parse_tagged(text)] if text and ("/" in text or ":" in text) else []
    return []


def _blob(archive: _Archive, digest: str) -> bytes:
    return manifests.check_digest(archive.read("blobs/" + digest.replace(":", "/")), digest, "a blob of the archive")


def _add(
    store: ImageStore, archive: _Archive, config: bytes, paths: Sequence[str], names: Sequence[Reference], progress: Progress
) -> Image:
    value = manifests.document(config, "the configuration in the archive")
    diff_ids = manifests.layers_of(value, "the archive")
    if len(diff_ids) != len(paths):
        raise ImageError("image-document", f"the archive has {len(paths)} layers for an image of {len(diff_ids)}")
    for diff_id, path in zip(diff_ids, paths, strict=True):
        _add_layer(store, archive, diff_id, path, progress)
    image = store.add_image(config, refs=names)
    return replace(image, tags=tuple(name.familiar for name in names))  # what the archive names, not all that it is called here


def _add_layer(store: ImageStore, archive: _Archive, diff_id: str, path: str, progress: Progress) -> None:
    short = diff_id.removeprefix("sha256:")[:12]
    if store.layer(diff_id):
        return
    raw, size = archive.stream(path)
    kind = compression.of_stream(raw)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(short, min(done, size), size)

    media_type = manifests.OCI_LAYER + kind.suffix
    with store.blob_writer() as blob:
        try:
            kept = cast(BinaryIO, blob.keeping(raw))
            store.unpack_layer(kind.reader(kept), diff_id, finish_blob=lambda: blob.adopt(kept), media_type=media_type, progress=advance)
        except compression.READ_ERRORS as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise ImageError("archive-broken", f"a layer of the archive cannot be decompressed: {error}") from error
    progress(short, size, size)


@contextlib.contextmanager
def _seekable(store: ImageStore, file: BinaryIO) -> Iterator[BinaryIO]:
    start = b""
    if file.seekable():
        start = file.read(compression.PEEK)
        file.seek(0)
        if compression.detect(start) is compression.NONE:
            yield file
            return
    with tempfile.TemporaryFile(dir=store.data, prefix=".load-") as spool:
        if not start:
            start = file.read(1 << 16)
            source = cast(BinaryIO, io.BufferedReader(_Joined(start, file), 1 << 20))
        else:
            source = file
        reader = compression.detect(start).reader(source)
        try:
            while piece := reader.read(1 << 20):
                spool.write(piece)
        except compression.READ_ERRORS as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise ImageError("archive-broken", f"the archive cannot be decompressed: {error}") from error
        spool.seek(0)
        yield cast(BinaryIO, spool)


class _Joined(io.RawIOBase):
    """What has been read of a pipe already, then the rest of it."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._start[: len(view)] if self._start else self._rest.read(len(view))
        self._start = self._start[len(piece) :] if self._start else b""
        view[: len(piece)] = piece
        return len(piece)


# Out


def save(store: ImageStore, names: Sequence[str], write: Callable[[bytes], object]) -> None:
    """Writes the images as one archive that Docker, podman, skopeo and `load` read: manifest.json and OCI layout in one."""
    images: dict[str, tuple[Image, list[str]]] = {}
    for name in names:
        image = store.require(name)
        if image.rootfs:
            raise ImageError("image-rootfs", f"{name} is a folder of this machine, not an image", remedy="Build an image FROM it instead.")
        wanted = images.setdefault(image.id, (image, []))[1]
        tags = [] if image.id.removeprefix("sha256:").startswith(name.removeprefix("sha256:")) else [reference.parse_tagged(name).familiar]
        wanted.extend(tag for tag in tags if tag in image.tags and tag not in wanted)
    out = _Writer(store, write)
    docker, index = [], []
    for image, tags in images.values():
        config = store.blob(image.id).read_bytes()
        out.file(_path(image.id), config)
        described = []
        for diff_id in image.diff_ids:
            layer = store.layer(diff_id)
            assert layer
            out.layer(layer)
            described.append({"mediaType": manifests.OCI_LAYER, "digest": diff_id, "size": layer.tar_size})
        manifest = {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": {"mediaType": manifests.OCI_CONFIG, "digest": image.id, "size": len(config)},
            "layers": described,
        }
        content = json.dumps(manifest, separators=(",", ":")).encode()
        digest = manifests.digest_of(content)
        out.file(_path(digest), content)
        docker.append({"Config": _path(image.id), "RepoTags": tags or None, "Layers": [_path(d) for d in image.diff_ids]})
        for tag in tags or [""]:
            entry: dict[str, Any] = {"mediaType": manifests.OCI_MANIFEST, "digest": digest, "size": len(content)}
            if tag:
                ref = reference.parse_tagged(tag)
                entry["annotations"] = {"io.containerd.image.name": str(ref), "org.opencontainers.image.ref.name": ref.tag}
            index.append(entry)
    out.file("index.json", json.dumps({"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": index}).encode())
    out.file("manifest.json", json.dumps(docker).encode())
    out.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    write(tarstream.END)


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


class _Writer:
    def __init__(self, store: ImageStore, write: Callable[[bytes], object]) -> None:
        self._store, self._write, self._done = store, write, set[str]()

    def file(self, name: str, content: bytes) -> None:
        if name not in self._done:
            self._done.add(name)
            self._write(tarstream.header(tarstream.Entry(name, size=len(content))) + content + tarstream.padding(len(content)))

    def layer(self, layer: Layer) -> None:
        name = _path(layer.diff_id)
        if name in self._done:
            return
        self._done.add(name)
        self._write(tarstream.header(tarstream.Entry(name, size=layer.tar_size)))
        write_tar(self._store, layer, self._write)
        self._write(tarstream.padding(layer.tar_size))


def write_tar(store: ImageStore, layer: Layer, write: Callable[[bytes], object]) -> None:
    """The layer's tar with exactly the bytes that its diff id names: from the blob it came as, else made from its folder."""
    if layer.blob:
        with store.blob(layer.blob).open("rb") as raw:
            reader = compression.of_stream(raw).reader(raw)
            while piece := reader.read(1 << 20):
                write(piece)
        return
    packed = layers.pack(layer.path, write)
    if packed.digest != layer.diff_id:
        raise ImageError(
            "layer-changed",
            f"the files of the layer {layer.diff_id} in {layer.path} are not what they were when it was made",
            remedy="Remove the image and build or pull it again.",
        )
