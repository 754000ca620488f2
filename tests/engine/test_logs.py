"""Log files read back: what the monitor's writer wrote, whole and in order, through rotation, binary output and all filters."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose_lite.engine import logs
from compose_lite.engine.followed import Followed
from compose_lite.engine.logs import Line, Wish
from compose_lite.runtime import jsonlog
from compose_lite.runtime.jsonlog import LogWriter, record

ALL = Wish()


def everything(path: Path, wish: Wish = ALL) -> list[Line]:
    async def act() -> list[Line]:
        return [line for lines in [some async for some in logs.read(str(path), wish)] for line in lines]

    return asyncio.run(act())


def texts(lines: list[Line]) -> list[str]:
    return [line.data.decode().strip() for line in lines]


@given(st.binary(max_size=60), st.sampled_from(("stdout", "stderr")))
def test_a_record_is_read_as_it_was_written(data: bytes, stream: str) -> None:
    raw = record(data, stream, "2024-01-02T03:04:05.6Z").removesuffix(b"\n")
    assert logs.parse(raw) == Line(2 if stream == "stderr" else 1, data, "2024-01-02T03:04:05.6Z")
    assert b"\n" not in raw
    found = json.loads(raw)  # any other reader
    assert (found["stream"], found["time"]) == (stream, "2024-01-02T03:04:05.6Z")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"log":"x', b'{"log":1,"stream":"stdout","time":"x"}', b'{"log":"x","time":"x"}'])
def test_what_is_no_record_is_left_out(raw: bytes) -> None:
    assert logs.parse(raw) is None


def test_docker_s_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"log":"a\\u003cb\\n","stream":"stderr","attrs":{"x":"y"},"time":"2024-01-02T03:04:05Z"}\n')
    assert everything(path) == [Line(2, b"a<b\n", "2024-01-02T03:04:05Z")]


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=12), st.integers(60, 400), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_pieces_of_output_come_back_whole(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], size: int, files: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    writer = LogWriter({"path": str(path), "max_size": size, "max_file": files})
    for piece in pieces:
        writer.write("stdout", piece)
    writer.close()
    found = b"".join(line.data for line in everything(path))
    assert b"".join(pieces).endswith(found)
    assert len(list(path.parent.iterdir())) <= files
    if size > 100 * len(pieces) + 6 * sum(map(len, pieces)):
        assert found == b"".join(pieces)


@pytest.mark.parametrize("files", [2, 4])
def test_tail_counts_lines_across_rotated_files(tmp_path: Path, files: int) -> None:
    path = tmp_path / "log"
    writer = LogWriter({"path": str(path), "max_size": 700, "max_file": files})
    for number in range(100):
        writer.write("stdout", f"line {number}\n".encode())
    writer.write("stdout", b"x" * (jsonlog.SPLIT + 10) + b"\n")
    writer.close()
    whole = everything(path)
    assert len(b"".join(line.data for line in whole[-2:])) == jsonlog.SPLIT + 11, "a long line is two records"
    for tail in (0, 1, 2, 3, 10, 1000):
        assert everything(path, Wish(tail=tail)) == (whole[-(tail + 1) :] if 0 < tail < len(whole) else [] if not tail else whole)


def test_since_until_and_streams(tmp_path: Path) -> None:
    path = tmp_path / "log"
    second = 10**9
    path.write_bytes(
        b"".join(
            record(b"%d\n" % n, "stderr" if n % 2 else "stdout", jsonlog.rfc3339(1_700_000_000 * second + n * second)) for n in range(10)
        )
    )
    at = 1_700_000_000 * second
    assert texts(everything(path, Wish(since=at + 3 * second, until=at + 6 * second))) == ["3", "4", "5", "6"]
    assert texts(everything(path, Wish(until=at + 5 * second, tail=2))) == ["4", "5"]
    assert texts(everything(path, Wish(stdout=False))) == ["1", "3", "5", "7", "9"]
    assert texts(everything(path, Wish(stderr=False, tail=2))) == ["6", "8"]


def test_a_record_that_is_being_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = record(b"whole\n", "stdout", "2024-01-02T03:04:05Z")
    path.write_bytes(whole + whole[:20])
    assert texts(everything(path)) == texts(everything(path, Wish(tail=5))) == ["whole"]


@pytest.mark.parametrize(("files", "told"), [(200, True), (200, False)])
def test_a_follower_misses_nothing_while_files_are_rotated(tmp_path: Path, files: int, told: bool) -> None:
    path, count = tmp_path / "log", 4000
    writer = LogWriter({"path": str(path), "max_size": 4000, "max_file": files})
    writer.write("stdout", b"0\n")
    done = threading.Event()

    def write() -> None:
        for number in range(1, count):
            writer.write("stdout", b"%d\n" % number)
        writer.close()
        done.set()

    class Deaf(Followed):
        def _hear(self) -> None: ...

    async def act() -> list[str]:
        followed = Followed() if told else Deaf()
        ended = asyncio.Event()
        found: list[str] = []
        thread = threading.Thread(target=write)
        try:
            async for lines in logs.read(str(path), Wish(follow=True, tail=1), lambda: not done.is_set(), ended, followed):
                if not found:
                    thread.start()
                found += texts(lines)
        finally:
            thread.join()
            followed.close()
        return found

    assert asyncio.run(act()) == [str(number) for number in range(count)]


def test_times_stand_at_the_beginning_of_lines_only() -> None:
    rendering = logs.Rendering(Wish(timestamps=True), None)
    lines = [Line(1, b"be", "T"), Line(2, b"e\n", "T"), Line(1, b"gun\n", "T"), Line(1, b"next\n", "T")]
    assert rendering(lines[:2]) + rendering(lines[2:]) == b"T beT e\ngun\nT next\n"
