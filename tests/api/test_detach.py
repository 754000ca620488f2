from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.api.detach import Watch, parse


@pytest.mark.parametrize(
    ("text", "keys"), [("", b"\x10\x11"), ("ctrl-p,ctrl-q", b"\x10\x11"), ("a,b", b"ab"), ("ctrl-@,ctrl-_", b"\0\x1f"), ("x", b"x")]
)
def test_keys_as_a_terminal_sends_them(text: str, keys: bytes) -> None:
    assert parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-ab"])
def test_what_no_terminal_sends(text: str) -> None:
    with pytest.raises(ValueError, match="invalid detach keys"):
        parse(text)


@given(before=st.binary(max_size=8), after=st.binary(max_size=4), keys=st.binary(min_size=1, max_size=3), cuts=st.lists(st.integers(0, 15)))
def test_found_however_they_come(before: bytes, after: bytes, keys: bytes, cuts: list[int]) -> None:
    typed = before + keys + after
    places = [0, *sorted(cut for cut in cuts if cut < len(typed)), len(typed)]
    watch, passed = Watch(keys), b""
    for start, end in itertools.pairwise(places):
        data, left = watch.take(typed[start:end])
        passed += data
        if left:
            break
    else:
        raise AssertionError("not found")
    assert passed == typed[: typed.index(keys)]


@given(st.lists(st.binary(max_size=5)))
def test_without_keys_all_is_passed_on_at_once(pieces: list[bytes]) -> None:
    watch = Watch(b"")
    assert [watch.take(piece) for piece in pieces] == [(piece, False) for piece in pieces]
