"""Tables keyed by document path: `("services", ANY, "ports")`. ANY stands for one key or one item of a list. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ANY: Final = "*"
Pattern = tuple[str, ...]


class Branch:
    """One step of compiled patterns: the rule for this very path, and the steps below it."""

    __slots__ = ("any", "keys", "rule")

    def __init__(self) -> None:
        self.rule: Any = None
        self.keys: dict[str, Branch] = {}
        self.any: Branch | None = None

    def step(self, key: str) -> Branch | None:
        """What holds below the key: its own branch, else ANY's."""
        return self.keys.get(key) or self.any


def compile_patterns(table: Mapping[Pattern, Any]) -> Branch:
    """The table as a tree, so that a walk over a document meets only the rules on its way."""
    root = Branch()
    for pattern, rule in table.items():
        at = root
        for step in pattern:
            if step == ANY:
                at.any = at.any or Branch()
                at = at.any
            else:
                at = at.keys.setdefault(step, Branch())
        at.rule = rule
    return root
