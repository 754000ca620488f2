"""The images of one user's engine: blobs, unpacked layers, names.

    data/blobs/sha256/<hex>           configurations, manifests, layers as they came (for an exact `save` or push)
    data/layers/<24 hex>/diff         an unpacked layer, shared by all images that have it; layer.json says what it is;
                                      init-<12 hex> beside it are the engine's (engine/initlayer.py) and go with it
    data/images/<hex>.json            one record an image: manifest, parent, digests; names.json: name -> id
    data/trash/                       renamed away, deleted when there is time

Synchronous, safe with threads and with several processes: what changes names or records holds `images/lock`;
whoever makes layers that nothing names yet (build, pull, load) holds `images/users` shared, and layers are
only collected while nobody does. All files appear by rename; what a crash left is removed by `clean`.
It never touches containers: who uses an image is told by the caller.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from compose_lite import reference
from compose_lite.disk import locked, write_atomic
from compose_lite.errors import ImageError
from compose_lite.image import layers as layer_files
from compose_lite.image import manifest as manifests
from compose_lite.image.blobs import BlobWriter, Summed
from compose_lite.image.image import ROOTFS, Image, Layer, rootfs_image
from compose_lite.image.names import Names, NamesFile
from compose_lite.image.removal import Deleted, Removal, Untagged, Use, refuse_by_id, refuse_last_name
from compose_lite.reference import Reference

_SHORT = 24  # digits of a layer's folder: overlayfs' mount options have room for one page of paths


class ImageStore:
    def __init__(self, data: Path) -> None:
        self.data = data
        self._blobs, self._layers, self._images = data / "blobs/sha256", data / "layers", data / "images"
        self._trash = data / "trash"
        for folder in (self._blobs, self._layers, self._images, self._trash):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._thread_lock = threading.RLock()
        self._records: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._layer_cache: dict[str, Layer] = {}
        self._named = NamesFile(self._images / "names.json")

    # Looking up

    def get(self, text: str) -> Image | None:
        """By name (tag `latest` where none is given), by digest, by id or the start of one, or `rootfs:/path`."""
        if text.startswith(ROOTFS):
            return rootfs_image(text)
        found = self._find(text)
        return self._image(found, self._named.read()) if found else None

    def require(self, text: str) -> Image:
        """`get`, or the error that Docker gives."""
        found = self.get(text)
        if found is None:
            raise ImageError(
                "image-not-found", f"No such image: {text}", remedy="`compose-lite image ls` lists those that are here; pull or build it."
            )
        return found

    def _find(self, text: str) -> str | None:
        names = self._named.read()
        if text.startswith("sha256:") and self._record(text):
            return text
        if len(text) == 64 and self._record(f"sha256:{text}"):
            return f"sha256:{text}"
        with contextlib.suppress(ImageError):
            ref = reference.parse_tagged(text)
            found = names.digests.get(f"{ref.repository}@{ref.digest}") if ref.digest else names.tags.get(str(ref))
            if found:
                return found
        start = text.removeprefix("sha256:")
        if start and all(c in "0123456789abcdef" for c in start):
            hits = [path.stem for path in self._images.glob(f"{start}*.json") if path.name != "names.json"]
            if len(hits) == 1:
                return f"sha256:{hits[0]}"
            if len(hits) > 1:
                raise ImageError("image-ambiguous", f"{text} is the start of {len(hits)} images' ids", remedy="Give more digits.")
        return None

    def all(self) -> list[Image]:
        """Every image, the latest first."""
        names = self._named.read()
        found = (self._image("sha256:" + path.stem, names) for path in self._images.glob("*.json") if path.name != "names.json")
        return sorted((image for image in found if image), key=lambda image: (image.created, image.id), reverse=True)

    def history(self, text: str) -> list[dict[str, Any]]:
        """Docker's history, newest first: Id, Created (text), CreatedBy, Tags, Size, Comment."""
        image = self.require(text)
        sizes, rows = iter(image.layer_sizes), []
        for entry in image.config.get("history") or ():
            size = 0 if entry.get("empty_layer") else next(sizes, 0)
            rows.append(
                {
                    "Id": "<missing>",
                    "Created": entry.get("created") or "0001-01-01T00:00:00Z",
                    "CreatedBy": entry.get("created_by", ""),
                    "Tags": None,
                    "Size": size,
                    "Comment": entry.get("comment", ""),
                }
            )
        rows.reverse()
        if rows:
            rows[0] |= {"Id": image.id, "Tags": list(image.tags) or None}
        return rows

    # Names

    def tag(self, text: str, ref: str | Reference) -> None:
        """Gives the image the name; an image that had it loses it."""
        name = reference.parse(ref) if isinstance(ref, str) else ref
        if name.digest:
            raise ImageError("image-name", f"refusing to create a tag with a digest reference: {name.familiar}")
        with self._changing():
            found = self._find(text)
            if not found:
                raise ImageError("image-not-found", f"No such image: {text}")
            names = self._named.read()
            names.tags[str(name.with_default_tag())] = found
            self._named.write(names)
            self._touch(found)

    def note_digest(self, image: str, ref: Reference, digest: str) -> None:
        """Records that the registry knows the image by this digest."""
        with self._changing():
            names = self._named.read()
            names.digests[f"{ref.repository}@{digest}"] = image
            self._named.write(names)

    def remove(self, text: str, *, force: bool = False, in_use: Mapping[str, Sequence[Use]] | None = None) -> list[Removal]:
        """Takes a name away, or the image when it was the last one; refusals have Docker's words (code image-conflict)."""
        with self._changing():
            image = self.require(text)
            names = self._named.read()
            uses = (in_use or {}).get(image.id, ())
            by_id = self._is_id(text, image.id)
            mine = [*(t for t, i in names.tags.items() if i == image.id), *(d for d, i in names.digests.items() if i == image.id)]
            tags = [t for t in mine if "@" not in t]
            if by_id:
                refuse_by_id(image, tags, uses, force)
                going = mine
            else:
                ref = reference.parse_tagged(text)
                name = f"{ref.repository}@{ref.digest}" if ref.digest else str(ref)
                others = [t for t in tags if t != name]
                going = [name] + ([] if others else [d for d in mine if d != name])
                if not others:
                    refuse_last_name(ref, uses, force)
            keeps_image = bool(set(tags) - set(going)) or bool(uses)
            for name in going:
                names.tags.pop(name, None)
                names.digests.pop(name, None)
            self._named.write(names)
            done: list[Removal] = [Untagged(reference.parse(name).familiar) for name in going]
            if not keeps_image:
                done += self._delete(image)
            return done

    def prune(
        self, *, everything: bool = False, in_use: Iterable[str] = (), keep: Callable[[Image], bool] = lambda image: False
    ) -> tuple[list[Removal], int]:
        """Removes what has no name (everything: what no container uses); returns what went and the bytes that it freed."""
        used, gone, freed = set(in_use), list[Removal](), 0
        with self._changing():
            for image in self.all():
                if image.id in used or keep(image) or (image.tags and not everything):
                    continue
                names = self._named.read()
                going = [n for table in (names.tags, names.digests) for n, i in table.items() if i == image.id]
                for name in going:
                    names.tags.pop(name, None)
                    names.digests.pop(name, None)
                self._named.write(names)
                removed = self._delete(image)
                freed += sum(image.layer_sizes[len(image.layer_sizes) - (len(removed) - 1) :]) if len(removed) > 1 else 0
                gone += [*(Untagged(reference.parse(name).familiar) for name in going), *removed]
        return gone, freed

    def _is_id(self, text: str, image: str) -> bool:
        digits = text.removeprefix("sha256:")
        if not image.removeprefix("sha256:").startswith(digits):
            return False
        try:
            return self._named.read().tags.get(str(reference.parse_tagged(text))) != image
        except ImageError:
            return True

    def _delete(self, image: Image) -> list[Removal]:
        hexes = image.id.removeprefix("sha256:")
        (self._images / f"{hexes}.json").unlink(missing_ok=True)
        self._records.pop(image.id, None)
        kept_blobs = {blob for other in self.all() for blob in self._blobs_of(other)}
        for blob in set(self._blobs_of(image)) - kept_blobs:
            self.blob(blob).unlink(missing_ok=True)
        gone: list[Removal] = [Deleted(image.id)]
        gone += [Deleted(diff) for diff in self._collect(reversed(image.diff_ids))]
        return gone

    def _blobs_of(self, image: Image) -> list[str]:
        found = [image.id, image.manifest] if image.manifest else [image.id]
        return [*found, *(layer.blob for diff in image.diff_ids if (layer := self.layer(diff)) and layer.blob)]

    # Layers

    def layer(self, diff_id: str) -> Layer | None:
        """The unpacked layer, if it is here."""
        cached = self._layer_cache.get(diff_id)
        if cached:
            return cached
        folder = self._layer_folder(diff_id)
        try:
            value = json.loads((folder / "layer.json").read_bytes())
        except (OSError, ValueError):
            return None
        if value["diff_id"] != diff_id:
            return None
        found = Layer(
            diff_id,
            folder / "diff",
            value["content"],
            value["tar_size"],
            value["blob"],
            value["media_type"],
            tuple(value.get("notices", ())),
        )
        self._layer_cache[diff_id] = found
        return found

    def _layer_folder(self, diff_id: str) -> Path:
        return self._layers / diff_id.removeprefix("sha256:")[:_SHORT]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder beside the layers, so that a rename can make one of it; removed at the end, or by `clean` after a crash."""
        folder = self._layers / f".new-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        with locked(folder / ".lock"):
            try:
                yield folder
            finally:
                self.discard(folder)

    def add_layer(
        self, folder: Path, packed: layer_files.Packed, *, blob: str = "", media_type: str = "", notices: Sequence[str] = ()
    ) -> Layer:
        """Makes the folder (in a `scratch`) the unpacked layer; when another was faster, the other's is taken."""
        found = self.layer(packed.digest)
        if found:
            return found
        with self.scratch() as scratch:
            ready = scratch / "layer"
            ready.mkdir(mode=0o755)
            folder.rename(ready / "diff")
            value = {
                "diff_id": packed.digest,
                "content": packed.content,
                "tar_size": packed.size,
                "blob": blob,
                "media_type": media_type,
                "notices": list(notices),
            }
            write_atomic(ready / "layer.json", json.dumps(value).encode(), sync=False)
            with contextlib.suppress(OSError):  # not empty: somebody else made the same layer
                ready.rename(self._layer_folder(packed.digest))
        made = self.layer(packed.digest)
        if made is None:
            raise ImageError("layer-clash", f"the layer {packed.digest} cannot be put in its place {self._layer_folder(packed.digest)}")
        return made

    def unpack_layer(
        self,
        stream: IO[bytes],
        diff_id: str,
        *,
        finish_blob: Callable[[], str] = lambda: "",
        media_type: str = "",
        progress: Callable[[int], None] | None = None,
    ) -> Layer:
        """Unpacks an uncompressed tar stream, which has to be the layer that the diff id names.

        finish_blob: called when the stream has ended well, puts the bytes it came as in their place and tells their digest.
        """
        found = self.layer(diff_id)
        if found:
            return found
        with self.scratch() as scratch:
            target = scratch / "diff"
            target.mkdir()
            target.chmod(0o755)
            counted = Summed(stream)
            unpacked = layer_files.unpack(counted.buffered(), target, progress=progress)
            digest = counted.finish()
            if digest != diff_id:
                raise ImageError(
                    "digest-mismatch", f"a layer has the content {digest}, its image promises {diff_id}", remedy="Get it again."
                )
            packed = layer_files.Packed(diff_id, counted.size, unpacked.size, 0)
            notices = [f"{text} ({count} times)" for text, count in unpacked.notices.items()]
            return self.add_layer(target, packed, blob=finish_blob(), media_type=media_type, notices=notices)

    @contextlib.contextmanager
    def using_layers(self) -> Iterator[None]:
        """Hold this while making layers that no image names yet: nothing is collected meanwhile."""
        fd = os.open(self._images / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def collect(self) -> list[str]:
        """Removes layers that neither an image nor the build cache names; does nothing while somebody makes layers."""
        with self._changing():
            return self._collect(self._layer_ids())

    def _layer_ids(self) -> Iterator[str]:
        for path in self._layers.glob("*/layer.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                yield json.loads(path.read_bytes())["diff_id"]

    def _collect(self, candidates: Iterable[str]) -> list[str]:
        fd = os.open(self._images / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = {diff for image in self.all() for diff in image.diff_ids} | self._cached_layers()
            gone = [diff for diff in candidates if diff not in kept]
            for diff in gone:
                self._layer_cache.pop(diff, None)
                with contextlib.suppress(FileNotFoundError):
                    self._layer_folder(diff).rename(self._trash / secrets.token_hex(8))
            return gone
        except BlockingIOError:
            return []
        finally:
            os.close(fd)

    def _cached_layers(self) -> set[str]:
        """What the build cache (data/buildcache/<key>.json, written by build/) still needs."""
        found = set()
        for path in (self.data / "buildcache").glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                value = json.loads(path.read_bytes())
                if diff := value.get("diff_id"):
                    found.add(diff)
        return found

    # Images

    def blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def write_blob(self, content: bytes) -> str:
        digest = manifests.digest_of(content)
        if not self.blob(digest).exists():
            write_atomic(self.blob(digest), content)
        return digest

    @contextlib.contextmanager
    def blob_writer(self) -> Iterator[BlobWriter]:
        """A temporary file beside the blobs, to become one by `adopt`."""
        path = self._blobs / f".new-{secrets.token_hex(8)}"
        writer = BlobWriter(path, self.blob)
        try:
            with locked(path):
                yield writer
        finally:
            writer.close()
            path.unlink(missing_ok=True)

    def add_image(self, config: bytes, *, parent: str = "", manifest: str = "", refs: Sequence[Reference] = ()) -> Image:
        """Records an image whose layers are all unpacked, and gives it the names."""
        value = manifests.document(config, "the image's configuration")
        for diff in manifests.layers_of(value, "the image"):
            if self.layer(diff) is None:
                raise ImageError("layer-missing", f"the layer {diff} of the image is not here")
        with self._changing():
            digest = self.write_blob(config)
            path = self._images / f"{digest.removeprefix('sha256:')}.json"
            if not path.exists() or manifest:
                write_atomic(path, json.dumps({"parent": parent, "manifest": manifest}).encode())
            names = self._named.read()
            if refs:
                names.tags |= {str(ref.with_default_tag()): digest for ref in refs}
                self._named.write(names)
                self._touch(digest)
            image = self._image(digest, self._named.read())
            assert image
            return image

    def commit(self, config: Mapping[str, Any], *, parent: str = "", refs: Sequence[Reference] = ()) -> Image:
        """An image out of a configuration whose rootfs.diff_ids name layers of this store."""
        return self.add_image(manifests.config_bytes(config), parent=parent, refs=refs)

    def commit_folder(self, folder: Path) -> Layer:
        """A layer out of a folder that overlayfs wrote (an upper directory in a `scratch`); the folder is moved."""
        return self.add_layer(folder, layer_files.pack(folder))

    def _image(self, digest: str, names: Names) -> Image | None:
        record = self._record(digest)
        if record is None:
            return None
        config = record["config"]
        diff_ids = manifests.layers_of(config, digest)
        found = [self.layer(diff) for diff in diff_ids]
        if not all(found):
            return None
        present = [layer for layer in found if layer]
        return Image(
            digest,
            config,
            tuple(dict.fromkeys(layer.path for layer in reversed(present)))[::-1],  # overlayfs takes a folder once; the upper one counts
            diff_ids,
            tuple(layer.content for layer in present),
            tuple(sorted(reference.parse(name).familiar for name, i in names.tags.items() if i == digest)),
            tuple(sorted(reference.parse(name).familiar for name, i in names.digests.items() if i == digest)),
            record["parent"],
            record["manifest"],
            record["tagged_at"],
        )

    def _record(self, digest: str) -> dict[str, Any] | None:
        hexes = digest.removeprefix("sha256:")
        path = self._images / f"{hexes}.json"
        if len(hexes) != 64 or "/" in hexes:
            return None
        try:
            status = path.stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_ino)
        cached = self._records.get(digest)
        if cached and cached[0] == stamp:
            return cached[1]
        try:
            value = json.loads(path.read_bytes())
            value["config"] = json.loads(self.blob(digest).read_bytes())
        except (OSError, ValueError):
            return None
        value["tagged_at"] = status.st_mtime_ns
        self._records[digest] = (stamp, value)
        return dict(value)

    def _touch(self, digest: str) -> None:
        os.utime(self._images / f"{digest.removeprefix('sha256:')}.json")

    # Names on disk

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._thread_lock:
            if getattr(self, "_depth", 0):
                yield
                return
            with locked(self._images / "lock"):
                self._depth = 1
                try:
                    yield
                finally:
                    self._depth = 0

    # Leftovers

    def discard(self, folder: Path) -> None:
        """Renames a folder away and deletes it."""
        gone = self._trash / secrets.token_hex(8)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def empty_trash(self) -> None:
        for entry in list(self._trash.iterdir()):
            shutil.rmtree(entry, ignore_errors=True)

    def clean(self) -> None:
        """Removes what killed processes left: scratch folders nobody locks, temporary files, trash."""
        for folder in self._layers.glob(".new-*"):
            with contextlib.suppress(OSError):
                if (folder / ".lock").exists() or folder.stat().st_ctime < time.time() - 10:  # else its maker may be about to lock it
                    with locked(folder / ".lock", blocking=False):
                        self.discard(folder)
        for temporary in self._blobs.glob(".new-*"):
            with contextlib.suppress(OSError), locked(temporary, blocking=False):
                temporary.unlink()
        for temporary in self._images.glob(".*"):  # of `write_atomic`, which takes no lock but no time either
            with contextlib.suppress(OSError):
                if temporary.stat().st_mtime < time.time() - 60:
                    temporary.unlink()
        self.empty_trash()
