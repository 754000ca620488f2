"""A container's record as a create request makes it, without an engine."""

from __future__ import annotations

from typing import Any

from compose_lite.engine import creation, ociconfig
from compose_lite.engine.record import Container
from compose_lite.engine.users import User
from compose_lite.linux import capabilities

ID = "c0ffee" + "0" * 58


def container(host: dict[str, Any] | None = None, *, id: str = ID, name: str = "web", **config: Any) -> Container:
    body = {"Image": "busybox", "Cmd": ["sh"], **config, "HostConfig": host or {}}
    found, _ = creation.host_config_of(body, 2)
    return Container(id, name, 0, "busybox", "sha256:0", creation.config_of(body, {}, id, "x86_64"), found, {})


def around(**more: Any) -> ociconfig.Surroundings:
    given: dict[str, Any] = {"user": User(0, 0, (0,)), "state": "/state", "held": list(capabilities.NAMES)}
    return ociconfig.Surroundings(**{**given, **more})
