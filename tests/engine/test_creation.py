"""A create request over the image's configuration, as Docker's inspect shows it."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.engine import creation, ociconfig
from compose_lite.engine.defaults import MASKED
from compose_lite.errors import EngineError

IMAGE = {"Entrypoint": ["start"], "Cmd": ["one", "two"]}


@pytest.mark.parametrize(
    ("wish", "entrypoint", "command"),
    [
        ({}, ["start"], ["one", "two"]),
        ({"Cmd": ["mine"]}, ["start"], ["mine"]),
        ({"Cmd": []}, ["start"], ["one", "two"]),
        ({"Entrypoint": ["own"]}, ["own"], None),
        ({"Entrypoint": []}, [], ["one", "two"]),
        ({"Entrypoint": [], "Cmd": ["mine"]}, [], ["mine"]),
        ({"Entrypoint": [""]}, None, None),
        ({"Entrypoint": "", "Cmd": ["mine"]}, None, ["mine"]),
    ],
)
def test_what_is_run(wish: dict[str, Any], entrypoint: list[str] | None, command: list[str] | None) -> None:
    config = creation.config_of(wish, IMAGE, "c0ffee", "machine")
    assert (config["Entrypoint"], config["Cmd"]) == (entrypoint, command)


@pytest.mark.parametrize(("wish", "shown"), [("", ""), ("/a/../b/./c/", "/b/c"), ("//a", "/a"), ("/..", "/")])
def test_a_working_folder_is_shown_without_detours(wish: str, shown: str) -> None:
    assert creation.config_of({"WorkingDir": wish}, {}, "c0ffee", "machine")["WorkingDir"] == shown


def test_the_services_variables_come_first_and_a_bare_name_stays() -> None:
    config = creation.config_of({"Env": ["B=1", "A=2", "B=3", "GONE"]}, {"Env": ["PATH=/bin", "A=1", "GONE=1"]}, "c0ffee", "machine")
    assert config["Env"] == ["B=3", "A=2", "GONE", "PATH=/bin"]
    assert not [entry for entry in ociconfig.environment(config, "h", "/root") if entry.startswith("GONE")]


def test_capabilities_are_shown_once() -> None:
    host, _ = creation.host_config_of({"HostConfig": {"CapAdd": ["net_admin", "CAP_NET_ADMIN", "all"]}}, 1)
    assert host["CapAdd"] == ["CAP_NET_ADMIN", "ALL"]
    with pytest.raises(EngineError, match='invalid CapDrop: unknown capability: "CAP_ALL"'):
        creation.host_config_of({"HostConfig": {"CapDrop": ["CAP_ALL"]}}, 1)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ({}, None),
        ({"Privileged": True}, ["label=disable"]),
        ({"PidMode": "host", "SecurityOpt": ["seccomp=unconfined"]}, ["seccomp=unconfined", "label=disable"]),
        ({"IpcMode": "host", "SecurityOpt": ["label=disable"]}, ["label=disable"]),
        ({"IpcMode": "shareable"}, None),
    ],
)
def test_who_sees_the_machine_has_no_label(host: dict[str, Any], shown: list[str] | None) -> None:
    assert creation.host_config_of({"HostConfig": host}, 1)[0]["SecurityOpt"] == shown


def test_nothing_is_masked_for_the_privileged() -> None:
    host, _ = creation.host_config_of({"HostConfig": {"Privileged": True}}, 1)
    assert host["MaskedPaths"] is None and host["ReadonlyPaths"] is None
    assert creation.host_config_of({}, 1)[0]["MaskedPaths"] == list(MASKED)


@pytest.mark.parametrize(
    ("host", "name"),
    [({}, "c0ffee"), ({"UTSMode": "host"}, "c0ffee"), ({"NetworkMode": "host"}, "machine"), ({"PidMode": "host"}, "c0ffee")],
)
def test_only_who_shares_the_machines_network_is_called_as_the_machine(host: dict[str, Any], name: str) -> None:
    assert creation.config_of({"HostConfig": host}, {}, "c0ffee", "machine")["Hostname"] == name


@pytest.mark.parametrize("host", [{"PidMode": "private"}, {"IpcMode": "nothing"}, {"UTSMode": "private"}, {"CgroupnsMode": "nothing"}])
def test_modes_that_there_are_not(host: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=r"invalid (PID|IPC|UTS|cgroup namespace) mode"):
        creation.host_config_of({"HostConfig": host}, 1)
