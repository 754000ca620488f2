"""`system` and what the nouns print of one container."""

from __future__ import annotations

import os

import pytest

from compose_lite.cli import main
from compose_lite.cli.commands.system import event_text, usage

GB = 10**9


def test_what_nothing_uses_is_reclaimable() -> None:
    document = {
        "LayersSize": 3 * GB,
        "Images": [{"Size": 2 * GB, "SharedSize": GB, "Containers": 1}, {"Size": 2 * GB, "SharedSize": GB, "Containers": 0}],
        "Containers": [{"State": "running", "SizeRw": 100}, {"State": "exited", "SizeRw": 300}],
        "Volumes": [{"UsageData": {"Size": 50, "RefCount": 1}}, {"UsageData": {"Size": 150, "RefCount": 0}}],
        "BuildCache": [],
    }
    assert [tuple(row.values()) for row in usage(document)] == [
        ("Images", "2", "1", "3GB", "2GB (66%)"),
        ("Containers", "2", "1", "400B", "300B (75%)"),
        ("Local Volumes", "2", "1", "200B", "150B (75%)"),
        ("Build Cache", "0", "0", "0B", "0B"),
    ]


def test_an_event_as_docker_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    actor = {"ID": "abc", "Attributes": {"name": "x", "image": "busybox"}}
    event = {"Type": "container", "Action": "start", "timeNano": 1_795_737_600_000_000_007, "Actor": actor}
    text = event_text(event)
    assert text.endswith(" container start abc (image=busybox, name=x)") and ".000000007" in text


@pytest.mark.parametrize("words", ["container ls --nope", "container ls -n x", "image ls --format", "system df -Z"])
def test_a_wrong_flag_of_a_noun_gives_dockers_status(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(words.split(), {}) == 125
    assert main.run(["ps", "--nope"], {}) == 1
    assert "unknown flag: --nope" in capsys.readouterr().err
