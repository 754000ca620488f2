"""`docker commit --change` and `docker diff`: configurations and the places of our own mounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose_lite.engine import commits, differences
from compose_lite.errors import EngineError


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([], {}),
        (['CMD ["a", "b"]', "ENTRYPOINT c d"], {"Cmd": ["a", "b"], "Entrypoint": ["/bin/sh", "-c", "c d"]}),
        (["ENV A=2 B=$A", "LABEL x=y"], {"Env": ["A=2", "B=1"], "Labels": {"x": "y"}}),
        (["EXPOSE 80 53/udp", "VOLUME /a /b"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/a": {}, "/b": {}}}),
        (["USER app", "WORKDIR sub", "STOPSIGNAL SIGINT"], {"User": "app", "WorkingDir": "/w/sub", "StopSignal": "SIGINT"}),
    ],
)
def test_changes(changes: list[str], wanted: dict[str, Any]) -> None:
    before = {"Env": ["A=1"], "WorkingDir": "/w"}
    assert commits.configured(before, changes) == {**before, **wanted}


@pytest.mark.parametrize("change", ["RUN true", "FROM x", "COPY a b", "nonsense", "EXPOSE"])
def test_what_cannot_be_changed(change: str) -> None:
    with pytest.raises(EngineError) as caught:
        commits.configured({}, [change])
    assert caught.value.http_status == 400


def test_differences_leave_out_the_places_of_our_mounts(tmp_path: Path) -> None:
    upper, layer = tmp_path / "upper", tmp_path / "layer"
    for folder in ("upper/dev/pts", "upper/proc", "upper/etc", "layer/etc", "layer/tmp"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("hosts", "hostname", "resolv.conf"):
        (upper / "etc" / name).touch()
    assert differences.changes(str(upper), [str(layer)]) == []
    (upper / "tmp").mkdir()
    (upper / "tmp/new").write_text("x")
    (upper / "etc/hosts").write_text("somebody's own")
    (layer / "etc/passwd").touch()
    (upper / "etc/passwd").touch()
    assert [(row["Path"], row["Kind"]) for row in differences.changes(str(upper), [str(layer)])] == [
        ("/etc", differences.MODIFIED),
        ("/etc/hosts", differences.ADDED),
        ("/etc/passwd", differences.MODIFIED),
        ("/tmp", differences.MODIFIED),
        ("/tmp/new", differences.ADDED),
    ]
