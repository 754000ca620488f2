"""Which configs and secrets are mounts of their files, and which are files in the container's memory."""

from __future__ import annotations

from pathlib import Path

from compose_lite.project.containerspec import Instance, create_body, injected_files
from compose_lite.spec.load import LoadOptions, load


def test_a_file_with_an_owner_or_mode_is_no_mount(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("w")
    spec = """
services:
  a:
    image: x
    secrets: [plain, {source: plain, target: mine, uid: app, mode: 0400}, given]
secrets:
  plain: {file: ./word}
  given: {environment: GIVEN}
"""
    (tmp_path / "compose.yaml").write_text(spec)
    project = load(LoadOptions(environ={"GIVEN": "g"}, cwd=str(tmp_path))).project
    one = Instance(project, project.services["a"], 1, "p-a-1", "")
    assert [mount["Target"] for mount in create_body(one)["HostConfig"]["Mounts"]] == ["/run/secrets/plain"]
    mine, given = injected_files(one)
    assert (mine.path, mine.source, mine.uid, mine.mode) == ("/run/secrets/mine", str(tmp_path / "word"), "app", 0o400)
    assert (given.path, given.content, given.source, given.mode) == ("/run/secrets/given", "g", "", 0o444)
