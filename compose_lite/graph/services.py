"""Who needs whom: the services of a project as a directed graph, and what follows from it.

An edge a -> b says that a needs b: by depends_on, links, `network_mode|ipc|pid: service:b`, volumes_from. Each edge keeps
its Dependency (`graph.edges[a, b]["dependency"]`). Pure; never starts anything.

networkx is imported where there is an edge to follow: it is the dearest of our packages (13 MB, 70 ms), and a project whose
services need nobody has one level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from compose_lite.errors import GraphError, Place, nearest
from compose_lite.spec.check import find_cycle
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Dependency, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    import networkx as nx

SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")
"""Attributes that may say `service:NAME`."""


def needs(service: Service) -> dict[str, Dependency]:
    """What this service needs, by name; depends_on wins over what is implied."""
    found = dict(service.depends_on)
    for link in service.links:
        found.setdefault(link.split(":", 1)[0], Dependency(restart=True))
    for attribute in SHARED:
        value: str = getattr(service, attribute)
        if value.startswith("service:"):
            found.setdefault(value.removeprefix("service:"), Dependency(restart=True))
    for source in service.volumes_from:
        if not source.startswith("container:"):
            found.setdefault(source.split(":", 1)[0], Dependency())
    return found


def dependencies(project: Project) -> nx.DiGraph:
    """The graph of the active services; edges to services that are not active are left out."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(sorted(project.services))
    for name, service in project.services.items():
        for other, dependency in needs(service).items():
            if other in project.services:
                graph.add_edge(name, other, dependency=dependency)
    return graph


def check_cycles(project: Project) -> None:
    """Raises GraphError with the whole way round, `a -> b -> a`, and where its first step is written."""
    edges = {name: [o for o in needs(s) if o in project.services] for name, s in project.services.items()}
    path = find_cycle(edges)
    if path:
        raise cycle_error(path, _step_place(project, path[0], path[1]))


def cycle_error(path: list[str], where: Place | None) -> GraphError:
    return GraphError(
        "dependency-cycle",
        f"dependency cycle detected: {' -> '.join(path)}",
        place=where,
        remedy="Take one of these dependencies out.",
    )


def start_levels(project: Project) -> list[list[str]]:
    """Services that can start side by side: level 0 needs nobody, each later level needs only earlier ones."""
    return _levels(project, lambda graph: graph.reverse(copy=False))


def start_order(project: Project) -> list[str]:
    """All active services, what is needed first; by name where nothing else decides."""
    return [name for level in start_levels(project) for name in level]


def stop_levels(project: Project) -> list[list[str]]:
    """The levels the other way round: first those that nobody needs."""
    return _levels(project, lambda graph: graph)


def stop_order(project: Project) -> list[str]:
    return [name for level in stop_levels(project) for name in level]


def with_dependencies(project: Project, names: Iterable[str]) -> list[str]:
    """The named services and all that they need, in start order. Raises GraphError for an unknown name."""
    wanted = _reached(project, names, lambda graph: graph)
    return [name for name in start_order(project) if name in wanted]


def with_dependents(project: Project, names: Iterable[str]) -> list[str]:
    """The named services and all that need them, in stop order."""
    wanted = _reached(project, names, lambda graph: graph.reverse(copy=False))
    return [name for name in stop_order(project) if name in wanted]


def between(project: Project, names: Sequence[str]) -> list[str]:
    """The names, and the active services that one of them needs and that need another of them."""
    active = [name for name in names if name in project.services]
    inner = set(with_dependents(project, active)) & set(with_dependencies(project, active)) if len(active) > 1 else set()
    return [*names, *(name for name in project.services if name in inner and name not in names)]


def known(project: Project, names: Iterable[str]) -> Iterator[str]:
    """The names, each checked to be an active service."""
    for name in names:
        if name not in project.services:
            raise GraphError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.services))
        yield name


def _levels(project: Project, turned: Callable[[nx.DiGraph], nx.DiGraph]) -> list[list[str]]:
    """Of the turned graph: first those to whom no edge leads."""
    if not _has_edges(project):
        return [sorted(project.services)] if project.services else []
    import networkx as nx

    check_cycles(project)
    return [sorted(level) for level in nx.topological_generations(turned(dependencies(project)))]


def _reached(project: Project, names: Iterable[str], turned: Callable[[nx.DiGraph], nx.DiGraph]) -> set[str]:
    """The names and all to whom edges of the turned graph lead from them."""
    wanted = set(known(project, names))
    if not _has_edges(project):
        return wanted
    import networkx as nx

    graph = turned(dependencies(project))
    return wanted.union(*(nx.descendants(graph, name) for name in wanted))


def _has_edges(project: Project) -> bool:
    return any(other in project.services for service in project.services.values() for other in needs(service))


def _step_place(project: Project, name: str, other: str) -> Place | None:
    for path in (("depends_on", other), ("links",), *((a,) for a in SHARED), ("volumes_from",)):
        where = place(project, ("services", name, *path))
        if where:
            return where
    return place(project, ("services", name))
