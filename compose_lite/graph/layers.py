"""Where the boxes of a drawing go: columns from the graph itself, and an order in each that crosses few arrows. Pure.

A service stands one column left of the furthest one that it needs (Sugiyama's layers, longest path). An arrow over several
columns passes each of those between at a place of its own, so that it runs around boxes. Services without any arrow are
apart: `alone`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from compose_lite.graph.picture import Arrow, Picture

SWEEPS = 8
"""So often the columns are put in order by their neighbours; more changes nothing worth seeing."""


@dataclass(frozen=True, slots=True)
class Bend:
    """Where an arrow passes a column on its way: no box, but a place in the column."""

    arrow: Arrow
    column: int


Spot = str | Bend


@dataclass(frozen=True, slots=True)
class Layers:
    """columns: from left to right, top to bottom. ways: each arrow's spots from its source to its target."""

    columns: tuple[tuple[Spot, ...], ...]
    ways: tuple[tuple[Arrow, tuple[Spot, ...]], ...]
    alone: tuple[str, ...]


def layers(picture: Picture) -> Layers:
    joined = {name for arrow in picture.arrows for name in (arrow.source, arrow.target)}
    leftmost = len(picture.levels) - 1
    column = {name: leftmost - level for level, names in enumerate(picture.levels) for name in names}
    ways: list[tuple[Arrow, tuple[Spot, ...]]] = []
    spots: list[list[Spot]] = [[] for _ in range(leftmost + 1)]
    for name in picture.boxes:
        if name in joined:
            spots[column[name]].append(name)
    for arrow in picture.arrows:
        bends = [Bend(arrow, at) for at in range(column[arrow.source] + 1, column[arrow.target])]
        for bend in bends:
            spots[bend.column].append(bend)
        ways.append((arrow, (arrow.source, *bends, arrow.target)))
    alone = tuple(name for name in picture.boxes if name not in joined)
    ordered = _ordered(spots, [way for _, way in ways])
    return Layers(tuple(tuple(c) for c in ordered if c), tuple(ways), alone)


def _ordered(columns: list[list[Spot]], ways: Sequence[Sequence[Spot]]) -> list[list[Spot]]:
    """The order with the fewest crossings of those that sweeping to and fro comes by."""
    left: dict[Spot, list[Spot]] = {}
    right: dict[Spot, list[Spot]] = {}
    for way in ways:
        for first, second in pairwise(way):
            right.setdefault(first, []).append(second)
            left.setdefault(second, []).append(first)
    best, fewest = columns, crossings(columns, right)
    current = [list(column) for column in columns]
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for index in range(1, len(current)) if forward else range(len(current) - 2, -1, -1):
            beside = current[index - 1] if forward else current[index + 1]
            current[index] = _by_neighbours(current[index], beside, left if forward else right)
        count = crossings(current, right)
        if count < fewest:
            best, fewest = [list(column) for column in current], count
    return best


def _by_neighbours(column: list[Spot], beside: list[Spot], neighbours: dict[Spot, list[Spot]]) -> list[Spot]:
    """Each spot at the mean of those it is joined to; one that is joined to none keeps its place."""
    at = {spot: index for index, spot in enumerate(beside)}
    scale = len(beside) / max(len(column), 1)
    means: dict[Spot, float] = {}
    for index, spot in enumerate(column):
        found = [at[other] for other in neighbours.get(spot, ()) if other in at]
        means[spot] = sum(found) / len(found) if found else index * scale
    return sorted(column, key=lambda spot: means[spot])


def crossings(columns: Sequence[Sequence[Spot]], right: dict[Spot, list[Spot]]) -> int:
    """How many pairs of lines cross between neighbouring columns."""
    total = 0
    for first, second in pairwise(columns):
        at = {spot: index for index, spot in enumerate(second)}
        ends = [sorted(at[other] for other in right.get(spot, ()) if other in at) for spot in first]
        flat: list[int] = [end for group in ends for end in group]
        total += sum(flat[i] > flat[j] for i in range(len(flat)) for j in range(i + 1, len(flat)))
    return total
