"""Builds on a terminal: a line a step, room for what runs."""

from __future__ import annotations

import io
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.cli.buildblock import BuildBlock, printable
from compose_lite.cli.progress import Live


def heard(*events: dict[str, Any]) -> BuildBlock:
    block = BuildBlock()
    for number, event in enumerate(events):
        block.hear("web", event, float(number))
    return block


def started(step: str, title: str) -> dict[str, Any]:
    return {"step": step, "title": title, "state": "started"}


def test_a_running_step_shows_its_last_lines_and_an_ended_one_its_time() -> None:
    block = heard(
        {"step": "1", "title": "[1/2] FROM busybox", "state": "cached", "seconds": 0},
        started("2", "[2/2] RUN make"),
        {"step": "2", "log": "one\ntw", "stream": 1},
        {"step": "2", "log": "o\n\033[31mred\033[0m\r\n10%\r20%", "stream": 1},
    )
    assert block.busy
    assert block.lines(40, 24, 4.0, colour=False) == [
        "[+] Building 4.0s (1/2)",
        " => CACHED [1/2] FROM busybox       0.0s",
        " => [2/2] RUN make                  3.0s",
        " => => # one",
        " => => # two",
        " => => # red",
        " => => # 20%",
    ]
    block.hear("web", {"step": "2", "state": "error", "seconds": 3.5}, 5.0)
    assert block.lines(40, 24, 9.0, colour=False) == [
        "[+] Building 9.0s (2/2) FINISHED",
        " => CACHED [1/2] FROM busybox       0.0s",
        " => ERROR [2/2] RUN make            3.5s",
    ]


def test_notes_stay_and_colours_surround_whole_lines() -> None:
    export = {"step": "1", "title": "exporting to image"}
    block = heard(
        {**export, "state": "started"}, {"step": "1", "log": "naming to x done\n"}, {"step": "1", "state": "done", "seconds": 0.1}
    )
    assert block.lines(40, 0, 1.0, colour=True)[1:] == [
        "\033[34m => exporting to image              0.1s\033[0m",
        "\033[34m => => naming to x\033[0m",
    ]


def test_what_ended_first_makes_room() -> None:
    events = [{"step": str(n), "title": f"step {n}", "state": "done", "seconds": 0} for n in range(9)]
    lines = heard(*events, started("x", "last")).lines(60, 4, 9.0, colour=False)
    assert [line.split("  ")[0] for line in lines[1:]] == [" => step 7", " => step 8", " => last"]


def test_what_nobody_ended_is_canceled() -> None:
    block = heard(started("1", "long"))
    block.lines(40, 0, 2.0, colour=False)
    block.cancel()
    assert block.lines(40, 0, 5.0, colour=False)[1:] == [" => CANCELED long                   2.0s"]


def test_the_end_of_a_step_that_was_never_begun_is_no_step() -> None:
    assert not heard({"step": "9", "state": "error", "seconds": 1})


_EVENTS = st.lists(
    st.fixed_dictionaries(
        {"step": st.sampled_from("abcdef"), "title": st.text(max_size=90)},
        optional={
            "state": st.sampled_from(["started", "done", "cached", "error", "canceled"]),
            "log": st.text(max_size=200),
            "stream": st.just(1),
        },
    ),
    max_size=40,
)


@given(_EVENTS, st.integers(10, 120), st.integers(2, 40))
def test_it_never_takes_more_than_its_room(events: list[dict[str, Any]], width: int, height: int) -> None:
    lines = heard(*events).lines(width, height, 50.0, colour=False)
    assert len(lines) <= max(height, 2)
    assert all(len(line) <= width for line in lines)


@given(st.text(st.characters(exclude_characters="\n")) | st.text("\033[0123;mAK\r\b\tx"))
def test_output_cannot_move_the_cursor(line: str) -> None:
    assert not set(printable(line)) & {chr(n) for n in (*range(32), *range(127, 160))}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_block_stays_where_it_ended_with_what_failed_below() -> None:
    out = Terminal()
    report = Live(out, colour=False, size=lambda: (60, 24), title="Building")
    report.event("Image", "p-web", "Building")
    report.build("web", started("1", "[1/1] RUN false"))
    report.build("web", {"failed": {"step": "[1/1] RUN false", "output": ["bad"]}})
    report.build("web", {"step": "1", "state": "error", "seconds": 0.2})
    report.event("Image", "p-web", "Error", failed=True)
    report.close()
    last = out.getvalue().rpartition("\033[J")[2]
    assert [line.split("  ")[0] for line in last.splitlines()][1:] == [
        " => ERROR [1/1] RUN false",
        "------",
        " > [1/1] RUN false:",
        "bad",
        "------",
        "[+] Building 0/1",
        " ✘ Image p-web",
    ]


def test_a_step_that_writes_much_is_not_drawn_for_each_piece() -> None:
    out = Terminal()

    async def build() -> None:
        report = Live(out, colour=False, size=lambda: (60, 24))
        report.build("web", started("1", "[1/1] RUN yes"))
        drawn = len(out.getvalue())
        for number in range(1000):
            report.build("web", {"step": "1", "log": f"{number}\n", "stream": 1})
        assert len(out.getvalue()) == drawn > 0
        await anyio.sleep(0.25)  # a tick comes in between
        assert " => => # 999" in out.getvalue()

    anyio.run(build)
