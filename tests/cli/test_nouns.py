"""Documents of the engine as rows, options as documents of it."""

from typing import Any

import pytest

from compose_lite.cli import attaching, containeroptions, containerrow, main, nouns
from compose_lite.cli.commands import container, events, image, ls, network, stats
from compose_lite.errors import ApiError, UsageError

RUN = container.SUBCOMMANDS["run"][0]


def body(*words: str) -> dict[str, Any]:
    return containeroptions.create_body(RUN.read(words, "run"), {"HOME_VALUE": "h"}, "/cwd")


def test_words_of_the_container_stay_its_own() -> None:
    made = body("--rm", "-it", "-e", "A=1", "-e", "HOME_VALUE", "-e", "UNSET", "busybox", "sh", "-c", "exit", "--rm")
    assert made["Cmd"] == ["sh", "-c", "exit", "--rm"] and made["Env"] == ["A=1", "HOME_VALUE=h"]
    assert made["Tty"] and made["OpenStdin"] and made["AttachStdin"] and made["HostConfig"]["AutoRemove"]


def test_h_is_the_host_name_where_a_command_has_it() -> None:
    assert not main.asks_for_help(["-h", "box", "busybox"], RUN)
    assert main.asks_for_help(["--help"], RUN)
    assert main.asks_for_help(["-a", "-h"], container.SUBCOMMANDS["ls"][0])
    assert not main.asks_for_help(["busybox", "sh", "--help"], RUN)


@pytest.mark.parametrize(
    ("word", "says"),
    [("nofile=200:100", "less than or equal to hard limit: 200 > 100"), ("xx=1", "invalid ulimit type: xx"), ("nofile=x", "name=soft")],
)
def test_ulimits_that_cannot_be(word: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        body("--ulimit", word, "busybox")


def test_a_name_server_is_an_address() -> None:
    assert body("--dns", "9.9.9.9", "--dns", "::1", "busybox")["HostConfig"]["Dns"] == ["9.9.9.9", "::1"]
    with pytest.raises(UsageError, match='invalid argument "foo" for "--dns" flag: IP address is not correctly formatted: foo'):
        body("--dns", "foo", "busybox")


def test_volumes_ports_and_limits() -> None:
    made = body(
        *("-v", "./a:/a:ro", "-v", "data:/d", "-v", "/anonymous", "-p", "8080:80", "-p", "127.0.0.1::53/udp", "-m", "64m"),
        *("--cpus", "0.5", "--ulimit", "nofile=10:20", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m", "x"),
    )
    host = made["HostConfig"]
    assert host["Binds"] == ["/cwd/a:/a:ro", "data:/d"] and made["Volumes"] == {"/anonymous": {}}
    assert host["PortBindings"]["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": ""}]
    assert (host["Memory"], host["NanoCpus"]) == (64 << 20, 500_000_000)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert host["Mounts"] == [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20}}]


def test_networks() -> None:
    made = body("--network", "front", "--network-alias", "w", "--ip", "10.0.0.2", "--network", "name=back,alias=b", "x")
    assert made["HostConfig"]["NetworkMode"] == "front"
    assert made["NetworkingConfig"]["EndpointsConfig"] == {
        "front": {"Aliases": ["w"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}},
        "back": {"Aliases": ["b"]},
    }


@pytest.mark.parametrize(
    "words", [("-p", "x", "i"), ("--mount", "nope=1", "i"), ("--rm", "--restart", "always", "i"), ("--ulimit", "n", "i")]
)
def test_refused_options(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        body(*words)
    assert caught.value.status == 125


def port(inner: int, outer: int = 0, ip: str = "0.0.0.0") -> dict[str, Any]:
    return {"PrivatePort": inner, "Type": "tcp"} | ({"PublicPort": outer, "IP": ip} if outer else {})


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(81, 81), port(80, 80)], "0.0.0.0:80-81->80-81/tcp"),
        ([port(81, 9001), port(80, 9000)], "0.0.0.0:9000->80/tcp, 0.0.0.0:9001->81/tcp"),
        ([port(80, 9000), port(80, 9000, "::")], "0.0.0.0:9000->80/tcp, [::]:9000->80/tcp"),
        ([port(80, 9000), port(81, 9005), port(443)], "443/tcp, 0.0.0.0:9000->80/tcp, 0.0.0.0:9005->81/tcp"),
    ],
)
def test_ports(found: list[dict[str, Any]], text: str) -> None:
    assert containerrow.ports(found) == text


def test_image_rows() -> None:
    both = image.rows({"Id": "sha256:" + "a" * 64, "RepoTags": ["h:5/a:1", "b:latest"], "Created": 1, "Size": 5}, 10)
    assert [(r["Repository"], r["Tag"]) for r in both] == [("h:5/a", "1"), ("b", "latest")]
    assert image.rows({"Id": "sha256:1", "RepoTags": None}, 10)[0]["Repository"] == "<none>"


def test_address_pools() -> None:
    pools = network.ipam_config(["10.1.0.0/24", "fd00::/64"], ["fd00::1"], ["10.1.0.128/25"], {})
    assert pools == [{"Subnet": "10.1.0.0/24", "IPRange": "10.1.0.128/25"}, {"Subnet": "fd00::/64", "Gateway": "fd00::1"}]
    with pytest.raises(UsageError, match="no matching subnet"):
        network.ipam_config(["10.1.0.0/24"], ["10.2.0.1"], [], {})


def test_projects() -> None:
    def one(state: str, files: str) -> dict[str, Any]:
        return {"State": state, "Labels": {"com.docker.compose.project": "p", "com.docker.compose.project.config_files": files}}

    rows = ls.projects([one("running", "/a,/b"), one("running", "/a"), one("exited", "/a")])
    assert rows == [{"Name": "p", "Status": "exited(1), running(2)", "ConfigFiles": "/a,/b"}]


def test_usage() -> None:
    sample = {
        "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
        "memory_stats": {"usage": 3 << 20, "limit": 4 << 20, "stats": {"inactive_file": 1 << 20}},
    }
    row = stats.usage_row("1" * 64, "web-1", sample)
    assert (row["CPUPerc"], row["MemUsage"], row["MemPerc"], row["PIDs"]) == ("40.00%", "2MiB / 4MiB", "50.00%", "0")


def test_events_hide_the_labels_of_compose() -> None:
    attributes = {"com.docker.compose.service": "web", "com.docker.compose.project": "p", "image": "i", "name": "n"}
    row = events.event_row({"Type": "container", "Action": "start", "Actor": {"ID": "1", "Attributes": attributes}, "timeNano": 10**9})
    assert row and row["attributes"] == {"image": "i", "name": "n"} and row["time"] == "1970-01-01T00:00:01Z"
    assert events.event_row({"Type": "network", "Actor": {}}) is None


def test_moments() -> None:
    assert nouns.moment("42m", 3600 * 10**9) == "1080.000000000"
    assert nouns.moment("1970-01-01T00:00:02.5Z", 0) == "2.500000000"
    assert nouns.moment("17.25", 0) == "17.25" and nouns.moment("", 0) == ""
    with pytest.raises(UsageError):
        nouns.moment("soon", 0)


@pytest.mark.parametrize(
    ("says", "status"),
    [("exec: no: executable file not found in $PATH", 127), ("exec: /etc: is a directory: permission denied", 126), ("no such image", 125)],
)
def test_status_of_a_failed_start(says: str, status: int) -> None:
    assert attaching.start_status(ApiError(says, http_status=400)) == status
