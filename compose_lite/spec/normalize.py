"""What a long-form document still lacks: defaults, absolute paths, values from the environment, names, implied things.

Pure; changes the tree in place. Each function is one pass; load.py knows their order.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from compose_lite.spec.document import Map, Seq
from compose_lite.spec.remote import is_elsewhere
from compose_lite.spec.shortforms import clean

CONTENT = "x-#value"
"""Where a secret or config carries what its environment variable held, until the project is built."""

SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")


def _services(tree: Map) -> Iterator[tuple[str, Map]]:
    services = tree.get("services")
    if isinstance(services, Map):
        for name, service in services.items():
            if isinstance(service, Map):
                yield name, service


def _resources(tree: Map, section: str) -> Iterator[tuple[str, Map]]:
    resources = tree.get(section)
    if isinstance(resources, Map):
        for name, resource in resources.items():
            if isinstance(resource, Map):
                yield name, resource


def set_defaults(tree: Map) -> None:
    """Attributes that have a value when they are not written."""
    for _, service in _services(tree):
        build = service.get("build")
        if isinstance(build, Map):
            build.setdefault("context", ".")
        for secret in service.get("secrets") or ():
            if isinstance(secret, Map) and "target" not in secret:
                secret["target"] = f"/run/secrets/{secret.get('source')}"
        for port in service.get("ports") or ():
            if isinstance(port, Map):
                port.setdefault("protocol", "tcp")
                port.setdefault("mode", "ingress")
        for request in [*(service.get("gpus") or ()), *device_requests(service)]:
            if isinstance(request, Map) and "count" not in request and "device_ids" not in request:
                request["count"] = "all"


def device_requests(service: Map) -> Seq:
    """deploy.resources.reservations.devices."""
    at: Any = service
    for step in ("deploy", "resources", "reservations", "devices"):
        at = at.get(step) if isinstance(at, Map) else None
    return at if isinstance(at, Seq) else Seq()


class Paths:
    """How relative paths become absolute ones (or relative to another folder).

    base: the folder that they are relative to. home: of the user, for `~`. follow: resolves a symbolic link.
    """

    def __init__(self, base: str, home: str | None, follow: Callable[[str], str]) -> None:
        self.base, self.home, self.follow = base, home, follow

    def absolute(self, path: str) -> str:
        if not path:
            return path
        path = self.expand(path)
        return path if path.startswith("/") else clean(posixpath.join(self.base, path))

    def expand(self, path: str) -> str:
        if path.startswith("~") and self.home:
            return clean(posixpath.join(self.home, path[1:].lstrip("/")))
        return path

    def mounted(self, path: str) -> str:
        """As absolute, but a Windows path is one already."""
        return path if _is_windows(path) else self.absolute(path) if path else clean(self.base)

    def context(self, path: str) -> str:
        """A build context: left alone when it is a URL, a Git reference or another service."""
        remote = ("https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:")
        return path if "://" in path or path.startswith(remote) else self.absolute(path)

    def watched(self, path: str) -> str:
        path = self.absolute(path)
        return self.follow(path) if path.startswith("/") else path


def _is_windows(path: str) -> bool:
    return path.startswith("\\\\") or (len(path) > 2 and path[0].isalpha() and path[1] == ":" and path[2] in "\\/")


def resolve_paths(tree: Map, paths: Paths) -> None:
    """Every relative path of the document, made absolute (or relative to another folder)."""
    for _, service in _services(tree):
        build = service.get("build")
        if isinstance(build, Map):
            _change(build, "context", paths.context)
            _change_all(build.get("additional_contexts"), paths.context)
            _change_all(build.get("ssh"), paths.mounted)
        for file in service.get("env_file") or ():
            if isinstance(file, Map):
                _change(file, "path", paths.absolute)
        _change_all(service.get("label_file"), paths.absolute)
        extends = service.get("extends")
        if isinstance(extends, Map):
            _change(extends, "file", lambda file: file if is_elsewhere(file) else paths.absolute(file))
        develop = service.get("develop")
        for trigger in (develop.get("watch") or ()) if isinstance(develop, Map) else ():
            if isinstance(trigger, Map):
                _change(trigger, "path", paths.watched)
        for volume in service.get("volumes") or ():
            if isinstance(volume, Map) and volume.get("type") == "bind":
                _change(volume, "source", paths.mounted)
    for section in ("configs", "secrets"):
        for _, resource in _resources(tree, section):
            _change(resource, "file", paths.mounted)
    for _, volume in _resources(tree, "volumes"):
        options = volume.get("driver_opts")
        if volume.get("driver") == "local" and isinstance(options, Map) and options.get("o") == "bind":
            _change(options, "device", paths.mounted)


def _change(owner: Map, key: str, change: Callable[[str], str]) -> None:
    value = owner.get(key)
    if isinstance(value, str):
        owner[key] = change(value)


def _change_all(owner: Any, change: Callable[[str], str]) -> None:
    if isinstance(owner, Map):
        for key in owner:
            _change(owner, key, change)
    elif isinstance(owner, Seq):
        owner[:] = [change(item) if isinstance(item, str) else item for item in owner]


def take_environment(tree: Map, environ: Mapping[str, str]) -> None:
    """Values that a file leaves to its environment: `environment: [NAME]`, secrets and configs from a variable."""
    for _, service in _services(tree):
        entries = service.get("environment")
        if isinstance(entries, Seq):
            entries[:] = [f"{e}={environ[e]}" if isinstance(e, str) and e in environ else e for e in entries]
    for section in ("secrets", "configs"):
        for _, resource in _resources(tree, section):
            name = resource.get("environment")
            if isinstance(name, str) and name in environ:
                resource[CONTENT] = environ[name]


def complete(tree: Map, environ: Mapping[str, str]) -> None:
    """Implied networks, dependencies and names; values without a text. tree["name"] is the project's name."""
    _imply_networks(tree)
    for _, service in _services(tree):
        if service.get("pull_policy") == "if_not_present":
            service["pull_policy"] = "missing"
        build = service.get("build")
        if isinstance(build, Map):
            _complete_build(build, environ)
        if "environment" in service:
            service["environment"] = _resolved(service["environment"], environ, keep=True)
        for volume in service.get("volumes") or ():
            if isinstance(volume, Map) and isinstance(volume.get("target"), str):
                volume["target"] = clean(volume["target"] or ".")
        _imply_dependencies(service)
        _imply_images(service)
    for section in ("networks", "volumes", "configs", "secrets"):
        _name_resources(tree, section)


def _complete_build(build: Map, environ: Mapping[str, str]) -> None:
    if build.get("context") is None:
        build["context"] = "."
    if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
        build["dockerfile"] = "Dockerfile"
    if "args" in build:
        build["args"] = _resolved(build["args"], environ, keep=False)


def _resolved(value: Any, environ: Mapping[str, str], keep: bool) -> Any:
    """Keys without a value get the environment's; without one they stay (keep) or go."""
    if isinstance(value, Map):
        for key in [key for key, item in value.items() if item is None]:
            if key in environ:
                value[key] = environ[key]
            elif not keep:
                del value[key]
    elif isinstance(value, Seq):
        found = Seq()
        for index, entry in enumerate(value):
            if isinstance(entry, str) and "=" not in entry:
                if entry in environ:
                    entry = f"{entry}={environ[entry]}"
                elif not keep:
                    continue
            found.add(entry, value.mark(index))
        return found
    return value


def _imply_networks(tree: Map) -> None:
    """A service without networks joins `default`, which is there when somebody uses it."""
    used = False
    for _, service in _services(tree):
        if "provider" in service or "network_mode" in service:
            continue
        networks = service.get("networks")
        if not networks:
            service["networks"] = Map({"default": None})
        used = used or "default" in service["networks"]
    if used and "default" not in (tree.get("networks") or ()):
        networks = tree.setdefault("networks", Map())
        networks["default"] = None


def _imply_dependencies(service: Map) -> None:
    implied: list[tuple[str, bool, Any]] = []
    links, volumes = service.get("links"), service.get("volumes_from")
    links = links if isinstance(links, Seq) else Seq()
    volumes = volumes if isinstance(volumes, Seq) else Seq()
    for index, link in enumerate(links):
        parts = link.split(":")
        implied.append((parts[0] if len(parts) == 2 else link, True, links.mark(index)))
    for attribute in SHARED:
        value = service.get(attribute)
        if isinstance(value, str) and value.startswith("service:"):
            pair = service.marks.get(attribute)
            implied.append((value.removeprefix("service:"), True, pair[1] if pair else None))
    for index, source in enumerate(volumes):
        if not source.startswith("container:"):
            implied.append((source.split(":", 1)[0], False, volumes.mark(index)))
    if not implied:
        return
    depends_on = service.setdefault("depends_on", Map())
    for name, restart, mark in implied:
        if name not in depends_on:
            depends_on[name] = Map({"condition": "service_started", "restart": restart, "required": True})
            if mark is not None:
                depends_on.marks[name] = (mark, mark)


def _imply_images(service: Map) -> None:
    """A step of pre_start without an image of its own runs the service's."""
    steps = service.get("pre_start")
    if isinstance(service.get("image"), str) and service["image"] and isinstance(steps, Seq):
        for step in steps:
            if isinstance(step, Map) and "image" not in step:
                step["image"] = service["image"]


def _name_resources(tree: Map, section: str) -> None:
    resources = tree.get(section)
    if not isinstance(resources, Map):
        return
    for key, resource in resources.items():
        if not isinstance(resource, Map):
            resource = resources[key] = Map()
        if resource.get("name") is None:
            external = str(resource.get("external")).lower() in ("true", "1", "t")
            resource["name"] = key if external else f"{tree['name']}_{key}"
