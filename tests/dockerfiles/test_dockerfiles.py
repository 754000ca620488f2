"""The images that are compared with Docker's are read whole, and the comparison can fail."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from tests.dockerfiles.__main__ import Built, cases, differences
from tests.dockerfiles.trees import saved


def _archive(entries: dict[str, bytes | str]) -> bytes:
    """path -> content of a file, or a link's target."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in entries.items():
            member = tarfile.TarInfo(path)
            member.mtime = 5
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def test_layers_lie_on_one_another(tmp_path: Path) -> None:
    manifest = json.dumps([{"Config": "c", "Layers": ["1", "2"]}]).encode()
    first, second = _archive({"a/b": b"1", "c": b"2", "d/e": "x"}), _archive({"a/.wh.b": b"", "c": b"3", "d/.wh..wh..opq": b""})
    (tmp_path / "saved.tar").write_bytes(_archive({"manifest.json": manifest, "c": b'{"config": {"User": "u"}}', "1": first, "2": second}))
    config, layers, tree = saved(tmp_path / "saved.tar", 1)
    assert config["config"] == {"User": "u"} and layers == ["/a/.wh.b /c /d/.wh..wh..opq"]
    assert tree == {"/c": "file 0o644 0:0 at 5 1 '3'"}


def test_every_case_has_a_dockerfile() -> None:
    assert len(cases()) > 50 and all("FROM" in case["dockerfile"].upper() for case in cases().values())


def test_what_differs_is_found() -> None:
    same = Built(0, "", {"User": "a"}, ["RUN"], ["/x"], {"/x": "file"})
    assert differences(same, same, history=True) == []
    for other in (
        Built(1, "no"),
        Built(0, "", {"User": "b"}, ["RUN"], ["/x"], {"/x": "file"}),
        Built(0, "", {"User": "a"}, ["COPY"], ["/x"], {"/x": "file"}),
        Built(0, "", {"User": "a"}, ["RUN"], ["/y"], {"/x": "file"}),
        Built(0, "", {"User": "a"}, ["RUN"], ["/x"], {"/x": "folder"}),
    ):
        assert len(differences(same, other, history=True)) >= 1
