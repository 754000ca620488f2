"""The dependency graph: order, levels, cycles."""

from __future__ import annotations

import pytest

from compose_lite.errors import GraphError
from compose_lite.graph.services import between, check_cycles, start_levels, stop_order, with_dependencies, with_dependents
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Dependency, Service


def project(**needs: list[str]) -> Project:
    services = {n: Service(name=n, image="i", depends_on={o: Dependency() for o in others}) for n, others in needs.items()}
    return Project(name="p", services=services)


def test_levels_put_needed_services_first() -> None:
    assert start_levels(project(web=["api"], api=["db", "cache"], db=[], cache=[])) == [["cache", "db"], ["api"], ["web"]]


def test_stop_order_is_the_other_way_round() -> None:
    assert stop_order(project(web=["api"], api=["db"], db=[])) == ["web", "api", "db"]


def test_links_shared_namespaces_and_volumes_from_are_edges() -> None:
    services = {
        "a": Service(name="a", links=["b:alias"], network_mode="service:c", volumes_from=["d:ro", "container:x"]),
        **{n: Service(name=n) for n in "bcd"},
    }
    assert with_dependencies(Project(services=services), ["a"]) == ["b", "c", "d", "a"]


def test_a_cycle_is_told_with_its_path() -> None:
    with pytest.raises(GraphError, match="dependency cycle detected: a -> b -> c -> a"):
        check_cycles(project(a=["b"], b=["c"], c=["a"], d=["a"]))
    with pytest.raises(GraphError, match="a -> a"):
        check_cycles(project(a=["a"]))


def test_selection() -> None:
    chain = project(web=["api"], api=["db"], db=[], other=[])
    assert with_dependencies(chain, ["api"]) == ["db", "api"]
    assert with_dependents(chain, ["api"]) == ["web", "api"]
    with pytest.raises(GraphError, match="no such service: apo"):
        with_dependencies(chain, ["apo"])


def test_between() -> None:
    chain = project(web=["api"], api=["db"], db=[], other=[])
    assert between(chain, ["web", "db"]) == ["web", "db", "api"]
    assert between(chain, ["web"]) == ["web"]
    assert between(chain, ["db", "other", "inactive"]) == ["db", "other", "inactive"]
    assert between(chain, []) == []
