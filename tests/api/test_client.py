"""The client against a scripted engine on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

from compose_lite.api.client import EngineClient, encode_query, negotiate
from compose_lite.api.http import MULTIPLEXED, frame
from compose_lite.api.protocol import split_reference
from compose_lite.errors import ApiError

OK = b"HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(("theirs", "spoken"), [("1.51", "1.51"), ("1.60", "1.51"), ("1.40", "1.40"), ("", "1.51")])
def test_the_older_version_is_spoken(theirs: str, spoken: str) -> None:
    assert negotiate(theirs) == spoken


def test_an_ancient_engine_is_refused() -> None:
    with pytest.raises(ApiError, match="too old"):
        negotiate("1.12")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, ""),
        ({"a": True, "b": None, "c": 3}, "?a=1&c=3"),
        ({"f": {"x": ["y"]}}, "?f=%7B%22x%22%3A%5B%22y%22%5D%7D"),
        ({"n": ["a", "b"]}, "?n=a&n=b"),
    ],
)
def test_queries(query: dict[str, Any], text: str) -> None:
    assert encode_query(query) == text


@pytest.mark.parametrize(
    ("reference", "split"),
    [
        ("a", ("a", "latest")),
        ("h:5000/a", ("h:5000/a", "latest")),
        ("h:5000/a:1", ("h:5000/a", "1")),
        ("a@sha256:0", ("a", "sha256:0")),
        ("a:1@sha256:0", ("a", "sha256:0")),
    ],
)
def test_references(reference: str, split: tuple[str, str]) -> None:
    assert split_reference(reference) == split


Script = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, bool]]


async def engine_with(path: Path, script: Script, use: Callable[[EngineClient], Coroutine[Any, Any, None]]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await script(await reader.readuntil(b"\r\n\r\n"), reader, writer):
                pass
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    async with EngineClient(str(path)) as client:
        await use(client)
    server.close()
    await asyncio.sleep(0.01)


def test_negotiates_once_and_replaces_a_closed_connection(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def script(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        heads.append(head)
        writer.write(OK)
        return len(heads) != 2  # closes after the second answer without saying so

    async def use(client: EngineClient) -> None:
        assert await client.json("GET", "/info") == {}
        assert await client.json("GET", "/info") == {}

    anyio.run(engine_with, tmp_path / "s", script, use)
    assert [head.split(b" ")[1] for head in heads] == [b"/_ping", b"/v1.40/info", b"/v1.40/info"]


def test_an_error_is_the_engines_message(tmp_path: Path) -> None:
    async def script(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        body = b'{"message":"No such container: x"}'
        writer.write(OK if b"_ping" in head else b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return True

    async def use(client: EngineClient) -> None:
        with pytest.raises(ApiError, match="No such container: x") as caught:
            await client.json("GET", "/containers/x/json")
        assert caught.value.http_status == 404

    anyio.run(engine_with, tmp_path / "s", script, use)


def test_a_failing_upload_raises_its_own_error(tmp_path: Path) -> None:
    async def script(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if b"_ping" in head:
            writer.write(OK)
            return True
        while await reader.read(1000):
            pass
        return False

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ValueError("my file vanished")

    async def use(client: EngineClient) -> None:
        with pytest.raises(ValueError, match="my file vanished"):
            async with client.stream("POST", "/build", content=broken()):
                pass

    anyio.run(engine_with, tmp_path / "s", script, use)


def test_a_stream_that_the_engine_breaks_off_says_why(tmp_path: Path) -> None:
    """Stream 3 of a multiplexed answer, as Docker's StdCopy takes it; it was printed as output, and the status was 0."""

    async def script(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if b"_ping" in head:
            writer.write(OK)
            return True
        writer.write(f"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nContent-Type: {MULTIPLEXED}\r\n\r\n".encode())
        writer.write(frame(1, b"some") + frame(3, b"no monitor any more\r\n"))
        return False

    async def use(client: EngineClient) -> None:
        got = []
        async with await client.hijack("/containers/x/attach") as stream:
            with pytest.raises(ApiError, match="no monitor any more"):
                async for piece in stream.frames():
                    got.append(piece)
        assert got == [(1, b"some")]

    anyio.run(engine_with, tmp_path / "s", script, use)


def test_nobody_there(tmp_path: Path) -> None:
    async def call() -> None:
        await EngineClient(str(tmp_path / "none")).json("GET", "/info")

    with pytest.raises(ApiError, match="Cannot connect") as caught:
        anyio.run(call)
    assert caught.value.http_status == 0
