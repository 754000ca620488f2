"""Sizes and durations as Go, Docker and Compose write them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_COMPOSE_UNITS = {**_DURATION_UNITS, "d": 24 * 3600 * 10**9, "w": 7 * 24 * 3600 * 10**9}
_COMPOSE_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtpe]?)(i?b?)\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}


def parse_duration(text: str, *, days: bool = False) -> int:
    """Nanoseconds of a Go duration such as `1h30m`, `1.5s`, `-2m`; with days also `d` and `w`. Raises ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    pattern, units = (_COMPOSE_DURATION, _COMPOSE_UNITS) if days else (_DURATION, _DURATION_UNITS)
    total, at = 0.0, 0
    whole = 0
    while at < len(rest):
        found = pattern.match(rest, at)
        if not found:
            raise ValueError(f"invalid duration {text!r}")
        number, unit = found.groups()
        if number.isdigit():
            whole += int(number) * units[unit]
        else:
            total += float(number) * units[unit]
        at = found.end()
    if not rest:
        raise ValueError(f"invalid duration {text!r}")
    return sign * (whole + round(total))


def format_duration(ns: int) -> str:
    """Nanoseconds as Go's Duration.String: `1m30s`, `1.5s`, `100ms`, `0s`."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if ns >= size:
                return f"{sign}{_decimal(ns, size)}{unit}"
    hours, rest = divmod(ns, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(rest, 10**9)}s"


def _decimal(value: int, size: int) -> str:
    whole, part = divmod(value, size)
    digits = str(part).rjust(len(str(size)) - 1, "0").rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(text: str | int | float) -> int:
    """Bytes of a Docker size: `64m`, `1.5gb`, `1024`; units count in powers of 1024 (go-units RAMInBytes). Raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return int(text)
    found = _SIZE.fullmatch(str(text))
    if not found:
        raise ValueError(f"invalid size: {text!r}")
    return int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])


def human_size(size: float) -> str:
    """Bytes as Docker prints them, in powers of 1000 and three or four digits: `1.23MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{size:.4g}{unit}" if unit == "B" else f"{size:.3g}{unit}"
        size /= 1000
    raise AssertionError("unreachable")


def human_duration(seconds: float) -> str:
    """An age as Docker prints it: `Less than a second`, `About a minute`, `3 hours`, `2 weeks` (go-units HumanDuration)."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if hours < 24 * 7 * 2:
        return f"{days} days"
    if hours < 24 * 30 * 2:
        return f"{days // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{days // 30} months"
    return f"{days // 365} years"


def rfc3339(ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 with nanoseconds, UTC, trailing zeros cut as Go does."""
    seconds, part = divmod(ns, 10**9)
    base = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{part:09d}".rstrip("0")
    return f"{base}.{digits}Z" if digits else f"{base}Z"


def parse_rfc3339(text: str) -> int:
    """The inverse of rfc3339, also with an offset instead of Z. Raises ValueError."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:\d\d)?", text)
    if not found:
        raise ValueError(f"invalid time {text!r}")
    offset = "+00:00" if found[4] in (None, "Z", "z") else found[4]
    whole = int(datetime.fromisoformat(f"{found[1]}T{found[2]}{offset}").timestamp())
    return whole * 10**9 + int((found[3] or "0").ljust(9, "0"))
