"""The services that are compared with Docker are files that load or are refused, and the comparison can fail."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.attributes.combination import PROJECT, compose_file, merged, singles, table, together
from tests.attributes.observation import Observation, Place, differences, inspected, parts

VALUES = table()
PLACE = Place("attr-1", "/w/attr-1", {"net": "net:[1]"}, {"net": "net:[2]"})


def test_every_value_makes_a_file_of_its_own() -> None:
    choices = singles(VALUES)
    assert len({choice.name for choice in choices}) == len(choices) > 500
    for choice in choices:
        made = yaml.safe_load(compose_file(choice, "attr-1", "/w/attr-1", 1))
        assert "probed" in made["services"] and PROJECT not in made["services"]["probed"] and "{number}" not in json.dumps(made)


def test_a_seed_is_a_combination() -> None:
    assert together(VALUES, 7) == together(VALUES, 7) != together(VALUES, 8)
    assert {len(together(VALUES, seed).values) for seed in range(40)} == {2, 3, 4}


def test_values_are_put_together() -> None:
    first = {"user": "a", "cap_add": ["X"], "environment": {"A": 1}}
    assert merged([first, {"user": "b", "cap_add": ["X", "Y"], "environment": {"B": 2}}]) == {
        "user": "a", "cap_add": ["X", "Y"], "environment": {"A": 1, "B": 2},
    }  # fmt: skip


OUTPUT = """## names
hosts: 172.18.0.2\tc0ffeec0ffee
resolv.conf: # Generated
## namespaces
net:[2]
net:[3]
## mounts
1 2 0:3 /var/lib/x/volumes/attr-1_data/_data /data rw,relatime master:7 - ext4 /dev/vda rw
1 2 0:3 /null /proc/kcore rw - tmpfs tmpfs rw
"""


def test_a_probe_without_what_is_another_each_time() -> None:
    found = parts(OUTPUT, PLACE)
    assert found["names"] == ["hosts: ADDRESS ID12"]
    assert found["namespaces"] == ["net other", "net own"]
    assert found["mounts"] == ["/data PROJECT_data/_data rw,relatime private ext4 /dev/vda "]


def test_inspect_without_ids() -> None:
    document = {
        "Id": "x",
        "Mounts": [{"Destination": "/b", "Source": "/v/n/_data"}, {"Destination": "/a"}],
        "Config": {"Env": ["B=1", "A=1"]},
    }
    assert inspected(document, PLACE) == {
        "Mounts.0.Destination": '"/a"',
        "Mounts.1.Destination": '"/b"',
        "Mounts.1.Source": '"n/_data"',
        "Config.Env": '["A=1", "B=1"]',
    }


SAME = Observation(0, "", {"who": ["root"]}, {}, {"Name": '"a"'}, "exited 9")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (Observation(1, "no"), "up: 0 != 1"),
        (Observation(0, "", {"who": ["app"]}, {}, {"Name": '"a"'}, "exited 9"), "probe who:"),
        (Observation(0, "", {"who": ["root"]}, {"who": ["app"]}, {"Name": '"a"'}, "exited 9"), "exec who:"),
        (Observation(0, "", {"who": ["root"]}, {}, {"Name": '"b"'}, "exited 9"), "inspect Name:"),
        (Observation(0, "", {"who": ["root"]}, {}, {"Name": '"a"'}, "exited 1"), "end: exited 9 != exited 1"),
    ],
)
def test_what_differs_is_found(other: Observation, says: str) -> None:
    assert differences(SAME, SAME) == [] and any(line.startswith(says) for line in differences(SAME, other))
