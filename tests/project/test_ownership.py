"""Whose containers they are: folders that are there, moved, linked, and files that both have."""

from __future__ import annotations

import pytest

from compose_lite import ids
from compose_lite.project.observe import Seen
from compose_lite.project.ownership import foreign, refusal, touched
from compose_lite.project.plan import CreateContainer, Keep, Plan, RemoveContainer
from compose_lite.spec.models.project import Project

ON_DISK = {"/a/app": "/a/app", "/a/app/c.yaml": "/a/app/c.yaml", "/b/app": "/b/app", "/b/app/c.yaml": "/b/app/c.yaml",
           "/link": "/a/app", "/link/c.yaml": "/a/app/c.yaml"}  # fmt: skip
OURS = Project(name="app", working_dir="/a/app", compose_files=("/a/app/c.yaml",))


def made_in(folder: str, files: str) -> Seen:
    labels = {ids.WORKING_DIR: folder, ids.CONFIG_FILES: files}
    return Seen("1", "app-web-1", "web", 1, "running", "", 0, "i", "", labels, {})


@pytest.mark.parametrize(
    ("folder", "files", "is_foreign"),
    [
        ("/a/app", "/a/app/c.yaml", False),
        ("/b/app", "/b/app/c.yaml", True),
        ("/link", "/link/c.yaml", False),  # the same folder by another name
        ("/gone/app", "/gone/app/c.yaml", False),  # moved or deleted
        ("/b/app", "/b/app/gone.yaml", False),  # a folder without those files
        ("/b/app", "/a/app/c.yaml,/b/app/c.yaml", False),  # one file in common: --project-directory
        ("", "", False),  # made by something else
    ],
)
def test_foreign(folder: str, files: str, is_foreign: bool) -> None:
    assert bool(foreign(OURS, [made_in(folder, files)], ON_DISK.get)) is is_foreign


def test_only_what_the_plan_ends_counts() -> None:
    seen = made_in("/b/app", "/b/app/c.yaml")
    kept, removed, replaced = Plan(), Plan(), Plan()
    kept.add(Keep("web", "app-web-1", "1"))
    removed.add(RemoveContainer("1", "app-web-1", "web"))
    replaced.add(CreateContainer("web", 1, "app-web-1", "1", "app-web-1"))
    assert [bool(touched(plan, [seen])) for plan in (kept, removed, replaced)] == [False, True, True]
    assert "compose-lite -f /b/app/c.yaml down" in str(refusal(OURS, [seen]))
