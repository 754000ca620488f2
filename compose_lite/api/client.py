"""A Docker Engine API client over a unix socket or TCP: JSON calls, streams, hijacked connections.

Works the same against our engine, dockerd and podman; knows no call by name (protocol.py does).
It must never follow DOCKER_HOST by itself: the caller says which engine.
Everything it raises is ApiError: http_status 0 means that no answer came.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import pydantic_core

from compose_lite.api.http import (
    HEAD_LIMIT,
    LAST_CHUNK,
    MULTIPLEXED,
    READ_SIZE,
    STDOUT,
    SYSTEM_ERROR,
    Body,
    CutShort,
    FrameSplitter,
    Headers,
    HttpError,
    ResponseHead,
    chunk,
    parse_response,
    render_head,
)
from compose_lite.errors import ApiError

API_VERSION = (1, 51)
OLDEST = (1, 24)
Content = bytes | AsyncIterable[bytes] | None
_SAFE = "/:@!$'()*,;=~"


class EngineClient:
    """One engine. Keeps idle connections, opens as many as there are calls at a time.

    url: `unix:///path`, `/path`, `tcp://host:port` or `http://host:port`. version: `1.51` to skip the negotiation.
    """

    def __init__(self, url: str, *, version: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.url = url if "://" in url else f"unix://{url}"
        self._address = _address(self.url)
        self.host = "docker" if isinstance(self._address, str) else self._address[0]
        self._fields = [("Host", self.host), ("User-Agent", "compose-lite"), *(headers or {}).items()]
        self._idle: list[_Connection] = []
        self._version = version
        self._negotiation: asyncio.Lock | None = None
        self.ping_headers: Headers | None = None

    async def __aenter__(self) -> EngineClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def version(self) -> str:
        """The API version both ends know, asked once through /_ping."""
        if self._version is None:
            self._negotiation = self._negotiation or asyncio.Lock()
            async with self._negotiation:
                if self._version is None:
                    await self.ping()
        assert self._version is not None
        return self._version

    async def ping(self) -> Headers:
        """Headers of /_ping; sets the API version."""
        async with self.stream("GET", "/_ping", versioned=False) as answer:
            await answer.read()
            self.ping_headers = answer.headers
        self._version = self._version or negotiate(answer.headers.get("api-version", ""))
        return answer.headers

    async def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's document; None for an empty answer. 304 is not an error: it gives False."""
        try:
            with anyio.fail_after(timeout):
                async with self.stream(method, path, query=query, body=body, headers=headers) as answer:
                    raw = await answer.read()
                    if answer.status == 304:
                        return False
        except TimeoutError as error:
            raise ApiError(f"{method} {path}: no answer within {timeout} s", code="engine-timeout") from error
        if not raw:
            return None
        try:
            return pydantic_core.from_json(raw)
        except ValueError as error:
            raise ApiError(f"{method} {path}: the answer is not JSON: {raw[:80]!r}", code="engine-protocol") from error

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
        """An answer whose body is read as it comes. A status of 400 or more raises ApiError with the engine's message."""
        target = await self._target(path, query, versioned)
        if body is not None:
            content = pydantic_core.to_json(body)
        fields = [*self._fields, *(headers or {}).items()]
        if body is not None or (content is not None and not any(n.lower() == "content-type" for n, _ in fields)):
            fields.append(("Content-Type", "application/json" if body is not None else "application/x-tar"))
        connection, head = await self._exchange(method, target, fields, content)
        answer = Answer(head, Body.of_response(connection.reader, head, method))
        keep = "close" not in head.headers.tokens("connection") and head.version != "HTTP/1.0"
        reusable = False
        try:
            if head.status >= 400:
                raw = await answer.read()
                reusable = keep
                raise _refusal(head.status, raw)
            yield answer
            reusable = keep and answer.body.done
        except (HttpError, OSError) as error:
            raise connection.source_failure() or self._broken(error) from error
        finally:
            if reusable and connection.sent:
                self._idle.append(connection)
            else:
                connection.close()

    async def hijack(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        query: Mapping[str, Any] | None = None,
        protocol: str = "tcp",
        tty: bool | None = None,
    ) -> Hijacked:
        """A raw connection after 101 UPGRADED (or 200). tty None: the answer's Content-Type says whether frames follow."""
        target = await self._target(path, query, True)
        fields = [*self._fields, ("Connection", "Upgrade"), ("Upgrade", protocol), ("Content-Type", "application/json")]
        content = pydantic_core.to_json(body) if body is not None else b""
        connection, head = await self._exchange(method, target, fields, content)
        if head.status >= 400 or head.status not in (101, 200):
            try:
                raise _refusal(head.status, await Body.of_response(connection.reader, head, method).read())
            finally:
                connection.close()
        framed = MULTIPLEXED in head.headers.get("content-type", "") if tty is None else not tty
        return Hijacked(connection, framed, head.headers)

    async def _target(self, path: str, query: Mapping[str, Any] | None, versioned: bool) -> str:
        text = encode_query(query) if query else ""
        prefix = f"/v{await self.version()}" if versioned and not path.startswith("/compose-lite/") else ""
        return f"{prefix}{quote(path, safe=_SAFE)}{text}"

    async def _exchange(
        self, method: str, target: str, fields: list[tuple[str, str]], content: Content
    ) -> tuple[_Connection, ResponseHead]:
        """Sends a request and reads the answer's head. An idle connection that the engine has closed meanwhile is replaced once."""
        while True:
            connection, fresh = await self._connect()
            try:
                head = await connection.exchange(method, target, fields, content)
                return connection, head
            except (HttpError, OSError, asyncio.IncompleteReadError) as error:
                connection.close()
                if not fresh and (content is None or isinstance(content, bytes)) and not connection.answered:
                    continue
                raise connection.source_failure() or self._broken(error) from error
            except BaseException:
                connection.close()
                raise

    async def _connect(self) -> tuple[_Connection, bool]:
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection, False
            connection.close()
        try:
            if isinstance(self._address, str):
                reader, writer = await asyncio.open_unix_connection(self._address, limit=HEAD_LIMIT)
            else:
                reader, writer = await asyncio.open_connection(*self._address, limit=HEAD_LIMIT)
        except OSError as error:
            raise ApiError(f"Cannot connect to the engine at {self.url}: {error.strerror or error}", code="engine-unreachable") from error
        return _Connection(reader, writer), True

    def _broken(self, error: BaseException) -> ApiError:
        if isinstance(error, CutShort):
            return ApiError(str(error), http_status=error.status)
        says = str(error) if isinstance(error, HttpError) else getattr(error, "strerror", None) or "it closed the connection"
        return ApiError(f"the engine at {self.url} broke off: {says}", code="engine-unreachable")


class Answer:
    """An answer's status, headers and body."""

    def __init__(self, head: ResponseHead, body: Body) -> None:
        self.status = head.status
        self.headers = head.headers
        self.body = body

    async def read(self) -> bytes:
        return await self.body.read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self.body.read_some():
            yield part

    async def iter_json(self) -> AsyncIterator[Any]:
        """Newline-delimited JSON values (pull, build, load, events, stats)."""
        rest = b""
        while part := await self.body.read_some():
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.strip():
                    yield pydantic_core.from_json(line)
        if rest.strip():
            yield pydantic_core.from_json(rest)

    async def frames(self, *, tty: bool | None = None) -> AsyncIterator[list[tuple[int, bytes]]]:
        """(stream 1|2, bytes) of a log, as many as there are; a terminal's log is all stream 1."""
        if tty or (tty is None and MULTIPLEXED not in self.headers.get("content-type", "")):
            while part := await self.body.read_some():
                yield [(STDOUT, part)]
            return
        splitter = FrameSplitter()
        while part := await self.body.read_some():
            yield splitter.feed(part)


class Hijacked:
    """A connection that has left HTTP: bytes both ways, each direction can be ended by itself."""

    def __init__(self, connection: _Connection, framed: bool, headers: Headers) -> None:
        self._connection = connection
        self.framed = framed
        self.headers = headers

    async def send(self, data: bytes) -> None:
        try:
            self._connection.writer.write(data)
            await self._connection.writer.drain()
        except OSError as error:
            raise ApiError("the engine closed the stream", code="engine-unreachable") from error

    async def send_eof(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._connection.writer.write_eof()

    async def receive(self) -> bytes:
        """The next bytes, b"" at the end."""
        try:
            return await self._connection.reader.read(READ_SIZE)
        except OSError:
            return b""

    async def frames(self) -> AsyncIterator[tuple[int, bytes]]:
        """(stream 1|2, bytes); raw output is all stream 1. Raises ApiError with what the engine says of a stream that it breaks off."""
        splitter = FrameSplitter()
        while data := await self.receive():
            if not self.framed:
                yield STDOUT, data
                continue
            for number, content in splitter.feed(data):
                if number == SYSTEM_ERROR:
                    raise ApiError(content.decode(errors="replace").strip())
                yield number, content

    async def aclose(self) -> None:
        self._connection.close()

    async def __aenter__(self) -> Hijacked:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.answered = False
        self.sending: asyncio.Future[None] | None = None

    def source_failure(self) -> BaseException | None:
        """Why the caller's own body could not be read on, if that is what broke the call."""
        if self.sending is None or not self.sending.done() or self.sending.cancelled():
            return None
        error = self.sending.exception()
        return None if isinstance(error, OSError) else error

    @property
    def sent(self) -> bool:
        return self.sending is None or (self.sending.done() and not self.sending.cancelled() and self.sending.exception() is None)

    def close(self) -> None:
        if self.sending is not None:
            self.sending.cancel()
        self.writer.transport.abort() if self.writer.transport.get_write_buffer_size() else self.writer.close()

    async def exchange(self, method: str, target: str, fields: list[tuple[str, str]], content: Content) -> ResponseHead:
        self.answered, self.sending = False, None
        start = f"{method} {target} HTTP/1.1"
        if content is None or isinstance(content, bytes):
            length = [("Content-Length", str(len(content or b"")))] if content or method not in ("GET", "HEAD") else []
            self.writer.write(render_head(start, [*fields, *length]) + (content or b""))
            return await self._read_head()
        self.writer.write(render_head(start, [*fields, ("Transfer-Encoding", "chunked")]))
        # An engine may answer, and refuse, before it has read a long body: listen while sending. Builds and loads answer as
        # they read, so the upload goes on beside the answer.
        self.sending = asyncio.ensure_future(self._send_chunks(content))
        self.sending.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await self._read_head()

    async def _send_chunks(self, content: AsyncIterable[bytes]) -> None:
        try:
            async for part in content:
                self.writer.write(chunk(part))
                await self.writer.drain()
            self.writer.write(LAST_CHUNK)
            await self.writer.drain()
        except BaseException:
            self.writer.transport.abort()  # the engine must not take half a body for a whole one
            raise

    async def _read_head(self) -> ResponseHead:
        while True:
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                self.answered = bool(error.partial)
                raise HttpError("it closed the connection without an answer") from error
            except asyncio.LimitOverrunError as error:
                raise HttpError("the head of the answer is too long") from error
            self.answered = True
            head = parse_response(raw)
            if head.status != 100:
                return head


def negotiate(theirs: str) -> str:
    """The version to speak with an engine that offers `theirs` (`1.47`): the older of both; ours when it says none."""
    try:
        major, minor = (int(n) for n in theirs.split("."))
    except ValueError:
        major, minor = API_VERSION
    chosen = min((major, minor), API_VERSION)
    if chosen < OLDEST:
        raise ApiError(f"the engine speaks API version {theirs}, too old: 1.24 is the oldest supported", code="engine-too-old")
    return f"{chosen[0]}.{chosen[1]}"


def encode_query(query: Mapping[str, Any]) -> str:
    """`?a=1&filters={...}`: booleans as 1 and 0, documents as JSON, lists repeated, None left out."""
    pairs: list[str] = []
    for name, value in query.items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [f"{quote(name, safe='')}={quote(_text(v), safe='')}" for v in values if v is not None]
    return "?" + "&".join(pairs) if pairs else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return pydantic_core.to_json(value).decode() if isinstance(value, dict) else str(value)


def _address(url: str) -> str | tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return url.removeprefix("unix://")
    if parts.scheme in ("tcp", "http") and parts.hostname:
        return parts.hostname, parts.port or 2375
    raise ApiError(f"cannot reach an engine by {url!r}", code="engine-url", remedy="Use unix:///path, tcp://host:port or http://host:port.")


def _refusal(status: int, raw: bytes) -> ApiError:
    reason = ""
    try:
        document = pydantic_core.from_json(raw)
        says = document.get("message") or document.get("cause") or str(document)
        reason = str(document.get("code") or "")
    except (ValueError, AttributeError):
        says = raw.decode("utf-8", "replace").strip() or f"status {status}"
    error = ApiError(str(says).strip(), http_status=status)
    error.reason = reason
    return error
