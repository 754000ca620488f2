"""Heads, bodies in every cut, frames: what both ends of the API rely on."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.api.http import (
    LAST_CHUNK,
    Body,
    CutShort,
    FrameSplitter,
    HttpError,
    broken_chunk,
    chunk,
    frame,
    parse_request,
    parse_response,
    render_head,
    split_target,
)


def test_a_request_head_is_read() -> None:
    head = parse_request(b"POST /v1.51/containers/create?name=a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
    assert (head.method, head.target, head.headers["x-a"]) == ("POST", "/v1.51/containers/create?name=a", "1, 2")


@pytest.mark.parametrize(
    "raw", [b"GET /\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\na : b\r\n\r\n"]
)
def test_a_malformed_request_is_refused(raw: bytes) -> None:
    with pytest.raises(HttpError):
        parse_request(raw)


def test_a_response_head_is_read() -> None:
    head = parse_response(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n")
    assert (head.status, head.reason, head.headers.tokens("connection")) == (101, "UPGRADED", {"upgrade"})


def test_a_header_cannot_smuggle_a_line() -> None:
    with pytest.raises(HttpError):
        render_head("GET / HTTP/1.1", [("a", "b\r\nc: d")])


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a/b", "/a/b", {}),
        ("/a%20b?x=1&y=%7B%22a%22%3A1%7D&x=2", "/a b", {"x": ["1", "2"], "y": ['{"a":1}']}),
        ("/a?flag&b=c+d", "/a", {"flag": [""], "b": ["c d"]}),
        ("http://docker/v1.51/info?x=", "/v1.51/info", {"x": [""]}),
    ],
)
def test_targets(target: str, path: str, query: dict[str, list[str]]) -> None:
    assert split_target(target) == (path, query)


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=50)), max_size=8), st.integers(1, 30))
def test_frames_survive_any_cut(frames: list[tuple[int, bytes]], step: int) -> None:
    raw = b"".join(frame(stream, data) for stream, data in frames)
    splitter = FrameSplitter()
    assert [one for at in range(0, len(raw), step) for one in splitter.feed(raw[at : at + step])] == frames


def read(raw: bytes, head: bytes) -> bytes:
    async def body() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        return await Body.of_request(reader, parse_request(head)).read(1000)

    return asyncio.run(body())


CHUNKED = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_chunks_come_back(parts: list[bytes]) -> None:
    assert read(b"".join(map(chunk, parts)) + LAST_CHUNK, CHUNKED) == b"".join(parts)


@pytest.mark.parametrize("raw", [b"zz\r\n", b"5\r\nab", b"1\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b""])
def test_bad_chunks_are_refused(raw: bytes) -> None:
    with pytest.raises(HttpError):
        read(raw, CHUNKED)


@pytest.mark.parametrize(
    "fields",
    [b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Content-Length: 3, 4", b"Content-Length: -3", b"Transfer-Encoding: gzip"],
)
def test_ambiguous_lengths_are_refused(fields: bytes) -> None:
    with pytest.raises(HttpError):
        read(b"abc", b"PUT / HTTP/1.1\r\n" + fields + b"\r\n\r\n")


def test_a_body_cut_short_is_refused() -> None:
    with pytest.raises(HttpError):
        read(b"ab", b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n")


def test_a_body_that_could_not_be_finished_says_why() -> None:
    async def act() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(chunk(b"abc") + broken_chunk("a layer; changed\n"))
        reader.feed_eof()
        body = Body(reader, length=None, chunked=True)
        assert await body.read_some() == b"abc"
        with pytest.raises(CutShort, match="a layer; changed\n"):
            await body.read_some()

    asyncio.run(act())
