"""From what was observed to one answer: exit statuses, signals and who sent them, starts, probes, dependencies."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.project.why import Sight, as_text, roots, why
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Dependency, Service

NOW = 1_700_000_060.0
ENDED = "2023-11-14T22:13:20Z"  # a minute before


def sight(status: str, code: int = 0, *, log: tuple[str, ...] = (), facts: dict[str, Any] | None = None, **state: Any) -> Sight:
    document = {
        "State": {"Status": status, "ExitCode": code, "FinishedAt": ENDED, **state},
        "Config": {"Cmd": ["run", "it"], "Healthcheck": {"Test": ["CMD-SHELL", "probe it"]}},
        "HostConfig": {"Memory": 8 << 20},
    }
    return Sight("p-web-1", document, facts or {}, log)


def project(*needs: str, condition: str = "service_healthy") -> Project:
    web = Service(name="web", image="i", depends_on={n: Dependency(condition=condition) for n in needs})
    services = {"web": web, **{n: Service(name=n, image="i") for n in needs}}
    return Project(name="p", services=services)


TERM = {"Number": 15, "Because": "stop", "At": "then", "Reacts": True}


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (sight("exited", 3), ["ended About a minute ago: exit status 3".lower()]),
        (sight("exited", 137, OOMKilled=True), ["its memory was used up", "its limit is 8 MiB"]),
        (sight("exited", 137, facts={"Signals": []}), ["SIGKILL", "somebody on this machine"]),
        (sight("exited", 137), ["SIGKILL", "is not known"]),
        (sight("exited", 143, facts={"Signals": [TERM]}), ["SIGTERM", "the engine sent it: a stop of it, then"]),
        (sight("exited", 139, facts={"Signals": []}), ["SIGSEGV, a crash", "the program's own doing"]),
        (sight("exited", 127), ["a program was not found: run", "try: compose-lite run --rm --entrypoint sh web"]),
        (sight("exited", 1, log=("x", "bind: Address already in use")), ["something listens on that address", "its last output:"]),
        (sight("created", 128, Error="runc create failed: failed to bind host port: address already in use"), ["could not be started",
            "failed to bind host port", "a port of the machine"]),
        (sight("restarting", 1, facts={"RestartIn": 0.4, "RestartCount": 4}), ["again and again (4 times)", "0.4 s"]),
        (sight("paused"), ["compose-lite unpause web"]),
        (sight("running", Health={"Status": "unhealthy", "FailingStreak": 3, "Log": [
            {"ExitCode": 1, "Output": "a\nconnection refused\n", "End": "1"}]}), ["3 probes failed", "refused", "-c 'probe it'"]),
        (sight("running", Health={"Status": "starting", "Log": []}, facts={"Probed": {"ExitCode": 1, "Output": "no", "End": "1"}}),
            ["not healthy yet", "status 1, no"]),
    ],
)  # fmt: skip
def test_one_container(seen: Sight, words: list[str]) -> None:
    answer = why(project(), "web", {"web": [seen]}, NOW)
    assert not answer.fine
    for word in words:
        assert word in as_text(answer)


@pytest.mark.parametrize("seen", [sight("running"), sight("running", Health={"Status": "healthy"}), sight("exited", 0)])
def test_fine(seen: Sight) -> None:
    assert why(project(), "web", {"web": [seen]}, NOW).fine


def test_the_worst_replica_answers() -> None:
    answer = why(project(), "web", {"web": [sight("running"), sight("exited", 9), sight("running")]}, NOW)
    assert "exit status 9" in answer.says


def test_a_dependency_and_its_own_why() -> None:
    waiting, failed = sight("created"), sight("exited", 5)
    answer = why(project("db"), "web", {"web": [waiting], "db": [failed]}, NOW)
    assert [other.service for other in answer.after] == ["db"]
    assert "because it needs:\n  db has ended" in as_text(answer)
    assert [one.service for one in roots([answer])] == ["db"]
    assert why(project("db"), "web", {"db": [failed]}, NOW).says == "has no container"


def test_a_profile_that_is_off() -> None:
    off = Project(name="p", disabled_services={"web": Service(name="web", image="i", profiles=["debug"])})
    assert why(off, "web", {}, NOW).next == ("compose-lite --profile debug up -d web",)
