"""Where we knowingly differ: what newer versions of Docker Compose take and 2.40 refuses, and what is explained otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.spec.differential.oracle import values

Document = dict[str, Any]


def _extends_of_included(document: Document) -> bool:
    """A service whose base is not in this file, while the file includes others."""
    services = document.get("services") or {}
    bases = [
        base.get("service") if isinstance(base, dict) and not base.get("file") else base for base in values(document, "services.*.extends")
    ]
    return bool(document.get("include")) and any(isinstance(base, str) and base not in services for base in bases)


def _has(pattern: str, *kinds: type) -> Callable[[Document], bool]:
    return lambda document: any(not kinds or isinstance(value, kinds) for value in values(document, pattern))


NEWER: dict[str, Callable[[Document], bool]] = {
    "pre_start (5.3)": _has("services.*.pre_start"),
    "build.no_cache_filter (5.0)": _has("services.*.build.no_cache_filter"),
    "models.*: null (5.0)": _has("services.*.models.*", type(None)),
    "depends_on.*.required: text (5.0)": _has("services.*.depends_on.*.required", str),
    "depends_on.*.restart: text (5.0)": _has("services.*.depends_on.*.restart", str),
    "extends of an included service (5.1.2)": _extends_of_included,
}
"""Name (and the version that began with it) -> whether a document has it."""

BEYOND_DOCUMENTS = {
    "a variable that is missing in the word of a default that is not used (5.0.2)": "tests/spec/test_interpolate.py",
}
"""What newer versions take and the generator does not write -> where it is tested."""

NOT_TAKEN = {
    "a resource of an included file that the including file changes (5.0)": "2.40 refuses it, and who has both would get another project "
    "by each; an override file or a second path of the include says the same to both",
}
"""What newer versions take and we refuse, as 2.40 does -> why."""

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
