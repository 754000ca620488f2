"""`down --rmi`: which images go."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite import ids
from compose_lite.cli.commands.down import images_to_remove
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Build, Service

PROJECT = Project(
    name="p",
    services={
        "web": Service(name="web", build=Build(context=".")),
        "named": Service(name="named", image="me/named:2", build=Build(context=".")),
        "db": Service(name="db", image="postgres"),
    },
)


def built(service: str, *tags: str) -> dict[str, Any]:
    return {"Labels": {ids.PROJECT: "p", ids.SERVICE: service}, "RepoTags": list(tags)}


BUILT = [built("web", "p-web:latest"), built("named", "me/named:2"), built("former", "p-former:latest"), built("web")]


@pytest.mark.parametrize(
    ("services", "all", "everything", "found"),
    [
        ([], False, False, ["me/named:2", "p-web:latest"]),
        ([], False, True, ["me/named:2", "p-former:latest", "p-web:latest"]),
        ([], True, False, ["me/named:2", "p-web:latest", "postgres:latest"]),
        (["web"], True, False, ["p-web:latest"]),
        (["db"], False, False, []),
    ],
)
def test_images_to_remove(services: list[str], all: bool, everything: bool, found: list[str]) -> None:
    assert images_to_remove(PROJECT, "p", services, [], BUILT, all, everything) == found


def test_without_a_file_what_its_containers_were_made_from() -> None:
    assert images_to_remove(None, "p", [], ["p-web", "postgres:16"], [], False, False) == ["p-web:latest"]
    assert images_to_remove(None, "p", [], ["p-web", "postgres:16"], [], True, False) == ["p-web:latest", "postgres:16"]
