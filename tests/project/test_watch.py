"""develop.watch: which rule takes which path, and what it asks for."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.errors import ProjectError
from compose_lite.project.watch import Rule, initial, rules_of, work
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Build, Develop, Hook, Service, Trigger, VolumeMount


def project(*triggers: Trigger, **more: Any) -> Project:
    return Project(name="p", services={"web": Service(name="web", develop=Develop(watch=list(triggers)), **more)})


def rules(*triggers: Trigger, dockerignore: str = "", **more: Any) -> list[Rule]:
    return rules_of(project(*triggers, **more), ["web"], lambda _: dockerignore)[0]


SYNC = Trigger(path="/src", action="sync", target="/app", ignore=["*.log", "tmp/"])


@pytest.mark.parametrize(
    ("path", "taken"),
    [("/src", True), ("/src/a/b.py", True), ("/srcs/a", False), ("/src/x.log", False), ("/src/tmp/f", False), ("/src/.git/HEAD", False)],
)
def test_what_a_rule_takes(path: str, taken: bool) -> None:
    assert rules(SYNC)[0].takes(path) is taken


def test_include_and_dockerignore() -> None:
    assert [rules(Trigger(path="/s", action="sync", target="/a", include=["**/*.py"]))[0].takes(p) for p in ("/s/d/a.py", "/s/b")] == [
        True,
        False,
    ]
    rule = rules(Trigger(path="/c", action="rebuild"), build=Build(context="/c"), dockerignore="node_modules")[0]
    assert not rule.takes("/c/node_modules/x") and rule.takes("/c/x")


def test_what_changes_ask_for() -> None:
    hook = Hook(command=["reload"])
    every = rules(
        SYNC,
        Trigger(path="/src/conf", action="sync+restart", target="/conf"),
        Trigger(path="/src/e", action="sync+exec", target="/e", exec=hook),
    )
    todo = work(every, ["/src/a", "/src/conf", "/src/e", "/elsewhere"])
    assert todo.sync == {"web": {"/app/a": "/src/a", "/app/conf": "/src/conf", "/conf": "/src/conf", "/app/e": "/src/e", "/e": "/src/e"}}
    assert (todo.restart, todo.run, todo.rebuild) == ({"web"}, {"web": [hook]}, set())


def test_a_rebuild_needs_nothing_else() -> None:
    todo = work(rules(SYNC, Trigger(path="/src/Dockerfile", action="rebuild"), build=Build(context="/src")), ["/src/Dockerfile", "/src/a"])
    assert todo.rebuild == {"web"} and not todo.sync


def test_initial_sync() -> None:
    once = rules(Trigger(path="/s", action="sync", target="/a", initial_sync=True), SYNC)
    assert initial(once, {"/s": ["/s/x", "/s/.git/y"], "/src": ["/src/z"]}).sync == {"web": {"/a/x": "/s/x"}}


def test_what_cannot_be_watched() -> None:
    with pytest.raises(ProjectError, match="without a build context"):
        rules(Trigger(path="/s", action="rebuild"))
    with pytest.raises(ProjectError, match="configured for watch"):
        rules()
    bound = project(SYNC, Trigger(path="/x", action="restart"), volumes=[VolumeMount(type="bind", source="/src", target="/app")])
    found, warnings = rules_of(bound, ["web"], lambda _: "")
    assert [r.action for r in found] == ["restart"] and "bind mount" in warnings[0]
