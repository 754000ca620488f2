"""What is wrong although each value has the right form: conflicts within a document, and across attributes and services.

Two tuples of checks: on the long-form document (before paths are resolved) and on the typed project. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_lite.errors import Place, SpecError, nearest
from compose_lite.spec.document import Map, Path, dotted, place_of
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service
from compose_lite.spec.normalize import device_requests
from compose_lite.spec.shortforms import is_address


def check_document(tree: Map) -> None:
    """Raises SpecError for what contradicts itself within one document."""
    for check in DOCUMENT_CHECKS:
        check(tree)


def _refuse(tree: Map, path: Path, says: str, remedy: str | None = None) -> SpecError:
    return SpecError("conflict", f"{dotted(path)}: {says}", place=place_of(tree, path), remedy=remedy)


def _check_external_volumes(tree: Map) -> None:
    for name, volume in (tree.get("volumes") or {}).items():
        if isinstance(volume, Map) and volume.get("external") is True:
            for key in volume:
                if key not in ("name", "external") and not key.startswith("x-"):
                    says = f'conflicting parameters "external" and "{key}" specified'
                    raise _refuse(tree, ("volumes", name, key), says, "An external volume exists already: name it only.")


def _check_file_objects(tree: Map) -> None:
    for section, keys in (("configs", ("file", "environment", "content")), ("secrets", ("file", "environment"))):
        for name, resource in (tree.get(section) or {}).items():
            if not isinstance(resource, Map):
                continue
            given = [key for key in keys if key in resource]
            if len(given) > 1:
                raise _refuse(tree, (section, name, given[1]), f"{'|'.join(keys)} attributes are mutually exclusive", "Keep one of them.")
            if not given and "driver" not in resource and "external" not in resource:
                raise _refuse(tree, (section, name), f"one of {'|'.join(keys)} must be set")


def _check_addresses(tree: Map) -> None:
    for name, service in (tree.get("services") or {}).items():
        for index, port in enumerate((service.get("ports") or ()) if isinstance(service, Map) else ()):
            if isinstance(port, Map) and isinstance(port.get("host_ip"), str) and not is_address(port["host_ip"]):
                raise _refuse(tree, ("services", name, "ports", index, "host_ip"), f"invalid ip address: {port['host_ip']}")


def _check_device_requests(tree: Map) -> None:
    for name, service in (tree.get("services") or {}).items():
        if not isinstance(service, Map):
            continue
        for path, requests in ((("gpus",), service.get("gpus") or ()), (_DEVICES, device_requests(service))):
            for index, request in enumerate(requests):
                if isinstance(request, Map) and "count" in request and "device_ids" in request:
                    says = '"count" and "device_ids" attributes are exclusive'
                    raise _refuse(tree, ("services", name, *path, index), says, "Keep one of them.")


_DEVICES = ("deploy", "resources", "reservations", "devices")


def _check_mounts(tree: Map) -> None:
    for name, service in (tree.get("services") or {}).items():
        if not isinstance(service, Map):
            continue
        for index, volume in enumerate(service.get("volumes") or ()):
            if isinstance(volume, Map) and volume.get("type") == "bind" and "source" not in volume:
                says = 'invalid mount config for type "bind": field Source must not be empty'
                raise _refuse(tree, ("services", name, "volumes", index), says)
        develop = service.get("develop")
        for index, trigger in enumerate((develop.get("watch") or ()) if isinstance(develop, Map) else ()):
            if isinstance(trigger, Map) and trigger.get("path") == "":
                raise _refuse(tree, ("services", name, "develop", "watch", index, "path"), "value can't be blank")


DOCUMENT_CHECKS: tuple[Callable[[Map], None], ...] = (
    _check_external_volumes,
    _check_file_objects,
    _check_addresses,
    _check_device_requests,
    _check_mounts,
)


class _Told(Exception):
    """A failed check of a service. path: below the service."""

    def __init__(self, code: str, says: str, *path: str | int, remedy: str | None = None) -> None:
        super().__init__(says)
        self.code, self.says, self.path, self.remedy = code, says, path, remedy


def check_project(project: Project) -> None:
    """Raises SpecError for the first thing that the active services cannot be run with."""
    for name, service in project.services.items():
        try:
            for check in SERVICE_CHECKS:
                check(project, service)
        except _Told as told:
            raise SpecError(told.code, told.says, place=_nearest_place(project, name, told.path), remedy=told.remedy) from None
    for name, secret in project.secrets.items():
        if not secret.external and not secret.file and not secret.environment:
            says = f'secret "{name}" must declare either `file` or `environment`'
            raise SpecError("secret-without-source", says, place=place(project, ("secrets", name)))


def _nearest_place(project: Project, name: str, path: Path) -> Place | None:
    for length in range(len(path), -1, -1):
        found = place(project, ("services", name, *path[:length]))
        if found:
            return found
    return None


def _check_source(project: Project, s: Service) -> None:
    if s.build is None and not s.image and s.provider is None:
        says = f'service "{s.name}" has neither an image nor a build context specified'
        raise _Told("service-without-image", says, remedy="Add `image:` or `build:`.")


def _check_build(project: Project, s: Service) -> None:
    if s.build is None:
        return
    if s.build.dockerfile_inline and s.build.dockerfile:
        says = f'service "{s.name}" declares mutually exclusive dockerfile and dockerfile_inline'
        raise _Told("conflict", says, "build", "dockerfile_inline", remedy="Keep one of them.")
    everybody = project.all_services()
    for key, context in s.build.additional_contexts.items():
        other = context.removeprefix("service:") if context.startswith("service:") else None
        if other is not None and other not in project.services:
            says = f'service "{s.name}" declares unknown service "{other}" as additional contexts {key}'
            raise _Told("unknown-reference", says, "build", "additional_contexts", key, remedy=nearest(other, everybody))
        if other is not None and project.services[other].build is None:
            says = f'service "{s.name}" declares non-buildable service "{other}" as additional contexts {key}'
            raise _Told("unknown-reference", says, "build", "additional_contexts", key)
    if s.platform and s.build.platforms and s.platform not in s.build.platforms:
        says = f'services.{s.name}: build.platforms MUST include the service\'s platform "{s.platform}"'
        raise _Told("conflict", says, "build", "platforms")
    for index, secret in enumerate(s.build.secrets):
        _check_declared(s, "build secret", secret.source, project.secrets, "build", "secrets", index)


def _check_declared(s: Service, what: str, key: str, declared: dict[str, Any], *path: str | int) -> None:
    if key not in declared:
        section = what.removeprefix("build ") + "s"
        says = f'service "{s.name}" refers to undefined {what} {key}'
        remedy = nearest(key, declared) or f"Declare it under the top-level `{section}:`."
        raise _Told("unknown-reference", says, *path, remedy=remedy)


def _check_networks(project: Project, s: Service) -> None:
    if s.network_mode and s.networks:
        says = f"service {s.name} declares mutually exclusive `network_mode` and `networks`"
        raise _Told("conflict", says, "network_mode", remedy="Keep one of them.")
    for key in s.networks:
        _check_declared(s, "network", key, project.networks, "networks", key)


def _check_healthcheck(project: Project, s: Service) -> None:
    if s.healthcheck and s.healthcheck.test and s.healthcheck.test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        says = f'services.{s.name}: healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"'
        raise _Told("healthcheck-test", says, "healthcheck", "test", remedy="Or write it as one string.")


def _check_dependencies(project: Project, s: Service) -> None:
    for other, dependency in s.depends_on.items():
        if other in project.services or (other in project.disabled_services and not dependency.required):
            continue
        hint = nearest(other, project.services)
        if other in project.disabled_services:
            profiles = ", ".join(project.disabled_services[other].profiles)
            hint = f"'{other}' is not active: enable one of its profiles ({profiles})." if profiles else f"'{other}' is not active."
        says = f'service "{s.name}" depends on undefined service "{other}"'
        raise _Told("depends-on-unknown", says, "depends_on", other, remedy=hint)
    if s.network_mode.startswith("service:"):
        other = s.network_mode.removeprefix("service:")
        if other not in project.services:
            says = f"service \"{other}\" not found for network_mode 'service:{other}'"
            raise _Told("unknown-reference", says, "network_mode", remedy=nearest(other, project.services))


def _check_references(project: Project, s: Service) -> None:
    for index, volume in enumerate(s.volumes):
        if volume.type == "volume" and volume.source:
            _check_declared(s, "volume", volume.source, project.volumes, "volumes", index)
    for index, config in enumerate(s.configs):
        _check_declared(s, "config", config.source, project.configs, "configs", index)
    for key in s.models:
        _check_declared(s, "model", key, project.models, "models", key)
    for index, secret in enumerate(s.secrets):
        _check_declared(s, "secret", secret.source, project.secrets, "secrets", index)


def _check_scale(project: Project, s: Service) -> None:
    replicas = s.deploy.replicas if s.deploy else None
    if s.scale is not None and replicas is not None and s.scale != replicas:
        raise _Told("conflict", f"services.{s.name}: can't set distinct values on 'scale' and 'deploy.replicas'", "scale")
    for attribute, count in (("scale", s.scale), ("deploy.replicas", replicas)):
        if count is not None and count < 0:
            says = f"services.{s.name}.{attribute}: must be greater than or equal to 0"
            raise _Told("out-of-range", says, *attribute.split("."))
    if s.replicas > 1 and s.container_name:
        attribute = "scale" if s.scale is not None else "deploy.replicas"
        says = f"services.{s.name}: can't set container_name and {attribute} as container name must be unique"
        raise _Told("conflict", says, "container_name", remedy="Take container_name out.")


def _check_limits(project: Project, s: Service) -> None:
    resources = s.deploy.resources if s.deploy else None
    limits, reservations = (resources.limits, resources.reservations) if resources else (None, None)
    pairs = (
        ("cpus", s.cpus, limits, "limits.cpus", limits.cpus if limits else 0),
        ("mem_limit", s.mem_limit, limits, "limits.memory", limits.memory if limits else 0),
        ("mem_reservation", s.mem_reservation, reservations, "reservations.memory", reservations.memory if reservations else 0),
        ("pids_limit", s.pids_limit, limits, "limits.pids", limits.pids if limits else 0),
    )
    for attribute, value, given, other, other_value in pairs:
        if value and given is not None and value != other_value:
            says = f"services.{s.name}: can't set distinct values on '{attribute}' and 'deploy.resources.{other}'"
            raise _Told("conflict", says, attribute, remedy="Give both the same value, or one only.")


def _check_watch(project: Project, s: Service) -> None:
    for index, trigger in enumerate(s.develop.watch if s.develop else ()):
        if not trigger.target and trigger.action not in ("rebuild", "restart"):
            says = f"services.{s.name}.develop.watch: target is required for non-rebuild actions"
            raise _Told("watch-without-target", says, "develop", "watch", index)


def _check_targets(project: Project, s: Service) -> None:
    mounted: dict[str, str] = {}
    for attribute, targets in (("tmpfs", [t.partition(":")[0] for t in s.tmpfs]), ("volumes", [v.target for v in s.volumes])):
        for index, target in enumerate(targets):
            where = f"services.{s.name}.{attribute}[{index}]"
            if target in mounted:
                raise _Told("mounted-twice", f"{where}: target {target} already mounted as {mounted[target]}", attribute, index)
            mounted[target] = where


SERVICE_CHECKS: tuple[Callable[[Project, Service], None], ...] = (
    _check_source,
    _check_build,
    _check_networks,
    _check_healthcheck,
    _check_dependencies,
    _check_references,
    _check_scale,
    _check_limits,
    _check_watch,
    _check_targets,
)


def check_container_names(project: Project) -> None:
    """Raises SpecError when two active services want the same container_name."""
    owners: dict[str, str] = {}
    for name, service in project.services.items():
        if not service.container_name:
            continue
        other = owners.setdefault(service.container_name, name)
        if other != name:
            says = f'services.{name}: container name "{service.container_name}" is already in use by service {other}'
            raise SpecError("container-name-twice", says, place=place(project, ("services", name, "container_name")))


def check_cycles(project: Project) -> None:
    """Raises SpecError when services need each other in a circle, with the whole way round."""
    edges = {name: [o for o in s.depends_on if o in project.services] for name, s in project.services.items()}
    path = find_cycle(edges)
    if path:
        where = place(project, ("services", path[0], "depends_on", path[1])) or place(project, ("services", path[0]))
        says = f"dependency cycle detected: {' -> '.join(path)}"
        raise SpecError("dependency-cycle", says, place=where, remedy="Take one of these dependencies out.")


def find_cycle(edges: dict[str, list[str]]) -> list[str] | None:
    """The nodes of one cycle, first one repeated at the end, or None. Iterative: depth is the user's."""
    done: set[str] = set()
    for root in sorted(edges):
        if root in done:
            continue
        path, trail, around = [root], [iter(edges[root])], {root}
        while trail:
            step = next(trail[-1], None)
            if step is None:
                trail.pop()
                left = path.pop()
                around.discard(left)
                done.add(left)
            elif step in around:
                return [*path[path.index(step) :], step]
            elif step not in done and step in edges:
                path.append(step)
                around.add(step)
                trail.append(iter(edges[step]))
    return None
