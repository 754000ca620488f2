"""Words for signals; each was asked of Docker 28.5."""

from __future__ import annotations

import pytest

from compose_lite.linux import signals


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *(("TERM", 15), ("sigterm", 15), ("SigUsr1", 10), ("CLD", 17), ("IOT", 6), ("STKFLT", 16), ("15", 15), ("015", 15), ("+5", 5)),
        *(("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMIN+15", 49), ("RTMAX-14", 50), ("rtmax", 64), ("32", 32), ("99", 99), ("-1", -1)),
    ],
)
def test_words(text: str, wanted: int) -> None:
    assert signals.number(text) == wanted


WRONG = [
    "",
    "0",
    "NOPE",
    "SIGRTMIN+16",
    "RTMAX-15",
    "SIGRTMAX-0",
    "RTMIN+0",
    "UNUSED",
    "INFO",
    " TERM",
    "1.5",
    "0x0f",
    "SIGSIGTERM",
    "SIG15",
    "九",
]


@pytest.mark.parametrize("text", [*WRONG, "+", "+-1", "9" * 30])
def test_what_is_none(text: str) -> None:
    assert signals.number(text) == 0


def test_which_can_be_sent() -> None:
    assert [n for n in (-1, 0, 1, 32, 33, 34, 64, 65) if signals.can_be_asked_for(n)] == [1, 34, 64]
    assert [n for n in (-1, 0, 1, 32, 64, 65) if signals.is_one(n)] == [1, 32, 64]
