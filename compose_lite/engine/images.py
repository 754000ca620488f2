"""The image calls of the Docker Engine API: documents in Docker's form, JSON streams; blocking work in threads.

`Images` is given the store and two callbacks (who uses which image; tell an event) and is called by the route table.
It must never decide where an image lies on disk or who may use it: that is `image/` and the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from compose_lite import reference
from compose_lite.engine.filters import matches_labels
from compose_lite.engine.record import Container
from compose_lite.engine.server import Reply, Request
from compose_lite.errors import EngineError, Error, ImageError
from compose_lite.image import archive
from compose_lite.image import manifest as manifests
from compose_lite.image.image import Image
from compose_lite.image.removal import Removal, Untagged, Use
from compose_lite.image.store import ImageStore
from compose_lite.units import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from compose_lite.logins import Login

Document = dict[str, Any]
_STATUS = {
    "image-not-found": 404,
    "registry-denied": 401,
    "image-conflict": 409,
    "image-name": 400,
    "image-ambiguous": 400,
    "archive-kind": 400,
    "image-rootfs": 400,
}
_FILTERS = frozenset({"dangling", "label", "reference", "before", "since", "until"})


class Images:
    def __init__(
        self,
        store: ImageStore,
        uses: Callable[[], Mapping[str, Sequence[Use]]] = dict,
        tell: Callable[[str, str, Mapping[str, str]], object] = lambda action, id, attributes: None,
    ) -> None:
        """uses: image id -> containers made from it. tell: (action, image id, attributes) of an event of kind image."""
        self.store, self._uses, self._tell = store, uses, tell

    # Questions

    async def list(self, request: Request) -> Sequence[Document]:
        """GET /images/json"""
        filters = request.filters(_FILTERS)
        images = await self._in_thread(self.store.all)
        uses = self._uses()
        rows = []
        for image in _chosen(images, filters, self._require):
            row = summary(image, len(uses.get(image.id, ())))
            if "reference" in filters:
                row["RepoTags"] = [tag for tag in image.tags if any(_is_called(tag, pattern) for pattern in filters["reference"])]
            rows.append(row)
        return rows

    async def inspect(self, request: Request) -> Document:
        """GET /images/{name}/json"""
        return inspect_document(await self._in_thread(self._require, request.params["name"]))

    async def history(self, request: Request) -> Sequence[Document]:
        """GET /images/{name}/history"""
        rows = await self._in_thread(self.store.history, request.params["name"])
        return [{**row, "Created": _seconds(row["Created"])} for row in rows]

    async def distribution(self, request: Request) -> Document:
        """GET /distribution/{name}/json: what the registry has under the name."""
        from compose_lite.image import auth, registry

        name = await self._in_thread(reference.parse, request.params["name"])
        login = auth.decode_header(request.headers.get("x-registry-auth", ""))
        found: registry.Distribution = await self._in_thread(partial(registry.describe, name, login=login))
        return {"Descriptor": found.descriptor.document(), "Platforms": list(found.platforms) or None}

    def check_platform(self, name: str, wanted: str) -> None:
        """404 in Docker's words when the image that is here is one for another platform; then clients pull."""
        image = self.store.get(name)
        try:
            wish = manifests.parse_platform(wanted)
        except ImageError as error:
            raise EngineError(error.says, http_status=400, code=error.code, remedy=error.remedy) from error
        if image is None or image.rootfs or not image.config.get("architecture"):
            return
        config = image.config
        found = manifests.Platform(config.get("os") or "linux", config["architecture"], config.get("variant") or "")
        if not wish.accepts(found):
            says = f"image with reference {name} was found but its platform ({found}) does not match the specified platform ({wish})"
            raise EngineError(says, http_status=404)

    # Changes

    async def tag(self, request: Request) -> Reply:
        """POST /images/{name}/tag"""
        repo, tag = request.text("repo"), request.text("tag")
        name = await self._in_thread(reference.parse, f"{repo}:{tag}" if tag else repo)
        image = await self._in_thread(self._require, request.params["name"])
        await self._in_thread(self.store.tag, image.id, name)
        self._tell("tag", image.id, {"name": name.with_default_tag().familiar})
        return Reply(201)

    async def remove(self, request: Request) -> Sequence[Document]:
        """DELETE /images/{name}"""
        name, force, uses = request.params["name"], request.flag("force"), self._uses()
        image = await self._in_thread(self._require, name)
        gone = await self._in_thread(lambda: self.store.remove(name, force=force, in_use=uses))
        return self._removed(image.id, gone)

    async def prune(self, request: Request) -> Document:
        """POST /images/prune"""
        filters = request.filters(frozenset({"dangling", "label", "label!", "until"}))
        everything = filters.get("dangling", ["true"])[0] in ("false", "0")
        in_use = [id for id, users in self._uses().items() if users]

        def keep(image: Image) -> bool:
            labels = dict(image.run_config.get("Labels") or {})
            unwanted = any(matches_labels(labels, [entry]) for entry in filters.get("label!", ()))
            return unwanted or not matches_labels(labels, filters.get("label", ()))

        gone, freed = await self._in_thread(lambda: self.store.prune(everything=everything, in_use=in_use, keep=keep))
        deleted = self._removed("", gone)
        self._tell("prune", "", {"reclaimed": str(freed)})
        return {"ImagesDeleted": deleted or None, "SpaceReclaimed": freed}

    def _removed(self, image: str, gone: Sequence[Removal]) -> Sequence[Document]:
        asyncio.get_running_loop().run_in_executor(None, self.store.empty_trash)  # the room is free soon; nobody waits for it
        rows: list[Document] = []
        for item in gone:
            if isinstance(item, Untagged):
                rows.append({"Untagged": item.name})
                self._tell("untag", image, {"name": image or item.name})
            else:
                rows.append({"Deleted": item.id})
                if item.id == image:
                    self._tell("delete", image, {"name": image})
        return rows

    async def load(self, request: Request) -> None:
        """POST /images/load: an archive as the body; a stream of what was loaded."""
        with tempfile.TemporaryFile(dir=self.store.data, prefix=".load-") as spool:
            while piece := await request.body.read_some():
                spool.write(piece)
            spool.seek(0)
            await request.begin()
            quiet = request.flag("quiet")
            try:
                images = await self._in_thread(archive.load, self.store, cast(BinaryIO, spool))
            except (Error, OSError) as error:
                await request.send_json(_error(error))
                return
        for image in images:
            shown = [f"Loaded image: {tag}" for tag in image.tags] or [f"Loaded image ID: {image.id}"]
            for line in shown:
                await request.send_json({"stream": line + "\n"})
            self._tell("load", image.id, {"name": image.tags[0] if image.tags else image.id})
        if not images and not quiet:
            await request.send_json({"stream": "The archive holds no image\n"})

    async def pull(self, request: Request) -> None:
        """POST /images/create?fromImage=...: a stream of what is downloaded."""
        from compose_lite.image import auth, registry  # urllib3 and TLS are for pulling only

        if request.text("fromSrc"):
            await self._load_root(request)
            return
        repo, tag, platform = request.text("fromImage"), request.text("tag"), request.text("platform")
        if not repo:
            raise EngineError("fromImage or fromSrc is needed", http_status=400)
        joined = f"{repo}@{tag}" if tag.startswith("sha256:") else f"{repo}:{tag}" if tag else repo
        name = (await self._in_thread(reference.parse, joined)).with_default_tag()
        wanted = await self._in_thread(manifests.parse_platform, platform) if platform else None
        login = auth.decode_header(request.headers.get("x-registry-auth", ""))
        rows: asyncio.Queue[Document | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def told(layer: str, status: str, done: int, total: int) -> None:
            loop.call_soon_threadsafe(rows.put_nowait, registry.progress_document(layer, status, done, total))

        before = self.store.get(str(name))
        job = asyncio.ensure_future(asyncio.to_thread(registry.pull, self.store, name, platform=wanted, login=login, progress=told))
        job.add_done_callback(lambda _: rows.put_nowait(None))
        first = await rows.get()
        if first is None and isinstance(job.exception(), ImageError) and getattr(job.exception(), "code", "") == "image-not-found":
            raise EngineError(str(getattr(job.exception(), "says", "")), http_status=404)
        await request.begin()
        await request.send_json({"status": f"Pulling from {name.path}", "id": name.tag or name.digest})
        while first is not None:
            await request.send_json(first)
            first = await rows.get()
        try:
            image, digest = await job
        except (Error, OSError) as error:
            await request.send_json(_error(error))
            return
        new = "Image is up to date for" if before and before.id == image.id else "Downloaded newer image for"
        await request.send_json({"status": f"Digest: {digest}"})
        await request.send_json({"status": f"Status: {new} {name.familiar}"})
        self._tell("pull", image.id, {"name": name.familiar})

    async def search(self, request: Request) -> Document:
        """GET /images/search"""
        raise EngineError("compose-lite does not search registries", http_status=501, remedy="Search on the registry's own page.")

    async def commit(self, request: Request, container: Container, upper: Path, config: Document) -> tuple[Image, str]:
        """What POST /commit makes of a container whose own layer lies in the upper folder, and its name in short; empty without one."""
        from compose_lite.engine import commits

        name, comment, author = _repo_tag(request), request.text("comment"), request.text("author")

        def make() -> Image:
            return commits.commit(self.store, container, upper, name=name, comment=comment, author=author, config=config)

        image: Image = await self._in_thread(make)
        familiar = reference.parse_tagged(name).familiar if name else ""
        self._tell("create", image.id, {"name": image.id})
        if familiar:
            self._tell("tag", image.id, {"name": familiar})
        return image, familiar

    async def _load_root(self, request: Request) -> None:
        """POST /images/create?fromSrc=-: the tar of a root file system as an image."""
        if request.text("fromSrc") != "-":
            raise EngineError("an image can be imported from the request's body alone (fromSrc=-)", http_status=400)
        from compose_lite.engine import commits

        config = commits.configured({}, request.query.get("changes", []))
        name, comment, platform = _repo_tag(request), request.text("message"), request.text("platform")
        with tempfile.TemporaryFile(dir=self.store.data, prefix=".import-") as spool:
            while piece := await request.body.read_some():
                spool.write(piece)
            spool.seek(0)
            source = cast(IO[bytes], spool)
            make = partial(commits.load_root, self.store, source, name=name, comment=comment, config=config, platform=platform)
            image: Image = await self._in_thread(make)
        await request.begin()
        await request.send_json({"status": image.id})
        self._tell("import", image.id, {"name": name or image.id})

    async def push(self, request: Request) -> None:
        """POST /images/{name}/push: a stream of what is uploaded. Without a tag all tags of the name."""
        from compose_lite.image import auth

        given, tag = request.params["name"], request.text("tag")
        name = await self._in_thread(reference.parse, f"{given}:{tag}" if tag else given)
        if tag or name.tag:
            there = await self._in_thread(self.store.get, str(name.with_default_tag()))
            names = [name.with_default_tag()] if there else []
        else:
            tags = await self._in_thread(lambda: sorted({tag for image in self.store.all() for tag in image.tags}))
            names = [found for found in map(reference.parse, tags) if found.repository == name.repository]
        if not names:
            raise EngineError(f"An image does not exist locally with the tag: {given}", http_status=404)
        login = auth.decode_header(request.headers.get("x-registry-auth", ""))
        await request.begin()
        await request.send_json({"status": f"The push refers to repository [{name.repository}]"})
        for one in names:
            if not await self._push_one(request, one, login):
                return

    async def _push_one(self, request: Request, name: reference.Reference, login: Login | None) -> bool:
        from compose_lite.image import upload

        rows: asyncio.Queue[Document | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def told(layer: str, status: str, done: int, total: int) -> None:
            loop.call_soon_threadsafe(rows.put_nowait, upload.progress_document(layer, status, done, total))

        job = asyncio.ensure_future(asyncio.to_thread(upload.push, self.store, name, login=login, progress=told))
        job.add_done_callback(lambda _: rows.put_nowait(None))
        while (row := await rows.get()) is not None:
            await request.send_json(row)
        try:
            pushed = await job
        except (Error, OSError) as error:
            await request.send_json(_error(error))
            return False
        await request.send_json({"status": f"{name.tag}: digest: {pushed.digest} size: {pushed.size}"})
        await request.send_json({"progressDetail": {}, "aux": {"Tag": name.tag, "Digest": pushed.digest, "Size": pushed.size}})
        self._tell("push", name.familiar, {"name": name.familiar})
        return True

    async def save(self, request: Request) -> None:
        """GET /images/get?names=... and GET /images/{name}/get: an archive."""
        given = request.params.get("name")
        names = [given] if given else [n for text in request.query.get("names", []) for n in text.split(",") if n]
        for name in names:
            await self._in_thread(self._require, name)
        pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(8)

        def write_all() -> None:
            try:
                archive.save(self.store, names, pieces.put)
                pieces.put(None)
            except BaseException as error:
                pieces.put(error)

        await request.begin("application/x-tar")
        worker = asyncio.get_running_loop().run_in_executor(None, write_all)
        try:
            while (piece := await asyncio.to_thread(pieces.get)) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                await request.send(piece)
        finally:
            while not worker.done():
                with contextlib.suppress(queue.Empty):
                    pieces.get_nowait()
                await asyncio.sleep(0.01)

    # Inside

    def _require(self, name: str) -> Image:
        found = self.store.get(name)
        if found is None:  # Docker names the tag that it has looked for
            tagged = name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"
            raise ImageError("image-not-found", f"No such image: {tagged}")
        return found

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return await asyncio.to_thread(call, *args)
        except ImageError as error:
            raise EngineError(error.says, http_status=_STATUS.get(error.code, 500), code=error.code) from error


def _repo_tag(request: Request) -> str:
    repo, tag = request.text("repo"), request.text("tag")
    return f"{repo}:{tag}" if repo and tag else repo


def summary(image: Image, containers: int = -1) -> Document:
    """One row of GET /images/json."""
    return {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Created": _seconds(image.created),
        "Size": image.size,
        "SharedSize": -1,
        "Labels": image.run_config.get("Labels") or None,
        "Containers": containers,
    }


def inspect_document(image: Image) -> Document:
    """GET /images/{name}/json"""
    config, run = image.config, image.run_config
    history = list(config.get("history") or ())
    lower = [str(path) for path in reversed(image.layers)]
    upper = [("UpperDir", path) for path in lower[:1]]
    found: Document = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": history[-1].get("comment", "") if history else config.get("comment", ""),
        "Created": image.created,
        "DockerVersion": config.get("docker_version", ""),
        "Author": config.get("author", ""),
        "Architecture": config.get("architecture", ""),
        "Os": config.get("os", ""),
        "Size": image.size,
        "GraphDriver": {"Data": {k: v for k, v in (("LowerDir", ":".join(lower[1:])), *upper) if v}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", **({"Layers": list(image.diff_ids)} if image.diff_ids else {})},
        "Metadata": {"LastTagTime": rfc3339(image.tagged_at) if image.tagged_at and image.tags else "0001-01-01T00:00:00Z"},
        "Config": config_document(run),
    }
    if config.get("variant"):
        found["Variant"] = config["variant"]
    return found


def config_document(run: Mapping[str, Any]) -> Document:
    """The image's `config` with the fields that Docker always shows."""
    shown: Document = {
        "Cmd": None,
        "Entrypoint": None,
        "Env": None,
        "Labels": None,
        "OnBuild": None,
        "User": "",
        "Volumes": None,
        "WorkingDir": "",
    }
    return shown | {key: value for key, value in run.items() if value not in (None, "", [], {}, False)}


def _seconds(created: str) -> int:
    try:
        return parse_rfc3339(created) // 10**9
    except ValueError:
        return 0


def _chosen(images: Sequence[Image], filters: Mapping[str, Sequence[str]], require: Callable[[str], Image]) -> list[Image]:
    found = list(images)
    if "dangling" in filters:
        wanted = filters["dangling"][0] in ("true", "1")
        found = [image for image in found if (not image.tags and not image.digests) == wanted]
    if "label" in filters:
        found = [image for image in found if matches_labels(dict(image.run_config.get("Labels") or {}), filters["label"])]
    if "reference" in filters:
        found = [image for image in found if any(_is_called(t, pattern) for t in image.tags for pattern in filters["reference"])]
    for name in filters.get("before", ()):
        limit = require(name).created
        found = [image for image in found if image.created < limit]
    for name in filters.get("since", ()):
        limit = require(name).created
        found = [image for image in found if image.created > limit]
    return found


def _is_called(tag: str, pattern: str) -> bool:
    import fnmatch

    names = (tag, tag.rpartition(":")[0], str(reference.parse(tag)))
    return any(fnmatch.fnmatchcase(name, pattern) and name.count("/") == pattern.count("/") for name in names)


def _error(error: Exception) -> Document:
    says = error.says if isinstance(error, Error) else f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    return {"errorDetail": {"message": says}, "error": says}
