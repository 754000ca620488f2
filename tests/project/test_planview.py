"""A plan as a diff: which key changed at which line, what follows, and the sum."""

from __future__ import annotations

import json
from pathlib import Path

from compose_lite import ids
from compose_lite.project.confighash import configuration, network_hash, service_hash
from compose_lite.project.observe import Seen, Snapshot
from compose_lite.project.planview import Facts, Known, View, as_json, as_text, view
from compose_lite.project.reconcile import Wishes, reconcile
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models.project import Project

BEFORE = """\
services:
  web:
    image: i
    environment:
      A: "1"
  api:
    image: i
    depends_on:
      web: {condition: service_started, restart: true}
  old: {image: i}
"""
AFTER = BEFORE.replace('"1"', '"2"').replace("  old: {image: i}\n", "  new: {image: i}\n")


def project(folder: Path, text: str) -> Project:
    (folder / "compose.yaml").write_text(text)
    return load(LoadOptions(environ={}, cwd=str(folder), project_name="p")).project


def running(made: Project) -> Snapshot:
    network = made.networks["default"]
    labels = {ids.NETWORK: "default", ids.PROJECT: "p", ids.CONFIG_HASH: network_hash(network)}
    mounts = [{"Type": "volume", "Name": "0", "Destination": "/anon"}]
    containers = tuple(
        Seen(f"id-{s.name}", f"p-{s.name}-1", s.name, 1, "running", "", 0, "i", "", {ids.CONFIG_HASH: service_hash(s)}, {"Mounts": mounts})
        for s in made.services.values()
    )
    return Snapshot(containers, {network.name: {"Name": network.name, "Id": "n", "Labels": labels}})


def seen_through(folder: Path, *, kept: bool) -> View:
    made = project(folder, BEFORE)
    snapshot, before = running(made), configuration(made.services["web"])
    wanted = project(folder, AFTER)
    plan = reconcile(wanted, snapshot, Wishes(remove_orphans=True))
    known = {"id-web": Known(before, configuration(wanted.services["web"]))} if kept else {}
    return view(wanted, snapshot, plan, Facts(known=known))


def test_what_changed_where_and_what_follows(tmp_path: Path) -> None:
    found = seen_through(tmp_path, kept=True)
    assert as_text(found, str(tmp_path)) == (
        "+ create container p-new-1\n"
        "~ recreate container p-web-1: configuration changed\n"
        '    compose.yaml:5  environment.A  "1" -> "2"\n'
        "    keeps its anonymous volumes: /anon\n"
        "- remove container p-old-1: orphan\n"
        "> restart container p-api-1: web is recreated\n"
        "Containers: 1 to create, 1 to recreate, 1 to restart, 1 to remove, 0 unchanged.\n"
    )
    row = next(r for r in json.loads(as_json(found))["actions"] if r["action"] == "recreate")
    assert row["differences"] == [
        {"path": "environment.A", "file": f"{tmp_path}/compose.yaml", "line": 5, "column": 10, "before": "1", "after": "2"}
    ]


def test_words_where_only_the_hash_is_known(tmp_path: Path) -> None:
    assert "which key changed is not known" in as_text(seen_through(tmp_path, kept=False), str(tmp_path))


def test_nothing_to_do(tmp_path: Path) -> None:
    made = project(tmp_path, BEFORE)
    found = view(made, running(made), reconcile(made, running(made), Wishes()), Facts())
    assert not found.changes
    assert as_text(found, str(tmp_path)) == "Nothing to do: 3 containers are as the file says.\n"
