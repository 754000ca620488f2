"""The Engine: what a Docker-like engine can be asked, in Docker's own nouns.

`Engine` is the seam (a test puts a fake behind it); `DockerEngine` is the one real implementation: our engine, dockerd
and podman alike, over an EngineClient. Documents are plain dicts in the Docker Engine API's JSON form.
It must never decide anything: no retries, no defaults of its own beside Docker's.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio.to_thread
import pydantic_core

from compose_lite import reference as references
from compose_lite.api.client import Answer, Content, EngineClient, Hijacked
from compose_lite.errors import ApiError, Error
from compose_lite.ids import UNMET
from compose_lite.logins import Logins

Document = dict[str, Any]
Filters = Mapping[str, list[str]]
Frames = AsyncIterator[list[tuple[int, bytes]]]
Documents = AsyncIterator[Document]
DRY_RUN = "dry-run"
"""The id of what an engine that is only asked would have made."""


class Engine(Protocol):
    """start, stop, restart and the like answer False when there was nothing to do (304)."""

    async def aclose(self) -> None: ...
    async def ping(self) -> Mapping[str, str]: ...
    async def version(self) -> Document: ...
    async def info(self) -> Document: ...
    async def disk_usage(self) -> Document: ...
    def events(self, *, filters: Filters | None = None, since: str | None = None, until: str | None = None) -> Documents: ...

    async def containers(
        self, *, all: bool = False, filters: Filters | None = None, limit: int = 0, size: bool = False
    ) -> list[Document]: ...
    async def container(self, id: str, *, size: bool = False) -> Document: ...
    async def create_container(self, name: str | None, body: Document, *, platform: str | None = None) -> Document: ...
    async def start(self, id: str) -> tuple[str, ...]: ...
    async def stop(self, id: str, *, timeout: int | None = None, signal: str | None = None) -> bool: ...
    async def restart(self, id: str, *, timeout: int | None = None, signal: str | None = None) -> None: ...
    async def kill(self, id: str, *, signal: str | None = None) -> None: ...
    async def wait(self, id: str, *, condition: str = "not-running", registered: Callable[[], object] | None = None) -> Document: ...
    async def remove(self, id: str, *, force: bool = False, volumes: bool = False) -> None: ...
    async def rename(self, id: str, name: str) -> None: ...
    async def pause(self, id: str) -> None: ...
    async def unpause(self, id: str) -> None: ...
    async def update(self, id: str, body: Document) -> Document: ...
    def logs(
        self,
        id: str,
        *,
        follow: bool = False,
        since: str | None = None,
        until: str | None = None,
        tail: str | None = None,
        timestamps: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        tty: bool | None = None,
    ) -> Frames: ...
    async def attach(
        self,
        id: str,
        *,
        stream: bool = True,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        tty: bool | None = None,
    ) -> Hijacked: ...
    async def resize(self, id: str, height: int, width: int) -> None: ...
    async def exec_create(self, id: str, body: Document) -> str: ...
    async def exec_start(self, id: str, *, tty: bool = False) -> Hijacked: ...
    async def exec_detached(self, id: str, *, tty: bool = False) -> None: ...
    async def exec_inspect(self, id: str) -> Document: ...
    async def exec_resize(self, id: str, height: int, width: int) -> None: ...
    async def top(self, id: str, *, ps_args: str | None = None) -> Document: ...
    def stats(self, id: str, *, stream: bool = True, one_shot: bool = False) -> Documents: ...
    async def changes(self, id: str) -> list[Document]: ...
    def export(self, id: str) -> AbstractAsyncContextManager[Answer]: ...
    async def commit(self, id: str, *, repo: str = "", tag: str = "", config: Document | None = None, **options: Any) -> Document: ...
    async def archive_head(self, id: str, path: str) -> Document: ...
    def archive_get(self, id: str, path: str) -> AbstractAsyncContextManager[Answer]: ...
    async def archive_put(
        self, id: str, path: str, content: Content, *, no_overwrite_dir_non_dir: bool = False, copy_uid_gid: bool = False
    ) -> None: ...
    async def prune_containers(self, *, filters: Filters | None = None) -> Document: ...

    async def images(self, *, all: bool = False, filters: Filters | None = None, digests: bool = False) -> list[Document]: ...
    async def image(self, name: str, *, platform: str | None = None) -> Document: ...
    async def history(self, name: str) -> list[Document]: ...
    async def distribution(self, name: str, *, auth: Document | None = None) -> Document: ...
    def pull(self, reference: str, *, platform: str | None = None, auth: Document | None = None) -> Documents: ...
    def push(self, reference: str, *, auth: Document | None = None) -> Documents: ...
    async def tag(self, name: str, repo: str, tag: str | None = None) -> None: ...
    async def remove_image(self, name: str, *, force: bool = False, prune: bool = True) -> list[Document]: ...
    def load(self, content: Content, *, quiet: bool = False) -> Documents: ...
    def save(self, names: list[str]) -> AbstractAsyncContextManager[Answer]: ...
    def build(
        self,
        context: Content,
        *,
        query: Mapping[str, Any],
        registry_config: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Documents: ...
    async def prune_images(self, *, filters: Filters | None = None) -> Document: ...

    async def networks(self, *, filters: Filters | None = None) -> list[Document]: ...
    async def network(self, id: str, *, verbose: bool = False) -> Document: ...
    async def create_network(self, body: Document) -> Document: ...
    async def remove_network(self, id: str) -> None: ...
    async def connect_network(self, id: str, container: str, endpoint: Document | None = None) -> None: ...
    async def disconnect_network(self, id: str, container: str, *, force: bool = False) -> None: ...
    async def prune_networks(self, *, filters: Filters | None = None) -> Document: ...

    async def volumes(self, *, filters: Filters | None = None) -> list[Document]: ...
    async def volume(self, name: str) -> Document: ...
    async def create_volume(self, body: Document) -> Document: ...
    async def remove_volume(self, name: str, *, force: bool = False) -> None: ...
    async def prune_volumes(self, *, filters: Filters | None = None) -> Document: ...

    async def extension(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any: ...


class DockerEngine:
    """The Engine at the other end of an EngineClient. dry: it is only asked, nothing is changed.

    logins: sent along with what concerns a registry, unless the caller says who it is.
    """

    dry = False

    def __init__(self, client: EngineClient, logins: Logins | None = None) -> None:
        self.client, self.logins = client, logins

    async def aclose(self) -> None:
        await self.client.aclose()

    async def ping(self) -> Mapping[str, str]:
        return await self.client.ping()

    async def version(self) -> Document:
        return _document(await self.client.json("GET", "/version"))

    async def info(self) -> Document:
        return _document(await self.client.json("GET", "/info"))

    async def disk_usage(self) -> Document:
        return _document(await self.client.json("GET", "/system/df"))

    async def events(self, *, filters: Filters | None = None, since: str | None = None, until: str | None = None) -> Documents:
        query = {"filters": _filters(filters), "since": since, "until": until}
        async with self.client.stream("GET", "/events", query=query) as answer:
            async for event in answer.iter_json():
                yield event

    # containers

    async def containers(self, *, all: bool = False, filters: Filters | None = None, limit: int = 0, size: bool = False) -> list[Document]:
        query = {"all": all or None, "filters": _filters(filters), "limit": limit or None, "size": size or None}
        return list(await self.client.json("GET", "/containers/json", query=query))

    async def container(self, id: str, *, size: bool = False) -> Document:
        return _document(await self.client.json("GET", f"/containers/{id}/json", query={"size": size or None}))

    async def create_container(self, name: str | None, body: Document, *, platform: str | None = None) -> Document:
        query = {"name": name, "platform": platform}
        return _document(await self.client.json("POST", "/containers/create", query=query, body=body))

    async def start(self, id: str) -> tuple[str, ...]:
        """What our engine could not keep of its limits, and only knew now: `cpu realtime runtime: why`."""
        async with self.client.stream("POST", f"/containers/{id}/start") as answer:
            await answer.read()
            return tuple(pydantic_core.from_json(answer.headers.get(UNMET, "[]")))

    async def stop(self, id: str, *, timeout: int | None = None, signal: str | None = None) -> bool:
        return await self.client.json("POST", f"/containers/{id}/stop", query={"t": timeout, "signal": signal}) is not False

    async def restart(self, id: str, *, timeout: int | None = None, signal: str | None = None) -> None:
        await self.client.json("POST", f"/containers/{id}/restart", query={"t": timeout, "signal": signal})

    async def kill(self, id: str, *, signal: str | None = None) -> None:
        await self.client.json("POST", f"/containers/{id}/kill", query={"signal": signal})

    async def wait(self, id: str, *, condition: str = "not-running", registered: Callable[[], object] | None = None) -> Document:
        """{"StatusCode": n, "Error": ...}. registered is called once the engine has noted the wish (its head is here)."""
        async with self.client.stream("POST", f"/containers/{id}/wait", query={"condition": condition}) as answer:
            if registered:
                registered()
            return _document(pydantic_core.from_json(await answer.read()))

    async def remove(self, id: str, *, force: bool = False, volumes: bool = False) -> None:
        await self.client.json("DELETE", f"/containers/{id}", query={"force": force or None, "v": volumes or None})

    async def rename(self, id: str, name: str) -> None:
        await self.client.json("POST", f"/containers/{id}/rename", query={"name": name})

    async def pause(self, id: str) -> None:
        await self.client.json("POST", f"/containers/{id}/pause")

    async def unpause(self, id: str) -> None:
        await self.client.json("POST", f"/containers/{id}/unpause")

    async def update(self, id: str, body: Document) -> Document:
        return _document(await self.client.json("POST", f"/containers/{id}/update", body=body))

    async def logs(
        self,
        id: str,
        *,
        follow: bool = False,
        since: str | None = None,
        until: str | None = None,
        tail: str | None = None,
        timestamps: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        tty: bool | None = None,
    ) -> Frames:
        query = {
            "follow": follow or None,
            "since": since,
            "until": until,
            "tail": tail,
            "timestamps": timestamps or None,
            "stdout": stdout,
            "stderr": stderr,
        }
        async with self.client.stream("GET", f"/containers/{id}/logs", query=query) as answer:
            async for some in answer.frames(tty=tty):
                yield some

    async def attach(
        self,
        id: str,
        *,
        stream: bool = True,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        tty: bool | None = None,
    ) -> Hijacked:
        query = {"stream": stream, "stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs}
        return await self.client.hijack(f"/containers/{id}/attach", query=query, tty=tty)

    async def resize(self, id: str, height: int, width: int) -> None:
        await self.client.json("POST", f"/containers/{id}/resize", query={"h": height, "w": width})

    async def exec_create(self, id: str, body: Document) -> str:
        return str((await self.client.json("POST", f"/containers/{id}/exec", body=body))["Id"])

    async def exec_start(self, id: str, *, tty: bool = False) -> Hijacked:
        return await self.client.hijack(f"/exec/{id}/start", {"Detach": False, "Tty": tty}, tty=tty)

    async def exec_detached(self, id: str, *, tty: bool = False) -> None:
        await self.client.json("POST", f"/exec/{id}/start", body={"Detach": True, "Tty": tty})

    async def exec_inspect(self, id: str) -> Document:
        return _document(await self.client.json("GET", f"/exec/{id}/json"))

    async def exec_resize(self, id: str, height: int, width: int) -> None:
        await self.client.json("POST", f"/exec/{id}/resize", query={"h": height, "w": width})

    async def top(self, id: str, *, ps_args: str | None = None) -> Document:
        return _document(await self.client.json("GET", f"/containers/{id}/top", query={"ps_args": ps_args}))

    async def stats(self, id: str, *, stream: bool = True, one_shot: bool = False) -> Documents:
        query = {"stream": stream, "one-shot": one_shot or None}
        async with self.client.stream("GET", f"/containers/{id}/stats", query=query) as answer:
            async for one in answer.iter_json():
                yield one

    async def changes(self, id: str) -> list[Document]:
        return list(await self.client.json("GET", f"/containers/{id}/changes") or [])

    def export(self, id: str) -> AbstractAsyncContextManager[Answer]:
        return self.client.stream("GET", f"/containers/{id}/export")

    async def commit(self, id: str, *, repo: str = "", tag: str = "", config: Document | None = None, **options: Any) -> Document:
        query = {"container": id, "repo": repo, "tag": tag, **options}
        return _document(await self.client.json("POST", "/commit", query=query, body=config or {}))

    async def archive_head(self, id: str, path: str) -> Document:
        """The path's stat: name, size, mode (Go's bits), mtime, linkTarget."""
        async with self.client.stream("HEAD", f"/containers/{id}/archive", query={"path": path}) as answer:
            return path_stat(answer)

    def archive_get(self, id: str, path: str) -> AbstractAsyncContextManager[Answer]:
        """A tar of the path; path_stat(answer) tells what it is."""
        return self.client.stream("GET", f"/containers/{id}/archive", query={"path": path})

    async def archive_put(
        self, id: str, path: str, content: Content, *, no_overwrite_dir_non_dir: bool = False, copy_uid_gid: bool = False
    ) -> None:
        query = {"path": path, "noOverwriteDirNonDir": no_overwrite_dir_non_dir or None, "copyUIDGID": copy_uid_gid or None}
        async with self.client.stream("PUT", f"/containers/{id}/archive", query=query, content=content) as answer:
            await answer.read()

    async def prune_containers(self, *, filters: Filters | None = None) -> Document:
        return _document(await self.client.json("POST", "/containers/prune", query={"filters": _filters(filters)}))

    # images

    async def _auth(self, reference: str, auth: Document | None) -> dict[str, str]:
        """The header for the registry that the name leads to. A helper of the user's may be asked, so it is done in a thread."""
        if auth is None and self.logins:
            try:
                domain = references.parse(reference).domain
            except Error:
                return {}  # the engine refuses the name, in its words
            login = await anyio.to_thread.run_sync(self.logins.of, domain)
            auth = login.document() if login else None
        return {"X-Registry-Auth": _base64(auth)} if auth else {}

    async def images(self, *, all: bool = False, filters: Filters | None = None, digests: bool = False) -> list[Document]:
        query = {"all": all or None, "filters": _filters(filters), "digests": digests or None}
        return list(await self.client.json("GET", "/images/json", query=query))

    async def image(self, name: str, *, platform: str | None = None) -> Document:
        return _document(await self.client.json("GET", f"/images/{name}/json", query={"platform": platform}))

    async def history(self, name: str) -> list[Document]:
        return list(await self.client.json("GET", f"/images/{name}/history"))

    async def distribution(self, name: str, *, auth: Document | None = None) -> Document:
        """What the registry has under this name: {Descriptor: {mediaType, digest, size}, Platforms: [...]}."""
        return _document(await self.client.json("GET", f"/distribution/{name}/json", headers=await self._auth(name, auth)))

    async def pull(self, reference: str, *, platform: str | None = None, auth: Document | None = None) -> Documents:
        """Progress documents; an error inside the stream is raised."""
        name, tag = split_reference(reference)
        query = {"fromImage": name, "tag": tag, "platform": platform}
        async with self.client.stream("POST", "/images/create", query=query, headers=await self._auth(reference, auth)) as answer:
            async for one in answer.iter_json():
                yield _checked(one)

    async def push(self, reference: str, *, auth: Document | None = None) -> Documents:
        name, tag = split_reference(reference)
        headers = await self._auth(reference, auth) or {"X-Registry-Auth": "e30="}  # Docker wants one; this says nobody
        async with self.client.stream("POST", f"/images/{name}/push", query={"tag": tag}, headers=headers) as answer:
            async for one in answer.iter_json():
                yield _checked(one)

    async def tag(self, name: str, repo: str, tag: str | None = None) -> None:
        await self.client.json("POST", f"/images/{name}/tag", query={"repo": repo, "tag": tag})

    async def remove_image(self, name: str, *, force: bool = False, prune: bool = True) -> list[Document]:
        return list(await self.client.json("DELETE", f"/images/{name}", query={"force": force or None, "noprune": None if prune else 1}))

    async def load(self, content: Content, *, quiet: bool = False) -> Documents:
        async with self.client.stream("POST", "/images/load", query={"quiet": quiet}, content=content) as answer:
            async for one in answer.iter_json():
                yield _checked(one)

    def save(self, names: list[str]) -> AbstractAsyncContextManager[Answer]:
        return self.client.stream("GET", "/images/get", query={"names": names})

    async def build(
        self,
        context: Content,
        *,
        query: Mapping[str, Any],
        registry_config: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Documents:
        """Stream documents of a build from a tar; a failing step is raised as ApiError."""
        fields = {**(headers or {})}
        if registry_config is None and self.logins:
            found = await anyio.to_thread.run_sync(self.logins.all)
            registry_config = {server: login.document() for server, login in found.items()}
        if registry_config:
            fields["X-Registry-Config"] = _base64(registry_config)
        async with self.client.stream("POST", "/build", query=query, content=context, headers=fields) as answer:
            async for one in answer.iter_json():
                yield _checked(one)

    async def prune_images(self, *, filters: Filters | None = None) -> Document:
        return _document(await self.client.json("POST", "/images/prune", query={"filters": _filters(filters)}))

    # networks

    async def networks(self, *, filters: Filters | None = None) -> list[Document]:
        return list(await self.client.json("GET", "/networks", query={"filters": _filters(filters)}))

    async def network(self, id: str, *, verbose: bool = False) -> Document:
        return _document(await self.client.json("GET", f"/networks/{id}", query={"verbose": verbose or None}))

    async def create_network(self, body: Document) -> Document:
        return _document(await self.client.json("POST", "/networks/create", body=body))

    async def remove_network(self, id: str) -> None:
        await self.client.json("DELETE", f"/networks/{id}")

    async def connect_network(self, id: str, container: str, endpoint: Document | None = None) -> None:
        await self.client.json("POST", f"/networks/{id}/connect", body={"Container": container, "EndpointConfig": endpoint})

    async def disconnect_network(self, id: str, container: str, *, force: bool = False) -> None:
        await self.client.json("POST", f"/networks/{id}/disconnect", body={"Container": container, "Force": force})

    async def prune_networks(self, *, filters: Filters | None = None) -> Document:
        return _document(await self.client.json("POST", "/networks/prune", query={"filters": _filters(filters)}))

    # volumes

    async def volumes(self, *, filters: Filters | None = None) -> list[Document]:
        return list((await self.client.json("GET", "/volumes", query={"filters": _filters(filters)}))["Volumes"] or [])

    async def volume(self, name: str) -> Document:
        return _document(await self.client.json("GET", f"/volumes/{name}"))

    async def create_volume(self, body: Document) -> Document:
        return _document(await self.client.json("POST", "/volumes/create", body=body))

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        await self.client.json("DELETE", f"/volumes/{name}", query={"force": force or None})

    async def prune_volumes(self, *, filters: Filters | None = None) -> Document:
        return _document(await self.client.json("POST", "/volumes/prune", query={"filters": _filters(filters)}))

    async def extension(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """What Docker has no call for: `/compose-lite/v1/<path>`; another engine is refused by name."""
        try:
            return await self.client.json(method, f"/compose-lite/v1/{path.lstrip('/')}", query=query, body=body)
        except ApiError as error:
            if error.http_status == 404 and "page not found" in error.says:
                raise ApiError(
                    f"the engine at {self.client.url} is not compose-lite's: it has no {path!r}", code="engine-foreign"
                ) from error
            raise


def path_stat(answer: Answer) -> Document:
    """The document in X-Docker-Container-Path-Stat."""
    return _document(pydantic_core.from_json(base64.b64decode(answer.headers.get("x-docker-container-path-stat", "") + "==")))


def split_reference(reference: str) -> tuple[str, str | None]:
    """`host:5000/a:1` → name and tag or digest as /images/create wants them; `latest` if neither is given."""
    name, at, digest = reference.partition("@")
    if at:
        return name.rpartition(":")[0] if ":" in name.rsplit("/", 1)[-1] else name, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "latest")


def _document(answer: Any) -> Document:
    if not isinstance(answer, dict):
        raise ApiError(f"the engine answered {str(answer)[:80]!r} where a document was expected", code="engine-protocol")
    return answer


def _checked(one: Document) -> Document:
    if one.get("error"):
        raise ApiError(str((one.get("errorDetail") or {}).get("message") or one["error"]), http_status=200)
    return one


def _filters(filters: Filters | None) -> Document | None:
    return {name: list(values) for name, values in filters.items()} if filters else None


def _base64(document: Document) -> str:
    return base64.urlsafe_b64encode(pydantic_core.to_json(document)).decode()
