"""The rooms of the engine, as a call finds them."""

from __future__ import annotations

from dataclasses import dataclass, field

from compose_lite.engine.builds import Builds
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.execs import Execs
from compose_lite.engine.followed import Followed
from compose_lite.engine.images import Images
from compose_lite.engine.networks import Networks
from compose_lite.engine.record import Container
from compose_lite.engine.server import Request
from compose_lite.engine.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Rooms:
    containers: Containers
    execs: Execs
    images: Images
    builds: Builds
    engine_id: str
    followed: Followed = field(default_factory=Followed)

    @property
    def bus(self) -> Bus:
        return self.containers.bus

    @property
    def networks(self) -> Networks:
        return self.containers.networks

    @property
    def volumes(self) -> Volumes:
        return self.containers.volumes

    def one(self, request: Request) -> Container:
        """The container that the path names."""
        return self.containers.find(request.params["id"])
