"""A picture as an SVG drawing, self-contained and without a layout engine: columns of graph/layers.py. Pure.

What needs is left of what it needs. Ports stand in the box; networks are coloured stripes with a legend; a volume of one
service stands in its box, those of several are boxes of their own in the last column. Colours follow the reader's light or dark setting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from compose_lite.graph.layers import Bend, Layers, Spot, layers
from compose_lite.graph.picture import Arrow, Box, Picture

CHAR, LINE, PAD, GAP, ROAD, EDGE = 7.3, 15, 9, 14, 84, 20
"""Width of a letter, height of a line, room inside a box, between boxes, between columns, around all."""
BEND = 8
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#9c755f", "#edc948", "#ff9da7", "#8c8c8c")
STYLE = """
text { font: 12px ui-monospace, monospace; fill: #1c2530; } .small { font-size: 10.5px; fill: #5a6774; }
.title { font-size: 15px; font-weight: bold; } rect { fill: #f5f8fb; stroke: #7c8b9a; } .volume { fill: #fbf6ea; stroke: #b39b5c; }
path { fill: none; stroke: #7c8b9a; stroke-width: 1.2; } .optional { stroke-dasharray: 4 3; }
.mount { stroke: #b39b5c; stroke-dasharray: 2 3; }
marker path { fill: #7c8b9a; stroke: none; } .paper { fill: #ffffff; stroke: none; }
@media (prefers-color-scheme: dark) { text { fill: #dde5ee; } .small { fill: #9aa8b6; } rect { fill: #1f2833; } .paper { fill: #12181f; }
.volume { fill: #2b2616; } }"""


@dataclass(frozen=True, slots=True)
class Spread:
    """A box or a bend on the paper."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def svg(picture: Picture) -> str:
    picture = _with_own_volumes(picture)
    found = layers(picture)
    volumes = _volume_spots(picture)
    placed = _placed(picture, found, volumes)
    roads = [_road(arrow, [placed[spot] for spot in way]) for arrow, way in found.ways]
    roads += [_mount(placed[box.name], placed[f"volume {v}"]) for box in picture.boxes.values() for v in box.volumes]
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(picture.networks)}
    shapes = [_shape(box, placed[box.name], colours) for box in picture.boxes.values()]
    shapes += [_volume(name.removeprefix("volume "), placed[name]) for name in volumes]
    right = max([s.x + s.width for s in placed.values()], default=0.0)
    bottom = max([s.y + s.height for s in placed.values()], default=EDGE + 30.0)
    legend, legend_right, bottom = _legend(colours, bottom)
    width = max(right, legend_right, len(picture.title) * 9.5 + EDGE) + EDGE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{bottom + EDGE:.0f}" '
            f'viewBox="0 0 {width:.0f} {bottom + EDGE:.0f}">',
            f"<title>{escape(picture.title)}</title><style>{STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
            '<rect class="paper" width="100%" height="100%"/>',
            f'<text class="title" x="{EDGE}" y="{EDGE + 12}">{escape(picture.title)}</text>',
            *roads,
            *shapes,
            *legend,
            "</svg>",
            "",
        ]
    )


def _with_own_volumes(picture: Picture) -> Picture:
    """Volumes that one service alone mounts become lines of its box: a road to a box far away says no more."""
    users = Counter(volume for box in picture.boxes.values() for volume in box.volumes)
    boxes = {}
    for name, box in picture.boxes.items():
        own = tuple(f"\u26c1 {volume}" for volume in box.volumes if users[volume] == 1)
        shared = tuple(volume for volume in box.volumes if users[volume] > 1)
        boxes[name] = replace(box, ports=(*box.ports, *own), volumes=shared)
    return replace(picture, boxes=boxes)


def _volume_spots(picture: Picture) -> list[str]:
    """Volumes in the order of the services that mount them."""
    return list(dict.fromkeys(f"volume {v}" for level in picture.levels for name in level for v in picture.boxes[name].volumes))


def _placed(picture: Picture, found: Layers, volumes: Sequence[str]) -> dict[Spot, Spread]:
    """Every spot on the paper: columns centred on the tallest, the lonely ones in rows below them, volumes at the right."""
    sizes: dict[Spot, tuple[float, float]] = {name: _size(box) for name, box in picture.boxes.items()}
    sizes |= {name: (len(name.removeprefix("volume ")) * CHAR + 3 * PAD, LINE + PAD) for name in volumes}
    columns: list[Sequence[Spot]] = list(found.columns)
    tallest = max((_height(column, sizes) for column in columns), default=0.0)
    placed: dict[Spot, Spread] = {}
    x, top = float(EDGE), EDGE + 30.0
    for column in columns:
        width = max((sizes[s][0] for s in column if isinstance(s, str)), default=2 * PAD)
        y = top + (tallest - _height(column, sizes)) / 2
        for spot in column:
            height = BEND if isinstance(spot, Bend) else sizes[spot][1]
            # as wide as the column: an arrow that began further left could run over a wider neighbour
            placed[spot] = Spread(x, y, width, height)
            y += height + GAP
        x += width + ROAD
    right = x
    y = top + (tallest + GAP if columns else 0)
    right = max(right, _rows(found.alone, sizes, y, max(x - ROAD, 900.0), placed) + ROAD)
    y = top
    for name in volumes:
        placed[name] = Spread(right, y, *sizes[name])
        y += sizes[name][1] + GAP
    return placed


def _rows(names: Sequence[str], sizes: dict[Spot, tuple[float, float]], top: float, limit: float, placed: dict[Spot, Spread]) -> float:
    """Boxes side by side, in as many rows as it takes; how far to the right they go."""
    x, y, deepest, right = float(EDGE), top, 0.0, 0.0
    for name in names:
        width, height = sizes[name]
        if x + width > limit and x > EDGE:
            x, y, deepest = float(EDGE), y + deepest + GAP, 0.0
        placed[name] = Spread(x, y, width, height)
        x, deepest, right = x + width + GAP, max(deepest, height), max(right, x + width)
    return right


def _height(column: Sequence[Spot], sizes: dict[Spot, tuple[float, float]]) -> float:
    return sum((BEND if isinstance(spot, Bend) else sizes[spot][1]) + GAP for spot in column) - GAP


def _title(box: Box) -> str:
    return box.name + (f" ×{box.replicas}" if box.replicas != 1 else "")


def _size(box: Box) -> tuple[float, float]:
    longest = max(len(text) for text in (_title(box), *box.ports))
    return longest * CHAR + 2 * PAD + 4, LINE * (1 + len(box.ports)) + PAD + (6 if box.networks else 0)


def _shape(box: Box, at: Spread, colours: dict[str, str]) -> str:
    parts = [f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" rx="5"/>']
    for index, text in enumerate((_title(box), *box.ports)):
        small = ' class="small"' if index else ""
        parts.append(f'<text{small} x="{at.x + PAD:.1f}" y="{at.y + PAD / 2 + LINE * (index + 1) - 3:.1f}">{escape(text)}</text>')
    stripe = (at.width - 2 * PAD) / max(len(box.networks), 1)
    for index, network in enumerate(box.networks):
        x = at.x + PAD + index * stripe
        style = f"fill: {colours[network]}; stroke: none"
        parts.append(
            f'<rect style="{style}" x="{x:.1f}" y="{at.y + at.height - 7:.1f}" width="{stripe - 2:.1f}" height="4">'
            f"<title>{escape(network)}</title></rect>"
        )
    return "<g>" + "".join(parts) + "</g>"


def _volume(name: str, at: Spread) -> str:
    box = f'<rect class="volume" x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" rx="11"/>'
    return f'<g>{box}<text x="{at.x + 1.5 * PAD:.1f}" y="{at.y + PAD / 2 + LINE - 3:.1f}">{escape(name)}</text></g>'


def _road(arrow: Arrow, spots: Sequence[Spread]) -> str:
    """A curve from the right side of the first box to the left side of the last, level where it passes a column."""
    x, y = spots[0].x + spots[0].width, spots[0].middle
    path = f"M{x:.1f} {y:.1f}"
    for spot in spots[1:]:
        half = (spot.x - x) / 2
        path += f" C{x + half:.1f} {y:.1f} {spot.x - half:.1f} {spot.middle:.1f} {spot.x:.1f} {spot.middle:.1f}"
        x, y = spot.x, spot.middle
        if spot is not spots[-1]:
            x += spot.width
            path += f" H{x:.1f}"
    kind = ' class="optional"' if arrow.optional else ""
    said = f"{arrow.source} needs {arrow.target}{' (' + arrow.label + ')' if arrow.label else ''}"
    road = f'<path{kind} marker-end="url(#tip)" d="{path}"><title>{escape(said)}</title></path>'
    if arrow.label:
        end = spots[-1]
        road += f'<text class="small" text-anchor="end" x="{end.x - 11:.1f}" y="{end.middle - 4:.1f}">{escape(arrow.label)}</text>'
    return road


def _mount(box: Spread, volume: Spread) -> str:
    x = box.x + box.width
    half = (volume.x - x) / 2
    curve = f"C{x + half:.1f} {box.middle:.1f} {volume.x - half:.1f} {volume.middle:.1f} {volume.x:.1f} {volume.middle:.1f}"
    return f'<path class="mount" d="M{x:.1f} {box.middle:.1f} {curve}"/>'


def _legend(colours: dict[str, str], bottom: float) -> tuple[list[str], float, float]:
    """One line of networks and their colours; where it ends to the right, and what is the bottom now."""
    if not colours:
        return [], 0.0, bottom
    x, y, parts = float(EDGE), bottom + 26, []
    for name, colour in colours.items():
        parts.append(f'<rect style="fill: {colour}; stroke: none" x="{x:.1f}" y="{y - 4:.1f}" width="16" height="4"/>')
        parts.append(f'<text class="small" x="{x + 21:.1f}" y="{y:.1f}">{escape(name)}</text>')
        x += 21 + len(name) * CHAR + 18
    return parts, x, y
