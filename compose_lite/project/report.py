"""What converge and friends tell while they work: one event a change of state. How it looks is the caller's business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Report(Protocol):
    """kind: Container, Network, Volume, Image; status: Docker Compose's words (Creating, Created, Started, Healthy ...).

    build: an event of a service's build, as the engine tells it. waiting: for what, as often as that changes.
    """

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None: ...
    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None: ...
    def output(self, name: str, text: str) -> None: ...
    def build(self, service: str, event: Mapping[str, Any]) -> None: ...
    def warn(self, text: str) -> None: ...


class Silent:
    """Tells nobody."""

    def event(self, kind: str, name: str, status: str, *, done: bool = False, failed: bool = False, detail: str = "") -> None:
        pass

    def waiting(self, kind: str, name: str, on: str, probe: int = 0) -> None:
        pass

    def output(self, name: str, text: str) -> None:
        pass

    def build(self, service: str, event: Mapping[str, Any]) -> None:
        pass

    def warn(self, text: str) -> None:
        pass
