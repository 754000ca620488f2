"""From Docker's wishes to the OCI runtime config: what is asked for, and that a default is never relaxed unasked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.engine import creation, defaults, ociconfig
from compose_lite.engine.users import User
from compose_lite.errors import EngineError
from compose_lite.subordinate import Remapping
from tests.engine.made import ID, around, container

DEFAULTS = set(defaults.CAPABILITIES)


def config(host: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return ociconfig.oci_config(container(host), around(**more))[0]


def mount(config: dict[str, Any], destination: str) -> dict[str, Any]:
    (found,) = [m for m in config["mounts"] if m["destination"] == destination]
    return found


def test_what_nobody_asked_for_is_the_default() -> None:
    made = config()
    assert set(made["process"]["capabilities"]["bounding"]) == DEFAULTS
    assert made["process"]["capabilities"]["effective"] == made["process"]["capabilities"]["bounding"]
    assert made["process"]["capabilities"]["inheritable"] == [] == made["process"]["capabilities"]["ambient"]
    assert not made["process"]["noNewPrivileges"] and not made["root"]["readonly"]
    assert made["linux"]["maskedPaths"] == list(defaults.MASKED) and made["linux"]["readonlyPaths"] == list(defaults.READONLY)
    assert made["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {n["type"] for n in made["linux"]["namespaces"]} == {"mount", "network", "pid", "ipc", "uts", "cgroup"}
    assert set(made["linux"]["resources"]) == {"devices"} and made["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert mount(made, "/sys")["options"][-1] == "ro"
    assert made["process"]["env"] == [defaults.PATH, "HOSTNAME=c0ffee000000"]


@pytest.mark.parametrize(
    ("add", "drop", "wanted"),
    [
        (["NET_ADMIN"], [], DEFAULTS | {"CAP_NET_ADMIN"}),
        (["cap_sys_time"], ["chown", "CAP_KILL"], (DEFAULTS | {"CAP_SYS_TIME"}) - {"CAP_CHOWN", "CAP_KILL"}),
        ([], ["ALL"], set()),
        (["NET_RAW"], ["ALL"], {"CAP_NET_RAW"}),
        (["ALL"], ["SYS_ADMIN"], {"CAP_CHOWN", "CAP_NET_ADMIN"}),
    ],
)
def test_capabilities(add: list[str], drop: list[str], wanted: set[str]) -> None:
    held = (
        [*DEFAULTS, "CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_SYS_ADMIN"]
        if "ALL" not in add
        else ["CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"]
    )
    assert set(ociconfig.capabilities({"CapAdd": add, "CapDrop": drop}, held)) == wanted


def test_nothing_is_given_that_the_engine_does_not_hold() -> None:
    assert ociconfig.capabilities({"CapAdd": ["NET_ADMIN"]}, ["CAP_CHOWN"]) == ["CAP_CHOWN"]
    assert ociconfig.capabilities({"Privileged": True}, ["CAP_CHOWN"]) == ["CAP_CHOWN"]


def test_other_users_have_capabilities_only_in_the_bounding_set() -> None:
    sets = config(user=User(1000, 1000))["process"]["capabilities"]
    assert set(sets["bounding"]) == DEFAULTS and sets["effective"] == sets["permitted"] == []


def test_privileged() -> None:
    made = config({"Privileged": True})
    assert made["linux"]["maskedPaths"] == [] == made["linux"]["readonlyPaths"]
    assert "seccomp" not in made["linux"] and made["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert mount(made, "/sys")["options"][-1] == "rw"


def test_security_options() -> None:
    assert config({"SecurityOpt": ["no-new-privileges"]})["process"]["noNewPrivileges"]
    assert "seccomp" not in config({"SecurityOpt": ["seccomp=unconfined"]})["linux"]
    assert config({"MaskedPaths": []})["linux"]["maskedPaths"] == []
    for wish, option in (("writable-cgroups=true", "rw"), ("writable-cgroups=false", "ro"), ("label=disable", "ro")):
        assert option in mount(config({"SecurityOpt": [wish]}), "/sys/fs/cgroup")["options"]
    own = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}'
    assert config({"SecurityOpt": [f"seccomp={own}"]})["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ALLOW"
    for wrong in ("nonsense", "unknown=1", "systempaths=unconfined", "writable-cgroups=maybe", "seccomp={", "seccomp=[]"):
        with pytest.raises(EngineError):
            config({"SecurityOpt": [wrong]})


def test_limits() -> None:
    host = {"Memory": 2**26, "NanoCpus": 5 * 10**8, "PidsLimit": 20, "CpusetCpus": "0", "CpuShares": 512, "BlkioWeight": 100}
    made = config(host)["linux"]["resources"]
    assert made["memory"] == {"limit": 2**26, "swap": 2**27}, "swap as much again, as with Docker"
    assert made["cpu"] == {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"}
    assert made["pids"] == {"limit": 20} and made["blockIO"] == {"weight": 100}
    assert config({"Memory": 2**26, "MemorySwap": -1})["linux"]["resources"]["memory"]["swap"] == -1
    disks = {"/dev/sda": (8, 0)}
    rates = config({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1024}]}, disks=disks)["linux"]["resources"]["blockIO"]
    assert rates == {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}]}


def test_devices() -> None:
    device = ociconfig.Device("/dev/fuse", "c", 10, 229, 0o666, 0, 0, "rw")
    made = config({"DeviceCgroupRules": ["c 1:* r"]}, devices=[device])["linux"]
    assert made["devices"][0]["path"] == "/dev/fuse"
    assert {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"} in made["resources"]["devices"]
    assert made["resources"]["devices"][-1] == {"allow": True, "type": "c", "major": 1, "access": "r"}
    for wrong in ("", "c 1:2", "x 1:2 r", "c 1 r", "c 1:b r", "c 1:2 q", "c  1:2 r", "c 1:2 rwmr", " c 1:2 r"):
        with pytest.raises(EngineError, match="invalid device cgroup rule format"):
            ociconfig.device_rule(wrong)


def test_ulimits() -> None:
    made = config({"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": -1}]})
    assert made["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 2**64 - 1}]
    with pytest.raises(EngineError, match="wrong rlimit value: RLIMIT_NONE"):
        config({"Ulimits": [{"Name": "none"}]})


def test_namespaces() -> None:
    def types(made: dict[str, Any]) -> set[str]:
        return {n["type"] for n in made["linux"]["namespaces"]}

    assert types(config({"PidMode": "host", "IpcMode": "host", "UTSMode": "host", "CgroupnsMode": "host"}, network=False)) == {"mount"}
    shared = config({"PidMode": "container:x"}, shared_pids={"pid": 77})
    assert {"type": "pid", "path": "/proc/77/ns/pid"} in shared["linux"]["namespaces"]
    assert "hostname" not in config({"UTSMode": "host"})
    with pytest.raises(EngineError, match=r"kernel.domainname"):
        ociconfig.oci_config(container({"UTSMode": "host"}, Domainname="example.org"), around())


def test_sysctls_of_namespaces_of_its_own_alone() -> None:
    assert config({"Sysctls": {"net.core.somaxconn": 7, "kernel.msgmax": "1"}})["linux"]["sysctl"] == {
        "net.core.somaxconn": "7",
        "kernel.msgmax": "1",
    }
    for host in ({"Sysctls": {"vm.swappiness": "1"}}, {"Sysctls": {"net.x": "1"}, "NetworkMode": "host"}):
        with pytest.raises(EngineError, match=r"not in a separate kernel namespace|not allowed in (host network|the hosts ipc) namespace"):
            config(host)


@pytest.mark.parametrize(
    ("name", "more", "found"),
    [
        ("net/core/somaxconn", {}, {"net.core.somaxconn": "1"}),
        ("net/ipv4/conf/eth0.1/rp_filter", {}, {"net.ipv4.conf.eth0/1.rp_filter": "1"}),
        ("kernel.domainname", {}, {"kernel.domainname": "1"}),
        ("kernel.domainname", {"UTSMode": "host"}, None),
        ("kernel.hostname", {}, None),
        ("vm/swappiness", {}, None),
    ],
)
def test_names_of_sysctls(name: str, more: dict[str, Any], found: dict[str, str] | None) -> None:
    host = {"Sysctls": {name: "1"}, **more}
    if found is not None:
        assert config(host)["linux"]["sysctl"] == found
        return
    with pytest.raises(EngineError, match="sysctl"):
        config(host)


def test_the_machines_memory_is_as_it_is_there() -> None:
    assert mount(config({"IpcMode": "host"}, shm="/dev/shm"), "/dev/shm")["options"] == ["rbind", "rprivate"]
    assert "noexec" in mount(config({"IpcMode": "shareable"}, shm="/run/x"), "/dev/shm")["options"]


def test_a_tmpfs_takes_the_mode_that_it_is_told() -> None:
    point = {"Type": "tmpfs", "Destination": "/x", "RW": True}
    assert "ro" in ociconfig.user_mount({**point, "RW": False}, "")["options"]
    assert ociconfig.user_mount(point, "", mode=0o750)["options"][-1] == "mode=750"
    assert ociconfig.user_mount({**point, "x-options": "mode=700"}, "", mode=0o750)["options"][-1] == "mode=700"


def test_a_users_mount_takes_the_place_of_ours_and_parents_come_first() -> None:
    points = [{"Type": "bind", "Destination": "/a/b", "RW": True}, {"Type": "bind", "Destination": "/a", "RW": False}]
    points.append({"Type": "tmpfs", "Destination": "/dev/shm", "RW": True, "x-options": "size=1m"})
    made = config(mounts=[ociconfig.user_mount(p, "/src") for p in points])
    order = [m["destination"] for m in made["mounts"]]
    assert order.index("/a") < order.index("/a/b") and order.count("/dev/shm") == 1
    assert mount(made, "/dev/shm")["options"][-2:] == ["size=1m", "mode=1777"]
    assert mount(made, "/a")["options"][-2:] == ["ro", "rro"] and "ro" not in mount(made, "/a/b")["options"]


@pytest.mark.parametrize(
    ("env", "tty", "wanted"),
    [
        (["A=1", "A=2"], False, [defaults.PATH, "HOSTNAME=h", "A=2"]),
        (["PATH=/x", "HOME=/y"], False, ["PATH=/x", "HOSTNAME=h", "HOME=/y"]),
        (["HOSTNAME", "B="], True, [defaults.PATH, "TERM=xterm", "B="]),
    ],
)
def test_environment(env: list[str], tty: bool, wanted: list[str]) -> None:
    assert ociconfig.environment({"Env": env, "Tty": tty}, "h") == wanted


def test_sysctls_of_namespaces_that_another_container_has() -> None:
    record = container(
        {"Sysctls": {"kernel.msgmax": "9000", "net.core.somaxconn": "9"}, "IpcMode": "container:x", "NetworkMode": "container:x"}
    )
    assert ociconfig.oci_config(record, around())[0]["linux"]["sysctl"] == {"kernel.msgmax": "9000", "net.core.somaxconn": "9"}


def test_no_command() -> None:
    with pytest.raises(EngineError, match="no command specified"):
        ociconfig.oci_config(container(Cmd=[]), around())


@given(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2))
def test_swapped_ids_leave_the_others(disk: int, inside: int, other: int) -> None:
    maps = ociconfig.swap_ids(disk, inside)

    def shown(id: int) -> int:
        (found,) = [m["hostID"] + id - m["containerID"] for m in maps if m["containerID"] <= id < m["containerID"] + m["size"]] or [id]
        return int(found)

    assert (shown(disk), shown(inside)) == (inside, disk)
    if other not in (disk, inside):
        assert shown(other) == other


def test_network_files_lie_on_what_is_mounted_on_etc() -> None:
    made = container({"Tmpfs": {"/etc": ""}})
    etc = {"Type": "tmpfs", "Destination": "/etc", "RW": True}
    made_config, early = ociconfig.oci_config(made, around(mounts=[ociconfig.user_mount(etc, "")]))
    places = [mount["destination"] for mount in made_config["mounts"]]
    assert places[early:] == ["/etc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ({"CpusetCpus": "0-x"}, "Invalid value 0-x for cpuset cpus: invalid format: 0-x"),
        ({"CpusetCpus": "4000"}, "Requested CPUs are not available - requested 4000"),
        ({"CpusetMems": "900"}, "Requested memory nodes are not available - requested 900"),
        ({"SecurityOpt": ["no-new-privileges=maybe"]}, 'invalid --security-opt 2: "no-new-privileges=maybe"'),
        ({"SecurityOpt": ["what"]}, 'invalid --security-opt 1: "what"'),
        ({"LogConfig": {"Type": "json-file", "Config": {"foo": "1"}}}, "unknown log opt 'foo' for json-file log driver"),
    ],
)
def test_refused_in_dockers_words(host: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError) as caught:
        container(host)
    assert caught.value.says.startswith(says)
    assert caught.value.http_status == 400


def test_remapped_ids_are_the_containers_and_its_files() -> None:
    remap = Remapping(((100000, 65536),), ((200000, 65536),))
    config, _ = ociconfig.oci_config(container(), around(remap=remap))
    assert {"type": "user", "path": "fd:users"} in config["linux"]["namespaces"]
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    hosts = next(mount for mount in config["mounts"] if mount["destination"] == "/etc/hosts")
    assert hosts["gidMappings"] == [{"containerID": 0, "hostID": 200000, "size": 65536}]


@pytest.mark.parametrize("wish", [{"Privileged": True}, {"NetworkMode": "host"}, {"PidMode": "host"}])
def test_what_a_remapped_container_cannot_have(wish: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="user namespaces"):
        creation.host_config_of({"HostConfig": wish}, 2, remapped=True)
    creation.host_config_of({"HostConfig": {**wish, "UsernsMode": "host"}}, 2, remapped=True)


@pytest.mark.parametrize("wish", ["a:1.2.3.4", "b:::1", "c:[fe80::1]", "d=::1", "gw:host-gateway"])
def test_extra_hosts(wish: str) -> None:
    creation.host_config_of({"HostConfig": {"ExtraHosts": [wish]}}, 2)


@pytest.mark.parametrize(
    ("wish", "says"), [("a", "bad format"), (":1.2.3.4", "bad format"), ("a:", "bad format"), ("a:foo", "invalid IP address")]
)
def test_extra_hosts_that_cannot_be(wish: str, says: str) -> None:
    with pytest.raises(EngineError, match=says):
        creation.host_config_of({"HostConfig": {"ExtraHosts": [wish]}}, 2)


@pytest.mark.parametrize(
    ("parent", "path"),
    [("a", "/a"), ("/a/b/", "/a/b"), ("../../a", "/a"), ("a/../b", "/b"), ("//a", "/a")],
)
def test_a_parent_group_lies_in_the_tree(parent: str, path: str) -> None:
    made = ociconfig.oci_config(container({"CgroupParent": parent}), around())[0]
    assert made["linux"]["cgroupsPath"] == f"{path}/{ID}"


def test_of_the_machines_hidden_folders_those_with_a_mount_inside_are_fresh() -> None:
    wishes = [{"destination": place} for place in ("/srv/www/", "/var/lib/postgresql/data", "/home", "/etc/shadow", "/media-of-mine")]
    opened = {path for path in ociconfig.fresh_folders(wishes) if path not in defaults.FRESH_TMPFS}
    assert opened == {"/srv", "/var/lib/postgresql"}
