"""Where we knowingly differ: what newer versions of Docker Compose take and 2.40 refuses, and what is explained otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.spec.differential.oracle import values

Document = dict[str, Any]


def _has(pattern: str, *kinds: type) -> Callable[[Document], bool]:
    return lambda document: any(not kinds or isinstance(value, kinds) for value in values(document, pattern))


NEWER: dict[str, Callable[[Document], bool]] = {
    "pre_start (5.3)": _has("services.*.pre_start"),
    "build.no_cache_filter (5.0)": _has("services.*.build.no_cache_filter"),
    "models.*: null (5.0)": _has("services.*.models.*", type(None)),
    "depends_on.*.required: text (5.0)": _has("services.*.depends_on.*.required", str),
    "depends_on.*.restart: text (5.0)": _has("services.*.depends_on.*.restart", str),
}
"""Name (and the version that began with it) -> whether a document has it."""

EXPLAINED: dict[str, Callable[[Document, str | None, str | None], bool]] = {
    "the reference crashes on texts in build.ulimits": lambda document, wanted, _: "main.go" in str(wanted),
    "the reference does not read memswap_limit: '-1', which its own config prints (5.0 does)": lambda document, wanted, _: (
        "invalid size: '-1'" in str(wanted)
    ),
}
"""Why -> whether a document, what the other side refuses it for and what we do (None: taken) is a case of it."""


def newer(document: Document) -> str | None:
    return next((name for name, has in NEWER.items() if has(document)), None)


def explained(document: Document, wanted: str | None, answer: str | None) -> str | None:
    return next((name for name, is_case in EXPLAINED.items() if is_case(document, wanted, answer)), None)
