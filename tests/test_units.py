"""Durations and sizes, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.units import format_duration, parse_duration, parse_rfc3339, parse_size, rfc3339


@given(st.integers(-(2**62), 2**62))
def test_a_duration_reads_back(ns: int) -> None:
    again = parse_duration(format_duration(ns))
    assert abs(again - ns) <= abs(ns) // 2**50  # the seconds are a float when they have a fraction


@pytest.mark.parametrize(
    ("text", "ns"), [("1h30m", 5400 * 10**9), ("1.5s", 1_500_000_000), ("100ms", 10**8), ("0", 0), ("-2m", -120 * 10**9)]
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "10", "10 parsecs", "1x", "s", "1s "])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


def test_days_count_for_compose_only() -> None:
    assert parse_duration("1w2d", days=True) == 9 * 24 * 3600 * 10**9
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration("1d")


@pytest.mark.parametrize(("text", "size"), [("64m", 64 << 20), ("1.5gb", 3 << 29), ("1024", 1024), ("2KiB", 2048), (7, 7), ("0", 0)])
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@given(st.integers(0, 4 * 10**18))
def test_a_time_reads_back(ns: int) -> None:
    assert parse_rfc3339(rfc3339(ns)) == ns
