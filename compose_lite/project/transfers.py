"""Images on their way from and to registries: what the engine tells of layers, as one amount an image."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from compose_lite.api.protocol import DockerEngine
from compose_lite.errors import ApiError
from compose_lite.project.report import Report
from compose_lite.units import human_size


class Amounts:
    """Bytes of all layers of one image that have come or gone, of those that are known of."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    def hear(self, event: Mapping[str, Any]) -> str:
        """event: of the engine's stream (`id`, `progressDetail`). `12.3MB / 40MB`; empty for one that says no amount."""
        detail = event.get("progressDetail") or {}
        if not detail.get("total"):
            return ""
        self._layers[str(event.get("id"))] = int(detail["current"]), int(detail["total"])
        done, all = (sum(pair[at] for pair in self._layers.values()) for at in (0, 1))
        return f"{human_size(done)} / {human_size(all)}"


async def pull(engine: DockerEngine, image: str, report: Report, *, platform: str = "") -> None:
    """Raises ApiError, which the report has heard of."""
    await _transfer(engine.pull(image, platform=platform or None), image, report, "Pulling", "Pulled")


async def push(engine: DockerEngine, image: str, report: Report) -> None:
    """Raises ApiError, which the report has heard of."""
    await _transfer(engine.push(image), image, report, "Pushing", "Pushed")


async def _transfer(events: AsyncIterator[Mapping[str, Any]], image: str, report: Report, under_way: str, done: str) -> None:
    report.event("Image", image, under_way)
    amounts = Amounts()
    try:
        async for event in events:
            if amount := amounts.hear(event):
                report.event("Image", image, under_way, detail=amount)
    except ApiError as error:
        report.event("Image", image, "Error", failed=True, detail=error.says)
        raise
    report.event("Image", image, done, done=True)
