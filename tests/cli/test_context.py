"""What a command has at hand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from compose_lite.cli.context import Context, Globals


@pytest.mark.parametrize(("environ", "said"), [({}, "1"), ({"COMPOSE_REMOVE_ORPHANS": "0"}, "0")])
def test_a_projects_dotenv_speaks_to_the_command_too(
    environ: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {web: {image: i}}")
    (tmp_path / ".env").write_text("COMPOSE_REMOVE_ORPHANS=1\nCOMPOSE_PROJECT_NAME=given\nOTHER=x\n")
    context = Context(Globals(), dict(environ), io.StringIO(), io.StringIO())
    assert context.load().name == "given"
    assert context.environ == {"COMPOSE_REMOVE_ORPHANS": said}
