"""How many at a time, and what follows from failures."""

from __future__ import annotations

import pytest

from compose_lite.project.plan import CreateContainer
from compose_lite.project.rolling import batches, verdict

STEPS = [CreateContainer("web", n, f"p-web-{n}", f"old{n}", f"p-web-{n}") for n in range(1, 6)]


@pytest.mark.parametrize(("parallelism", "sizes"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (0, [5]), (9, [5])])
def test_batches(parallelism: int, sizes: list[int]) -> None:
    found = batches(STEPS, parallelism)
    assert [len(batch) for batch in found] == sizes
    assert [step for batch in found for step in batch] == STEPS


@pytest.mark.parametrize(
    ("failed", "ratio", "action", "found"),
    [
        (0, 0.0, "rollback", "continue"),
        (1, 0.0, "rollback", "rollback"),
        (1, 0.0, "", "pause"),
        (1, 0.2, "rollback", "continue"),  # one of five is allowed
        (2, 0.2, "pause", "pause"),
        (5, 0.0, "continue", "continue"),
    ],
)
def test_verdict(failed: int, ratio: float, action: str, found: str) -> None:
    assert verdict(failed, 5, ratio, action) == found
