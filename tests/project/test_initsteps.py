"""What a step of pre_start is made from."""

from __future__ import annotations

from compose_lite import ids
from compose_lite.project.containerspec import Instance
from compose_lite.project.initsteps import step_body, steps_of
from compose_lite.project.observe import seen
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.resources import Network
from compose_lite.spec.models.service import InitStep, Service

STEPS = [InitStep(command=["a"], environment={"B": "2"}, user="0"), InitStep(command=["b"], per_replica=True), InitStep(image="other")]
WEB = Service(name="web", image="i", environment={"A": "1", "B": "1"}, networks={"default": None}, pre_start=STEPS)
ONE = Instance(Project(name="p", services={"web": WEB}, networks={"default": Network(name="p_default")}), WEB, 0, "p-web-1")


def test_it_has_what_the_service_has_but_not_its_name() -> None:
    body = step_body(ONE, STEPS[0], "0123")
    assert body["HostConfig"] == {"Privileged": False, "VolumesFrom": ["0123"], "NetworkMode": "p_default"}
    assert body["Env"] == ["A=1", "B=2"]
    assert (body["Image"], body["User"]) == ("i", "0")
    assert body["NetworkingConfig"]["EndpointsConfig"]["p_default"]["Aliases"] == ["p-web-1"]
    assert step_body(ONE, STEPS[2], "0")["Image"] == "other"


def test_it_is_none_of_the_services_own_containers() -> None:
    row = {"Id": "0", "Names": ["/x"], "Labels": step_body(ONE, STEPS[0], "0")["Labels"]}
    assert seen(row).oneoff
    assert seen(row).hook
    assert ids.ONEOFF not in row["Labels"]


def test_once_or_per_replica() -> None:
    assert [index for index, _ in steps_of(WEB, per_replica=False)] == [0, 2]
    assert [index for index, _ in steps_of(WEB, per_replica=True)] == [1]
