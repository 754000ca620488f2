"""--dry-run: an engine that answers questions and changes nothing; every command then tells what it would do.

What would be made has a made-up id. A program's output cannot be foretold: commands that talk to one are refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

from compose_lite.api.client import Answer, Content, EngineClient
from compose_lite.api.protocol import DRY_RUN, DockerEngine
from compose_lite.errors import ApiError, UsageError

Document = dict[str, Any]
_DONE = ("start", "stop", "restart", "kill", "remove", "rename", "pause", "unpause", "resize", "archive_put", "tag", "remove_image",
         "remove_network", "connect_network", "disconnect_network", "remove_volume", "exec_detached")  # fmt: skip
_MADE = ("create_container", "create_network", "create_volume", "commit", "update", "prune_containers", "prune_images", "prune_networks",
         "prune_volumes")  # fmt: skip
_STREAMED = ("pull", "push", "load", "build")
_REFUSED = ("attach", "exec_create", "exec_start")


class _Anything(Document):
    """The answer to something that was not done."""

    def __init__(self) -> None:
        super().__init__(Id=DRY_RUN, Warnings=[], StatusCode=0)


class Asking(EngineClient):
    """The net below: a call that could change something is never sent, whoever makes it."""

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: Content = None,
        headers: Mapping[str, str] | None = None,
        versioned: bool = True,
    ) -> AsyncIterator[Answer]:
        if method not in ("GET", "HEAD") and not path.endswith("/wait"):
            raise _refusal()
        call = super().stream(method, path, query=query, body=body, content=content, headers=headers, versioned=versioned)
        async with call as answer:
            yield answer

    async def hijack(self, *_: Any, **__: Any) -> NoReturn:
        raise _refusal()


class DryEngine(DockerEngine):
    """Questions go through."""

    dry = True

    def __init__(self, url: str) -> None:
        super().__init__(Asking(url))
        for name in _DONE:
            setattr(self, name, _nothing)
        for name in _MADE:
            setattr(self, name, _something)
        for name in _STREAMED:
            setattr(self, name, _no_lines)
        for name in _REFUSED:
            setattr(self, name, _refuse)

    async def extension(self, method: str, path: str, **more: Any) -> Any:
        return await super().extension(method, path, **more) if method == "GET" else None

    async def image(self, name: str, **more: Any) -> Document:
        """One that would be pulled or built is as good as there."""
        try:
            return await super().image(name, **more)
        except ApiError as error:
            if error.http_status != 404:
                raise
            return _Anything()


async def _nothing(*_: object, **__: object) -> bool:
    return True


async def _something(*_: object, **__: object) -> Document:
    return _Anything()


async def _no_lines(*_: object, **__: object) -> Any:
    lines: tuple[Document, ...] = ()
    for line in lines:
        yield line


async def _refuse(*_: object, **__: object) -> NoReturn:
    raise _refusal()


def _refusal() -> UsageError:
    return UsageError("dry-run", "--dry-run cannot tell what a program would do", remedy="Leave --dry-run out.", status=1)
