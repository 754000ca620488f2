"""A create request over the image's configuration, as Docker's inspect shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose_lite.engine import creation, ociconfig
from compose_lite.engine.defaults import MASKED
from compose_lite.engine.devices import disk_numbers
from compose_lite.engine.runs import start_status
from compose_lite.errors import EngineError
from compose_lite.runtime.answers import StartFailed

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
    assert host["CapAdd"] == ["ALL", "CAP_NET_ADMIN"]
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


def test_what_was_not_asked_for_is_null() -> None:
    """As Docker's inspect shows it; what was asked for, empty or not, is shown as it came."""
    host = creation.host_config_of({"HostConfig": {"Dns": [], "Mounts": [], "StorageOpt": {}, "Links": []}}, 2)[0]
    null = "DnsOptions DnsSearch BlkioWeightDevice BlkioDeviceReadBps Devices Ulimits PortBindings Links VolumesFrom Binds CapAdd".split()
    assert [host[key] for key in null] == [None] * len(null)
    assert host["Dns"] == [] and "Mounts" not in host and "StorageOpt" not in host and host["Runtime"] == ""
    mounts = [{"Type": "tmpfs", "Source": "", "Target": "/t", "ReadOnly": False}]
    host = creation.host_config_of({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8"}], "81/tcp": None}, "Mounts": mounts}}, 2)[
        0
    ]
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8"}], "81/tcp": []}
    assert host["Mounts"] == [{"Type": "tmpfs", "Target": "/t"}]
    config = creation.config_of({"Healthcheck": {"Test": ["CMD", "a"], "Interval": 0, "Retries": 2}, "ExposedPorts": {}}, {}, "0" * 64, "m")
    assert config["Healthcheck"] == {"Test": ["CMD", "a"], "Retries": 2} and "ExposedPorts" not in config


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


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"Hostname": "named"}, "hostname and the network mode"),
        ({"ExposedPorts": {"80/tcp": {}}}, "port exposing and the container type network mode"),
        ({"HostConfig": {"Links": ["a:b"]}}, "can't be used with links"),
        ({"HostConfig": {"Dns": ["1.2.3.4"]}}, "dns and the network mode"),
        ({"HostConfig": {"ExtraHosts": ["a:1.2.3.4"]}}, "custom host-to-IP mapping and the network mode"),
        ({"HostConfig": {"PortBindings": {"80/tcp": [{}]}}}, "port publishing and the container type network mode"),
    ],
)
def test_what_a_shared_network_already_has(more: dict[str, Any], says: str) -> None:
    body = {**more, "HostConfig": {"NetworkMode": "container:x", **more.get("HostConfig", {})}}
    with pytest.raises(EngineError, match=f"conflicting options: .*{says}"):
        creation.host_config_of(body, 1)
    creation.host_config_of({**body, "HostConfig": {**body["HostConfig"], "NetworkMode": "bridge"}}, 1)


@pytest.mark.parametrize(
    ("status", "says", "found"),
    [
        (128, 'error mounting "x": not a directory: Are you trying', 127),
        (128, "open /proc/sys/net/x: no such file or directory", 127),
        (128, "invalid argument", 128),
        (126, "permission denied", 126),
    ],
)
def test_the_status_of_a_start_that_failed(status: int, says: str, found: int) -> None:
    assert start_status(StartFailed(status, says)) == found


def test_memory_that_is_too_little() -> None:
    for key, what in (("Memory", "limit"), ("MemoryReservation", "reservation")):
        with pytest.raises(EngineError, match=f"Minimum memory {what} allowed is 6MB"):
            creation.host_config_of({"HostConfig": {key: 2**20}}, 1)


def test_rates_are_for_disks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="file is no disk"):
        disk_numbers({"BlkioDeviceReadBps": [{"Path": str(tmp_path / "file"), "Rate": 1}]})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "nothing"}, "logging mode not supported: nothing"),
        ({"max-buffer-size": "1m"}, "max-buffer-size option is only supported with"),
        ({"compress": "true"}, "compress cannot be true"),
        ({"compress": "true", "max-size": "1m"}, "compress cannot be true"),
        ({"compress": "true", "max-file": "2"}, "compress cannot be true"),
    ],
)
def test_log_options_that_contradict_each_other(options: dict[str, str], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        creation.host_config_of({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": options}}}, 1)


@pytest.mark.parametrize(
    "options", [{"mode": "non-blocking", "max-buffer-size": "1m"}, {"compress": "true", "max-size": "1m", "max-file": "2"}]
)
def test_log_options_that_go_together(options: dict[str, str]) -> None:
    creation.host_config_of({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": options}}}, 1)


def test_a_name_server_is_an_address() -> None:
    creation.host_config_of({"HostConfig": {"Dns": ["1.2.3.4", "2001:db8::1"]}}, 1)
    with pytest.raises(EngineError, match="bad nameserver address x"):
        creation.host_config_of({"HostConfig": {"Dns": ["x"]}}, 1)


def test_a_check_that_is_taken_away_keeps_its_times() -> None:
    image = {"Test": ["CMD", "true"], "Interval": 5}
    assert creation.merge_healthcheck(image, {"Test": ["NONE"]}) == {"Test": ["NONE"], "Interval": 5}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NOPE", "cannot kill container: web: invalid signal: NOPE"),
        ("99", "cannot kill container: web: the linux daemon does not support signal 99"),
        ("-1", "cannot kill container: web: the linux daemon does not support signal -1"),
        ("32", "cannot kill container: web: the linux daemon does not support signal 32"),
        ("RTMIN+16", "cannot kill container: web: invalid signal: RTMIN+16"),
        ("0", "cannot kill container: web: invalid signal: 0"),
    ],
)
def test_signals_that_are_none(name: str, says: str) -> None:
    with pytest.raises(EngineError) as caught:
        creation.asked_signal(name, "cannot kill container: web")
    assert (caught.value.says, caught.value.http_status) == (says, 400)


def test_a_stop_signal_may_be_any_number() -> None:
    """Docker asks the kernel when it stops, and not before."""
    for word in ("99", "-1", "33", "RTMIN+3"):
        assert creation.config_of({"StopSignal": word, "Cmd": ["x"]}, {}, "1" * 64, "m")["StopSignal"] == word
    with pytest.raises(EngineError, match=r"^invalid signal: SIGRTMIN\+16"):
        creation.config_of({"StopSignal": "SIGRTMIN+16", "Cmd": ["x"]}, {}, "1" * 64, "m")


@pytest.mark.parametrize("key", ["ipv4.conf.eth0.rp_filter", "ipv6.neigh.eth1.x"])
def test_sysctls_of_an_interface_are_its_endpoints_matter(key: str) -> None:
    creation.host_config_of({"HostConfig": {"Sysctls": {"net.ipv4.conf.all.x": "1", "net.core.somaxconn": "1"}}}, 1)
    with pytest.raises(EngineError, match=r"interface specific sysctl setting .* must be supplied using driver option"):
        creation.host_config_of({"HostConfig": {"Sysctls": {f"net.{key}": "1"}}}, 1)
