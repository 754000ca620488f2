"""What a running plan looks like: plain lines, JSON, a block that is redrawn."""

from __future__ import annotations

import io
import json

import pytest

from compose_lite.cli.commandtable import globals_from, split
from compose_lite.cli.context import Context, Globals
from compose_lite.cli.progress import Json, Live, Plain, Quiet, progress
from compose_lite.errors import UsageError


def test_plain_lines_come_once_a_state() -> None:
    out = io.StringIO()
    report = Plain(out, prefix=" DRY-RUN MODE - ")
    for status in ("Creating", "Creating", "Created"):
        report.event("Container", "p-web-1", status)
    report.event("db", "", "Creating")
    assert out.getvalue().splitlines() == [
        " DRY-RUN MODE -  Container p-web-1  Creating",
        " DRY-RUN MODE -  Container p-web-1  Created",
        " DRY-RUN MODE -  db  Creating",
    ]


def test_json() -> None:
    out = io.StringIO()
    report = Json(out)
    report.event("Container", "p-web-1", "Error", failed=True, detail="why")
    report.warn("careful")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"id": "Container p-web-1", "status": "Error", "text": "why", "error": True},
        {"warning": True, "text": "careful"},
    ]


def test_quiet_says_only_warnings() -> None:
    out = io.StringIO()
    report = Quiet(out)
    report.event("Container", "x", "Started", done=True)
    report.output("x", "text")
    assert out.getvalue() == ""


def live(width: int = 80) -> tuple[Live, io.StringIO]:
    out = io.StringIO()
    return Live(out, colour=False, size=lambda: (width, 24)), out


def test_a_block_is_redrawn_and_no_line_wraps() -> None:
    report, out = live(40)
    report.event("Container", "p-" + "x" * 60, "Creating")
    report.event("Container", "p-" + "x" * 60, "Created", done=True, detail="d" * 60)
    text = out.getvalue()
    assert "[+] Running 0/1" in text and "\033[2A\033[J[+] Running 1/1" in text
    assert all(len(line.split("\033[J")[-1]) < 40 for line in text.splitlines())


def test_output_goes_above_the_block_and_lines_are_plain_after_it() -> None:
    report, out = live()
    report.event("Container", "a", "Starting")
    report.above("a  | hello\n", out)
    assert out.getvalue().index("hello") > out.getvalue().index("\033[2A\033[J")
    assert out.getvalue().endswith("0.0s\n")
    report.close()
    report.event("Container", "a", "Stopped", done=True)
    report.above("bye\n", out)
    assert out.getvalue().endswith(" Container a  Stopped\nbye\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--progress plain --ansi always", "can't use --progress plain while ANSI support is forced"),
        ("--progress tty --ansi never", "can't use --progress tty while ANSI support is disabled"),
        ("--progress json --ansi always", None),
        ("--progress plain --ansi never", None),
    ],
)
def test_progress_and_ansi_may_contradict_each_other(words: str, says: str | None) -> None:
    values, given, _ = split([*words.split(), "up"])
    if says is None:
        globals_from(values, given, {})
        return
    with pytest.raises(UsageError, match=says):
        globals_from(values, given, {})


@pytest.mark.parametrize(
    ("words", "variable", "found"), [("up", "1", True), ("--compatibility up", "", True), ("up", "0", False), ("up", "", False)]
)
def test_compatibility_by_the_environment(words: str, variable: str, found: bool) -> None:
    values, given, _ = split(words.split())
    assert globals_from(values, given, {"COMPOSE_COMPATIBILITY": variable}).compatibility is found


@pytest.mark.parametrize(("ansi", "kind"), [("always", Live), ("auto", Plain), ("never", Plain)])
def test_forced_ansi_is_a_live_block_in_a_pipe_too(ansi: str, kind: type) -> None:
    made = progress(Context(Globals(ansi=ansi), {}, io.StringIO(), io.StringIO()))
    assert type(made) is kind


def test_a_dry_run_is_told_row_by_row() -> None:
    out = io.StringIO()
    live = Live(out, colour=False, size=lambda: (80, 24), prefix=" DRY-RUN MODE - ", title="Stopping")
    live.event("Container", "p-web-1", "Stopped", done=True)
    live.close()
    head, row = out.getvalue().splitlines()[-2:]
    assert head.endswith("[+] Stopping 1/1")
    assert row.startswith(" ✔ DRY-RUN MODE -  Container p-web-1  Stopped ")
