"""Pictures of a project: the same content in every format, and a drawing that can be read with 50 services."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

from compose_lite.graph.dot import dot, mermaid
from compose_lite.graph.layers import layers
from compose_lite.graph.picture import Picture, Wishes, picture
from compose_lite.graph.svg import _placed, _volume_spots, svg
from compose_lite.graph.tree import inactive, tree
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Dependency, PortConfig, Service, VolumeMount


def shop() -> Picture:
    healthy, optional = Dependency(condition="service_healthy"), Dependency(required=False)
    services = {
        "web": Service(
            name="web",
            depends_on={"api": healthy, "db": optional},
            ports=[PortConfig(target=80, published="8080")],
            networks={"front": None},
        ),
        "api": Service(name="api", depends_on={"db": Dependency()}, scale=3, networks={"front": None}),
        "db": Service(name="db", volumes=[VolumeMount(type="volume", source="data", target="/d")]),
        "alone": Service(name="alone"),
    }
    return picture(Project(name="shop", services=services), Wishes(ports=True, volumes=True, networks=True))


def crowd(count: int = 50) -> Picture:
    services = {
        f"service-{n}": Service(name=f"service-{n}", depends_on={f"service-{o}": Dependency() for o in {n // 2, n // 3} if o < n})
        for n in range(1, count + 1)
    }
    services["service-1"] = Service(name="service-1")
    services = {
        n: s.model_copy(update={"depends_on": {o: d for o, d in s.depends_on.items() if o in services}}) for n, s in services.items()
    }
    return picture(Project(name="crowd", services=services), Wishes())


def test_tree() -> None:
    assert tree(shop()) == (
        "shop\n"
        "├─ web  8080→80  networks: front\n"
        "│  ├─ api (healthy)  ×3  networks: front\n"
        "│  │  └─ db  volumes: data\n"
        "│  └─ db (optional)\n"
        "└─ alone\n"
    )
    assert tree(shop(), ascii=True).isascii() is False  # `×3` is content
    assert "|- web  8080->80" in tree(shop(), ascii=True)


def test_services_of_inactive_profiles_are_named() -> None:
    off = {"cli": Service(name="cli", profiles=["tools", "dev"]), "unchosen": Service(name="unchosen")}
    assert inactive(Project(name="p", disabled_services=off)) == "by profile: cli (tools, dev)\n"
    assert inactive(Project(name="p")) == ""


def test_a_tree_unfolds_each_service_once() -> None:
    lines = tree(crowd()).splitlines()
    assert len(lines) <= 1 + 50 + len(crowd().arrows)
    chain = {f"s{n}": Service(name=f"s{n}", depends_on={f"s{n + 1}": Dependency()} if n < 1500 else {}) for n in range(1501)}
    assert len(tree(picture(Project(name="p", services=chain), Wishes())).splitlines()) == 1502


def test_dot_and_mermaid() -> None:
    text = dot(shop())
    assert '"web" -> "api" [label="healthy"];' in text and '"web" -> "db" [style=dashed];' in text
    assert '"volume data" [label="data", shape=cylinder' in text
    assert 's3["web<br/>8080→80"]' in mermaid(shop()) and 's3 -->|"healthy"| s1' in mermaid(shop())
    hostile = Picture('a"b', {}, (), ())
    assert 'digraph "a\\"b"' in dot(hostile)


def test_svg_is_well_formed_and_shows_all() -> None:
    root = ElementTree.fromstring(svg(shop()))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"shop", "web", "api ×3", "db", "alone", "8080→80", "⛁ data", "front", "healthy"} <= texts
    ElementTree.fromstring(svg(picture(Project(name="<&>"), Wishes())))


def test_no_box_of_fifty_covers_another_and_no_arrow_points_left() -> None:
    found = crowd()
    placed = _placed(found, layers(found), _volume_spots(found))
    for (_, a), (_, b) in combinations(placed.items(), 2):
        assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    assert all(placed[arrow.source].x < placed[arrow.target].x for arrow in found.arrows)
