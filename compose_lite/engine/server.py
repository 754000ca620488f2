"""The engine's HTTP/1.1 server: connections, requests, answers, streams, hijacked connections. Knows no route by heart.

What a handler gets is a Request; what it gives back is a document, a Reply, or nothing after it has streamed or hijacked.
A client that goes away cancels a handler that streams, never one that changes something: what is begun is finished.
It must never let a handler's bug end the engine: any exception becomes an answer and a line in the engine's log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import termios
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pydantic_core

from compose_lite import __version__
from compose_lite.api.http import (
    HEAD_LIMIT,
    LAST_CHUNK,
    READ_SIZE,
    Body,
    HttpError,
    RequestHead,
    broken_chunk,
    chunk,
    parse_request,
    render_head,
    split_target,
    wants_upgrade,
)
from compose_lite.errors import EngineError, Error
from compose_lite.linux.syscall import waiting_bytes

log = logging.getLogger("compose_lite.engine")

API_VERSION, OLDEST = (1, 51), (1, 24)
SERVER = f"compose-lite/{__version__} (linux)"
JSON_LIMIT = 16 * 2**20
_DRAIN = 2**20
_TAKEN_ATTEMPTS = 40  # 0.4 s in all
_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_COMMON = (("Api-Version", "1.51"), ("Docker-Experimental", "false"), ("Ostype", "linux"), ("Server", SERVER))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, and a document (JSON), bytes, or nothing."""

    status: int = 200
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"


class Gone(Exception):
    """The client has closed the connection."""


class Duplex:
    """A hijacked connection: bytes both ways; each direction can end by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        """The next bytes of the client; b"" when it will send no more."""
        try:
            return await self._reader.read(READ_SIZE)
        except OSError:
            return b""

    async def send(self, data: bytes, hurry: asyncio.Future[Any] | None = None) -> None:
        """Waits for a client that reads slowly, but not when `hurry` is done: then it is kept here."""
        try:
            self._writer.write(data)
            if self._writer.transport.get_write_buffer_size() > 65536:
                await self._drained(hurry)
        except OSError as error:
            raise Gone from error
        if self._writer.transport.is_closing():
            raise Gone

    async def _drained(self, hurry: asyncio.Future[Any] | None) -> None:
        if hurry is None:
            await self._writer.drain()
        elif not hurry.done():
            drained = asyncio.ensure_future(self._writer.drain())
            try:
                await asyncio.wait({drained, hurry}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                drained.cancel()
            if drained.done():
                drained.result()

    async def flush(self) -> None:
        """Until the client has got all, or is gone."""
        self._writer.transport.set_write_buffer_limits(0)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def taken(self) -> None:
        """Until the client has read what was sent (SIOCOUTQ of unix(7)); not for long, as it need not read at all."""
        fd = self._writer.get_extra_info("socket").fileno()
        for attempt in range(_TAKEN_ATTEMPTS):
            if self.gone or not waiting_bytes(fd, termios.TIOCOUTQ):
                return
            await asyncio.sleep(0.0005 * attempt)

    @property
    def gone(self) -> bool:
        return self._writer.transport.is_closing()


class Request:
    """One request, and the ways to answer it piece by piece."""

    def __init__(self, head: RequestHead, connection: _Connection) -> None:
        self.method = head.method
        self.headers = head.headers
        self.path, self.query = split_target(head.target)
        self.version = API_VERSION
        self.params: dict[str, str] = {}
        self.body = Body.of_request(connection.reader, head)
        self._http10 = head.version == "HTTP/1.0"
        self._connection = connection
        self.streaming = False
        self.hijacked = False

    # what it asks

    def text(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str, default: bool = False) -> bool:
        """Go's reading of a flag: absent is the default; empty, 0, no, false and none are false; all else is true."""
        values = self.query.get(name)
        return default if values is None else values[0].strip().lower() not in ("", "0", "no", "false", "none")

    def integer(self, name: str, default: int | None = None) -> int | None:
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise EngineError(f'strconv.Atoi: parsing "{text}": invalid syntax', http_status=400) from None

    def filters(self, known: frozenset[str] | None = None) -> dict[str, list[str]]:
        """`filters` in both of Docker's forms: {"label": ["a=b"]} and {"label": {"a=b": true}}."""
        text = self.text("filters")
        if not text:
            return {}
        try:
            document = pydantic_core.from_json(text)
            found = {
                str(name): [str(v) for v, wanted in values.items() if wanted] if isinstance(values, dict) else [str(v) for v in values]
                for name, values in (document or {}).items()
            }
        except (ValueError, AttributeError, TypeError):
            raise EngineError("invalid filter", http_status=400) from None
        if known is not None and (strange := [name for name in found if name not in known]):
            raise EngineError(f"invalid filter '{strange[0]}'", http_status=400)
        return found

    async def json(self) -> dict[str, Any]:
        """The body as a document; an empty body is an empty document."""
        raw = await self.body.read(JSON_LIMIT)
        if not raw.strip():
            return {}
        kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in ("application/json", ""):
            raise EngineError(f"unsupported Content-Type header ({kind}): must be 'application/json'", http_status=400)
        try:
            document = pydantic_core.from_json(raw)
        except ValueError as error:
            raise EngineError(f"invalid JSON: {error}", http_status=400) from None
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise EngineError("invalid JSON: an object is expected", http_status=400)
        return document

    @property
    def caller(self) -> int:
        """The pid of the process that has connected; 0 when it is not one of this machine."""
        peer = self._connection.writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(peer[:4], sys.byteorder)

    # answering piece by piece

    async def begin(self, content_type: str = "application/json", *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Sends the head now; then `send` the body. From here on a client that goes away cancels the handler."""
        self.streaming = True
        framing = [("Connection", "close")] if self._http10 else [("Transfer-Encoding", "chunked")]
        fields = [("Content-Type", content_type), *(headers or {}).items(), *framing]
        self._connection.write_head(status, fields)
        if self._connection.lost:
            raise Gone

    async def send(self, data: bytes) -> None:
        if self.method != "HEAD":
            await self._connection.send(data if self._http10 else chunk(data))

    async def send_json(self, document: Any) -> None:
        await self.send(pydantic_core.to_json(document) + b"\n")

    async def hijack(self, content_type: str) -> Duplex:
        """The raw connection, after 101 UPGRADED where the client asks for an upgrade, else 200."""
        await self.body.read(JSON_LIMIT)
        self.hijacked = True
        if wants_upgrade(self.headers):
            protocol = self.headers["upgrade"].split(",")[0].strip()
            fields = [("Connection", "Upgrade"), ("Upgrade", protocol), ("Content-Type", content_type)]
            self._connection.writer.write(render_head("HTTP/1.1 101 UPGRADED", [*fields, *_COMMON]))
        else:
            self._connection.writer.write(render_head("HTTP/1.1 200 OK", [("Content-Type", content_type), *_COMMON]))
        return Duplex(self._connection.reader, self._connection.writer)


Handler = Callable[[Request], Awaitable[Any]]
_date: tuple[int, str] = (0, "")


def _now() -> str:
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells the connection at once when the client ends its half or goes away."""

    connection: _Connection | None = None

    def eof_received(self) -> bool | None:
        kept = super().eof_received()
        if self.connection:
            self.connection.client_ended()
        return kept

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.connection:
            self.connection.client_ended()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        self.reader = reader
        self.writer = writer
        self.server = server
        self.lost = False
        self.request: Request | None = None
        self.task = asyncio.current_task()

    def client_ended(self) -> None:
        """End of file from the client: a streaming answer has nobody left to read it. A hijacked one goes on (half-close)."""
        request = self.request
        if request is None or (request.hijacked and not self.writer.transport.is_closing()):
            return
        self.lost = True
        if request.streaming and request.body.done and not request.hijacked and self.task:
            self.task.cancel()

    def write_head(self, status: int, fields: list[tuple[str, str]]) -> None:
        reason = _REASONS.get(status, "Status")
        self.writer.write(render_head(f"HTTP/1.1 {status} {reason}", [*_COMMON, ("Date", _now()), *fields]))

    async def send(self, data: bytes) -> None:
        if not data:
            return
        try:
            self.writer.write(data)
            if self.writer.transport.get_write_buffer_size() > 65536:
                await self.writer.drain()
        except OSError as error:
            raise Gone from error

    async def serve(self) -> None:
        while not self.server.closing:
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                return
            except asyncio.LimitOverrunError:
                self.answer(Reply(400, {"message": "the head of the request is too long"}), close=True)
                return
            try:
                head = parse_request(raw)
                self.request = request = Request(head, self)
            except HttpError as error:
                self.answer(Reply(error.status, {"message": str(error)}), close=True)
                return
            if request.headers.get("expect", "").lower() == "100-continue":
                self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            keep = await self.handle(request, head)
            self.request = None
            if not keep:
                return

    async def handle(self, request: Request, head: RequestHead) -> bool:
        """Answers one request; says whether the connection can take another one."""
        close = "close" in head.headers.tokens("connection") or head.version == "HTTP/1.0"
        self.server.busy += 1
        self.server.heard()
        try:
            result = await self.server.handler(request)
        except Gone:
            return False
        except Exception as error:
            reply = refusal(error)
            if request.streaming or request.hijacked:
                if reply.status == 500:
                    log.warning("%s %s ended: %s", request.method, request.path, reply.document["message"])
                if not request.hijacked and head.version != "HTTP/1.0":
                    self.writer.write(broken_chunk(reply.document["message"]))
                return False
            result = reply
        finally:
            self.server.busy -= 1
        if request.hijacked:
            return False
        if request.streaming:
            if head.version != "HTTP/1.0":
                self.writer.write(LAST_CHUNK)
            return not close and request.body.done
        drained = await self.drained(request)
        self.answer(result if isinstance(result, Reply) else Reply(204) if result is None else Reply(200, result), close or not drained)
        with contextlib.suppress(OSError):
            await self.writer.drain()
        return not close and drained

    async def drained(self, request: Request) -> bool:
        """Reads what the handler left of a body, if it is little; else the connection has to be closed."""
        try:
            await request.body.read(_DRAIN)
        except (HttpError, OSError):
            return False
        return True

    def answer(self, reply: Reply, close: bool) -> None:
        content = reply.content
        if content is None:
            content = b"" if reply.status in (204, 304) else pydantic_core.to_json(reply.document) + b"\n"
        fields = [*reply.headers.items()]
        if reply.status not in (204, 304):
            fields += [("Content-Type", reply.content_type), ("Content-Length", str(len(content)))]
        if close:
            fields.append(("Connection", "close"))
        self.write_head(reply.status, fields)
        if not (self.request and self.request.method == "HEAD"):
            self.writer.write(content)


def refusal(error: Exception) -> Reply:
    """An exception as Docker's error document."""
    if isinstance(error, HttpError):
        return Reply(error.status, {"message": str(error)})
    if isinstance(error, Error):
        message = error.says + (f". {error.remedy}" if error.remedy else "")
        return Reply(getattr(error, "http_status", None) or 500, {"message": message, "code": error.code})
    traceback.print_exception(error, file=sys.stderr)
    return Reply(500, {"message": f"internal error: {type(error).__name__}: {error}"})


class Server:
    """Serves one listening socket until closed. heard: is told at each request's head, before its handler."""

    def __init__(self, handler: Handler, heard: Callable[[], object] = lambda: None) -> None:
        self.handler = handler
        self.heard = heard
        self.closing = False
        self.busy = 0
        self.last_activity = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.AbstractServer | None = None

    @property
    def connections(self) -> int:
        return len(self._tasks)

    async def listen(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def protocol() -> _Protocol:
            reader = asyncio.StreamReader(limit=HEAD_LIMIT, loop=loop)
            made = _Protocol(reader, lambda r, w: self._accept(r, w, made), loop=loop)
            return made

        self._server = await loop.create_unix_server(protocol, sock=sock)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: _Protocol) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, protocol))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: _Protocol) -> None:
        connection = protocol.connection = _Connection(reader, writer, self)
        try:
            await connection.serve()
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self.last_activity = time.monotonic()
            with contextlib.suppress(OSError):
                writer.close()

    async def close(self) -> None:
        """Takes no more connections, lets running changes finish for a moment, then ends the rest."""
        self.closing = True
        if self._server:
            self._server.close()
        for _ in range(50):
            if not any(t for t in self._tasks):
                return
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=0.1)
