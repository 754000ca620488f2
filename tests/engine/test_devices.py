"""Which nodes of the machine a container gets."""

from __future__ import annotations

from compose_lite.engine.devices import devices_of


def test_a_privileged_container_has_what_it_asks_for_under_another_name_too() -> None:
    wish = {"Privileged": True, "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/deep/null"}]}
    paths = [device.path for device in devices_of(wish)]
    assert {"/dev/null", "/dev/deep/null"} <= set(paths)
    assert [device.path for device in devices_of({**wish, "Privileged": False})] == ["/dev/deep/null"]
