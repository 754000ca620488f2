"""What counts as a change of a service."""

from __future__ import annotations

from compose_lite.project.confighash import network_hash, service_hash, volume_hash
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models.resources import Network, Volume
from compose_lite.spec.models.service import Build, Dependency, Deploy, Service, changed

WEB = Service(name="web", image="a", environment={"B": "1", "A": "2"})


def test_what_a_container_is_made_of_counts() -> None:
    assert service_hash(WEB) == service_hash(Service(name="web", environment={"A": "2", "B": "1"}, image="a"))
    assert service_hash(WEB) != service_hash(changed(WEB, image="b"))
    assert service_hash(WEB) != service_hash(changed(WEB, environment={"A": "2"}))
    assert service_hash(WEB) != service_hash(changed(WEB, command=[]))


def test_the_rest_does_not() -> None:
    other = changed(WEB, build=Build(context="/x"), scale=3, pull_policy="always", profiles=["p"], depends_on={"db": Dependency()})
    assert service_hash(other) == service_hash(WEB)
    one, two = (changed(WEB, deploy=Deploy(replicas=n)) for n in (1, 2))
    assert service_hash(one) == service_hash(two)


def test_networks_and_volumes() -> None:
    assert network_hash(Network(name="n")) != network_hash(Network(name="n", internal=True))
    assert volume_hash(Volume(name="v")) == volume_hash(Volume(name="v", driver="local"))


def test_the_hash_is_that_of_docker_compose() -> None:
    """As `docker compose config --hash web` (2.40) prints it: a project can change hands without being made anew."""
    text = "services: {web: {image: nginx, ports: ['80:80'], environment: {A: '1'}}}"
    project = load(LoadOptions({}, "/", files=("-",), project_name="hash-all", stdin=lambda: text)).project
    assert service_hash(project.services["web"]) == "643e85f4c96f47bc440c620ffb79bac6e7b8962210a96fa2eb35d26ac467d22d"
