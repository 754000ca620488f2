"""Every call of the engine's API: one table, method and path to function (engine/calls/). Paths are taken with and without /v1.NN.

Spec: Docker Engine API 1.51.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from compose_lite.engine.calls import archives, containers, networks, streams, system
from compose_lite.engine.calls.rooms import Rooms
from compose_lite.engine.images import Images
from compose_lite.engine.server import API_VERSION, OLDEST, Reply, Request
from compose_lite.errors import EngineError

Handler = Callable[[Rooms, Request], Awaitable[Any]]
_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)")
_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'


class Routes:
    """Finds the function that answers a request."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms

    async def __call__(self, request: Request) -> Any:
        found = _VERSION.fullmatch(request.path)
        if found:
            request.version = (int(found[1]), int(found[2]))
            request.path = found[3]
            if request.version > API_VERSION:
                says = f"client version {found[1]}.{found[2]} is too new. Maximum supported API version is 1.51"
                raise EngineError(says, http_status=400)
            if request.version < OLDEST:
                says = f"client version {found[1]}.{found[2]} is too old. Minimum supported API version is 1.24"
                raise EngineError(f"{says}, please upgrade your client to a newer version", http_status=400)
        first = request.path.split("/", 2)[1] if "/" in request.path else ""
        method = "GET" if request.method == "HEAD" else request.method
        for wanted, pattern, handler in _BY_FIRST.get(first, ()):
            if wanted == method and (hit := pattern.fullmatch(request.path)):
                request.params = hit.groupdict()
                return await handler(self.rooms, request)
        if first in ("swarm", "services", "tasks", "nodes", "secrets", "configs"):
            raise EngineError(_SWARM, http_status=503)
        if first in ("session", "grpc"):
            raise EngineError("compose-lite has no BuildKit session: set DOCKER_BUILDKIT=0 to build on this engine", http_status=501)
        return Reply(404, {"message": "page not found"})


def _of(call: Callable[[Images, Request], Awaitable[Any]]) -> Handler:
    return lambda rooms, request: call(rooms.images, request)


async def _build(rooms: Rooms, request: Request) -> None:
    await rooms.builds.classic(request)


async def _build_ours(rooms: Rooms, request: Request) -> None:
    await rooms.builds.ours(request)


TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/_ping", system.ping),
    ("GET", "/version", system.version),
    ("GET", "/info", system.info),
    ("GET", "/events", system.events),
    ("POST", "/auth", system.auth),
    ("GET", "/system/df", system.disk_usage),
    ("GET", "/plugins", system.no_plugins),
    ("GET", "/containers/json", containers.list_containers),
    ("POST", "/containers/create", containers.create),
    ("POST", "/containers/prune", containers.prune_containers),
    ("GET", "/containers/{id}/json", containers.inspect),
    ("POST", "/containers/{id}/start", containers.start),
    ("POST", "/containers/{id}/stop", containers.stop),
    ("POST", "/containers/{id}/restart", containers.restart),
    ("POST", "/containers/{id}/kill", containers.kill),
    ("POST", "/containers/{id}/pause", containers.pause),
    ("POST", "/containers/{id}/unpause", containers.unpause),
    ("POST", "/containers/{id}/rename", containers.rename),
    ("POST", "/containers/{id}/update", containers.update),
    ("POST", "/containers/{id}/wait", containers.wait),
    ("GET", "/containers/{id}/logs", streams.logs),
    ("POST", "/containers/{id}/attach", streams.attach),
    ("POST", "/containers/{id}/resize", containers.resize),
    ("GET", "/containers/{id}/top", containers.top),
    ("GET", "/containers/{id}/stats", streams.stats),
    ("GET", "/containers/{id}/changes", containers.changes),
    ("GET", "/containers/{id}/export", archives.export),
    ("GET", "/containers/{id}/archive", archives.archive),
    ("PUT", "/containers/{id}/archive", archives.put_archive),
    ("POST", "/containers/{id}/exec", streams.exec_create),
    ("DELETE", "/containers/{id}", containers.remove),
    ("POST", "/commit", containers.commit),
    ("POST", "/exec/{id}/start", streams.exec_start),
    ("POST", "/exec/{id}/resize", streams.exec_resize),
    ("GET", "/exec/{id}/json", streams.exec_inspect),
    ("GET", "/images/json", _of(Images.list)),
    ("GET", "/images/search", _of(Images.search)),
    ("POST", "/images/create", _of(Images.pull)),
    ("POST", "/images/load", _of(Images.load)),
    ("POST", "/images/prune", _of(Images.prune)),
    ("GET", "/images/get", _of(Images.save)),
    ("GET", "/images/{name+}/get", _of(Images.save)),
    ("GET", "/images/{name+}/json", _of(Images.inspect)),
    ("GET", "/images/{name+}/history", _of(Images.history)),
    ("POST", "/images/{name+}/tag", _of(Images.tag)),
    ("POST", "/images/{name+}/push", _of(Images.push)),
    ("DELETE", "/images/{name+}", _of(Images.remove)),
    ("GET", "/distribution/{name+}/json", _of(Images.distribution)),
    ("POST", "/build", _build),
    ("POST", "/build/prune", system.prune_builds),
    ("POST", "/compose-lite/v1/build", _build_ours),
    ("GET", "/networks", networks.list_networks),
    ("POST", "/networks/create", networks.create_network),
    ("POST", "/networks/prune", networks.prune_networks),
    ("GET", "/networks/{id}", networks.inspect_network),
    ("DELETE", "/networks/{id}", networks.remove_network),
    ("POST", "/networks/{id}/connect", networks.connect_network),
    ("POST", "/networks/{id}/disconnect", networks.disconnect_network),
    ("GET", "/volumes", networks.list_volumes),
    ("POST", "/volumes/create", networks.create_volume),
    ("POST", "/volumes/prune", networks.prune_volumes),
    ("GET", "/volumes/{id}", networks.inspect_volume),
    ("DELETE", "/volumes/{id}", networks.remove_volume),
    ("PUT", "/compose-lite/v1/containers/{id}/files", containers.put_files),
    ("POST", "/compose-lite/v1/containers/{id}/prepare", containers.prepare),
    ("GET", "/compose-lite/v1/containers/{id}/configuration", containers.configuration),
    ("GET", "/compose-lite/v1/containers/{id}/facts", containers.facts),
    ("POST", "/compose-lite/v1/containers/{id}/log", containers.note),
    ("POST", "/compose-lite/v1/shutdown", system.shut_down),
    ("POST", "/compose-lite/v1/ports/reserve", networks.reserve_ports),
    ("POST", "/compose-lite/v1/ports/release", networks.release_ports),
)


def _pattern(path: str) -> re.Pattern[str]:
    text = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", path)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", text) + "/?")


_BY_FIRST: dict[str, list[tuple[str, re.Pattern[str], Handler]]] = {}
for _method, _path, _handler in TABLE:
    _BY_FIRST.setdefault(_path.split("/")[1], []).append((_method, _pattern(_path), _handler))
