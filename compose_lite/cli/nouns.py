"""What image, container, volume and network have in common: acting on each of some names, inspecting, asking before a prune."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from compose_lite import units
from compose_lite.cli import tables
from compose_lite.cli.context import Context
from compose_lite.errors import ApiError, UsageError


async def each(context: Context, names: Sequence[str], act: Callable[[str], Awaitable[object]], *, forgiving: bool = False) -> int:
    """Acts on each name and prints it; errors are printed as they come and the rest goes on. forgiving: what is not there is no failure."""
    status = 0
    for name in names:
        try:
            await act(name)
        except ApiError as error:
            if not error.http_status:
                raise
            context.err.write(f"{error}\n")
            status = status if forgiving and error.http_status == 404 else 1
        else:
            context.print(name)
    return status


async def inspect(context: Context, names: Sequence[str], get: Callable[[str], Awaitable[Any]], format: str) -> int:
    """Prints the documents as one array (or by the template), then the errors of what is not there."""
    found: list[Any] = []
    errors: list[ApiError] = []
    for name in names:
        try:
            found.append(await get(name))
        except ApiError as error:
            if not error.http_status:
                raise
            errors.append(error)
    text = tables.inspected(found, format)
    context.out.write(text or "\n")
    context.out.flush()
    for missing in errors:
        context.err.write(f"{missing}\n")
    return 1 if errors else 0


def confirmed(context: Context, warning: str, force: bool) -> bool:
    """Whether a prune may go on: --force, or the user says y."""
    if force:
        return True
    context.out.write(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    context.out.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def pruned(context: Context, what: str, items: Sequence[str], reclaimed: int | None) -> None:
    """The report of a prune."""
    if items:
        context.print(f"Deleted {what}:\n" + "\n".join(items) + "\n")
    if reclaimed is not None:
        context.print(f"Total reclaimed space: {units.human_size(reclaimed)}")


def pairs(words: Sequence[str], flag: str = "") -> dict[str, str]:
    """`key=value` words of an option; a bare key has an empty value. flag: if given, a bare key is refused."""
    made = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or (flag and not equals):
            raise UsageError("pair", f'invalid argument "{word}" for "{flag}" flag: {word} must be formatted as key=value', status=125)
        made[key] = value
    return made


def created_at(seconds: float) -> str:
    """`2026-11-24 08:51:36 +0000 UTC`"""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def go_time(text: str) -> str:
    """RFC 3339 as Go's Time.String: `2026-11-24 08:51:35.737460481 +0000 UTC`."""
    day, _, rest = text.partition("T")
    clock = rest.rstrip("Z").split("+")[0]
    return f"{day} {clock} +0000 UTC"


def ago(seconds: float, now: float) -> str:
    return f"{units.human_duration(max(0, now - seconds))} ago"


def at_least(names: Sequence[str], command: str, count: int = 1) -> None:
    """Refuses too few names in Docker's words."""
    if len(names) < count:
        plural = "argument" if count == 1 else "arguments"
        raise UsageError("argument-missing", f"'{command}' requires at least {count} {plural}", remedy=f"See '{command} --help'.")


def moment(text: str, now_ns: int, what: str = "") -> str:
    """`--since` and `--until` as the API takes them: `42m` counts back from now; a date, a time or seconds stand for themselves."""
    if not text or re.fullmatch(r"\d+(\.\d+)?", text):
        return text
    try:
        return _seconds(now_ns - units.parse_duration(text))
    except ValueError:
        pass
    try:
        return _seconds(units.parse_rfc3339(text if "T" in text and _ZONED.search(text) else _local(text)))
    except ValueError:
        says = (f'invalid value for "{what}": ' if what else "") + f'failed to parse value as time or duration: "{text}"'
        raise UsageError("moment", says, remedy="Say 42m or 2013-01-02T13:23:37Z.") from None


_ZONED = re.compile(r"(Z|[+-]\d\d:\d\d)$")


def _local(text: str) -> str:
    return datetime.fromisoformat(text.removesuffix("Z")).astimezone().isoformat()


def _seconds(ns: int) -> str:
    return f"{ns // 10**9}.{ns % 10**9:09d}"
