"""What another runtime is told, and what its log says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compose_lite.runtime import foreign


def test_the_bundle_has_no_conventions_of_ours() -> None:
    config: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "hostname": "box",
        "domainname": "example.test",
        "root": {"readonly": True},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "fd:netns"}],
            "sysctl": {"net.x": "1"},
            "resources": {"cpu": {}},
        },
    }
    made = foreign.standard(config, "/b/rootfs", "/compose-lite/1", {"pids": {"limit": 5}}, {"fd:netns": "/proc/7/fd/3"})
    assert made["root"] == {"readonly": True, "path": "/b/rootfs"}
    assert made["ociVersion"] == foreign.VERSION
    assert "domainname" not in made
    linux = made["linux"]
    assert linux["sysctl"] == {"net.x": "1", "kernel.domainname": "example.test"}
    assert linux["namespaces"] == [{"type": "pid"}, {"type": "network", "path": "/proc/7/fd/3"}]
    assert (linux["cgroupsPath"], linux["resources"]) == ("/compose-lite/1", {"pids": {"limit": 5}})
    assert config["linux"]["namespaces"][1]["path"] == "fd:netns"  # the launch stays as it was


def test_without_a_cgroup_no_limit_is_asked_for() -> None:
    assert "resources" not in foreign.standard({"linux": {}}, "/r", "", {"pids": {"limit": 5}}, {})["linux"]


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ('exec: "nosuch": executable file not found in $PATH', 127),
        ("executable file `nosuch` not found in $PATH: No such file or directory", 127),
        ('exec: "/etc": is a directory: permission denied', 126),
        ("open executable: Permission denied", 126),
        ("cannot set up cgroup", 128),
    ],
)
def test_failures(says: str, status: int) -> None:
    log = "\n".join(
        json.dumps(line) for line in ({"level": "warning", "msg": "not this"}, {"level": "error", "msg": says}, {"level": "info"})
    )
    found = foreign.failure(f"{log}\nno json", "otherwise")
    assert (found.status, found.says) == (status, says)
    assert foreign.failure("", "otherwise").says == "otherwise"
