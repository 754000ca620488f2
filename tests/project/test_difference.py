"""Which keys differ: lists by their entries, words as one value, and what another engine's inspect document shows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.project.containerspec import Instance, create_body
from compose_lite.project.difference import MISSING, Change, changes, comparable, shown_by
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import PortConfig, Service, VolumeMount


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": None, "b": []}, {}, []),
        ({"e": {"A": "1", "B": "2"}}, {"e": {"A": "2", "C": "3"}}, [
            Change(("e", "A"), "1", "2"), Change(("e", "B"), "2", MISSING), Change(("e", "C"), MISSING, "3"),
        ]),
        ({"command": ["sleep", "1"]}, {"command": ["sleep", "2"]}, [Change(("command",), ["sleep", "1"], ["sleep", "2"])]),
        (
            {"ports": [{"target": 80, "published": "1"}, {"target": 90}]},
            {"ports": [{"target": 90}, {"target": 80, "published": "2"}, {"target": 70}]},
            [Change(("ports", 1, "published"), "1", "2"), Change(("ports", 2), MISSING, {"target": 70})],
        ),
        ({"volumes": [{"target": "/a"}]}, {"volumes": [{"target": "/b"}]}, [
            Change(("volumes", 0), MISSING, {"target": "/b"}), Change(("volumes",), {"target": "/a"}, MISSING),
        ]),
    ],
)  # fmt: skip
def test_changes(before: Any, after: Any, found: list[Change]) -> None:
    assert changes(before, after) == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "target", "source"]), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert changes(value, value) == []


def test_another_engine_shows_what_the_service_said_and_no_more() -> None:
    service = Service(
        name="web", image="i", environment={"A": "2"}, cap_add=["NET_RAW"], ports=[PortConfig(target=80, published="81")],
        volumes=[VolumeMount(type="volume", source="d", target="/d")],
    )  # fmt: skip
    one = Instance(Project(name="p", services={"web": service}), service, 1, "p-web-1")
    inspected = {
        "Config": {
            "Image": "i", "Env": ["A=1", "GONE=1", "PATH=/bin"], "Cmd": ["run"], "Entrypoint": None, "Hostname": "0123",
            "Labels": {"com.docker.compose.project": "p", "vendor": "x"},
        },
        "HostConfig": {
            "CapAdd": ["CAP_NET_RAW"], "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "ShmSize": 67108864,
        },
        "Mounts": [{"Type": "volume", "Name": "d", "Destination": "/d", "RW": True}, {"Type": "volume", "Name": "0", "Destination": "/x"}],
    }  # fmt: skip
    image = {"Config": {"Env": ["PATH=/bin"], "Cmd": ["run"], "Labels": {"vendor": "x"}}}
    assert changes(shown_by(inspected, image, create_body(one)), comparable(one)) == [
        Change(("environment", "A"), "1", "2"),
        Change(("environment", "GONE"), "1", MISSING),
        Change(("ports",), ["80:80/tcp"], ["81:80/tcp"]),
    ]
