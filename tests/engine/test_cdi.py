"""CDI specifications: which device a name is, and what it adds to a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose_lite.engine import cdi
from compose_lite.errors import EngineError

NODE = {"path": "/dev/x", "hostPath": "/dev/null"}


def spec(kind: str, *names: str, shared: dict[str, Any] | None = None, **edits: Any) -> dict[str, Any]:
    devices = [{"name": name, "containerEdits": {"env": [f"NAME={name}"], **edits}} for name in names]
    return {"cdiVersion": "0.6.0", "kind": kind, "containerEdits": shared or {}, "devices": devices}


def test_a_later_folder_wins_and_twins_in_one_are_nobody(tmp_path: Path) -> None:
    etc, run = tmp_path / "etc", tmp_path / "run"
    for folder in (etc, run):
        folder.mkdir()
    (etc / "a.yaml").write_text("kind: v.com/c\ndevices: [{name: one, containerEdits: {env: [FROM=etc]}}, {name: two}]")
    (run / "a.json").write_text('{"kind": "v.com/c", "devices": [{"name": "one", "containerEdits": {"env": ["FROM=run"]}}]}')
    (run / "b.json").write_text('{"kind": "v.com/c", "devices": [{"name": "three"}]}')
    (run / "c.json").write_text('{"kind": "v.com/c", "devices": [{"name": "three"}]}')
    (run / "d.json").write_text("{")
    (run / "e.txt").write_text("not looked at")
    found = cdi.read([str(etc), str(run), str(tmp_path / "missing")])
    assert found.names == ["v.com/c=one", "v.com/c=two"]
    assert cdi.combined(found.edits(["v.com/c=one"]), 0, 0).env == ["FROM=run"]
    with pytest.raises(EngineError, match=r"unresolvable CDI devices v.com/c=three, v.com/c=no") as caught:
        found.edits(["v.com/c=three", "v.com/c=two", "v.com/c=no"])
    assert "v.com/c=two" in (caught.value.remedy or "")


def test_a_files_own_edits_come_once_and_first() -> None:
    registry = cdi.Registry([(0, spec("v.com/c", "a", "b", shared={"env": ["SHARED=1"]}))])
    assert cdi.combined(registry.edits(["v.com/c=a", "v.com/c=b"]), 0, 0).env == ["SHARED=1", "NAME=a", "NAME=b"]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"Driver": "cdi", "DeviceIDs": ["v.com/c=a"]}, ["v.com/c=a"]),
        ({"Capabilities": [["gpu"]], "Count": -1}, ["nvidia.com/gpu=all"]),
        ({"Capabilities": [["gpu"]], "Count": 2}, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
        ({"Driver": "nvidia", "Capabilities": [["gpu"]], "DeviceIDs": ["10", "nvidia.com/gpu=1"]},
         ["nvidia.com/gpu=10", "nvidia.com/gpu=1"]),
    ],
)  # fmt: skip
def test_which_devices_are_asked_for(request_: dict[str, Any], names: list[str]) -> None:
    registry = cdi.Registry([(0, spec("nvidia.com/gpu", "10", "0", "1", "all"))])
    assert cdi.asked([request_], registry) == (names, [])


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"Capabilities": [["tpu"]]}, r'could not select device driver "" with capabilities: \[\[tpu\]\]'),
        ({"Driver": "amd", "Capabilities": [["gpu"]]}, r'could not select device driver "amd"'),
        ({"Capabilities": [["gpu"]], "Count": 9}, "9 devices of nvidia.com/gpu are asked for, there are 1"),
    ],
)
def test_what_there_is_not(request_: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        cdi.asked([request_], cdi.Registry([(0, spec("nvidia.com/gpu", "0"))]))


def test_into_a_config() -> None:
    part = {
        "env": ["A=2"],
        "deviceNodes": [
            NODE,
            {**NODE, "path": "/dev/y", "type": "b", "major": 9, "minor": 8, "uid": 5, "fileMode": 0o600, "permissions": "r"},
        ],
        "mounts": [{"hostPath": "/h", "containerPath": "/c"}, {"hostPath": "/h", "containerPath": "/d", "options": ["bind", "ro"]}],
        "additionalGids": [44],
        "hooks": [{"hookName": "createContainer", "path": "/bin/x", "args": ["x"], "timeout": 3}],
    }
    edits = cdi.combined([part], 1000, 1001)
    null, other = edits.devices
    assert (null.path, null.kind, null.major, null.minor, null.uid, null.gid, null.source) == ("/dev/x", "c", 1, 3, 1000, 1001, "/dev/null")
    assert (other.kind, other.major, other.minor, other.uid, other.gid, other.mode, other.access) == ("b", 9, 8, 5, 1001, 0o600, "r")
    config: dict[str, Any] = {"process": {"env": ["A=1", "B=1"], "user": {"additionalGids": [5, 44]}}, "mounts": []}
    cdi.apply(edits, config)
    assert config["process"]["env"] == ["B=1", "A=2"]
    assert config["process"]["user"]["additionalGids"] == [5, 44]
    assert [m["options"] for m in config["mounts"]] == [["rbind"], ["bind", "ro"]]
    assert config["hooks"] == {"createContainer": [{"path": "/bin/x", "args": ["x"], "timeout": 3}]}


def test_a_node_that_is_not_there_and_an_unknown_hook() -> None:
    for part in ({"deviceNodes": [{"path": "/dev/no-such-node"}]}, {"hooks": [{"hookName": "later", "path": "/x"}]}):
        with pytest.raises(EngineError, match="CDI device injection failed"):
            cdi.combined([part], 0, 0)
