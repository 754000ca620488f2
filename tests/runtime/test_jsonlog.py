"""The log writer: lines that are whole, whoever they come from."""

from __future__ import annotations

import json
from pathlib import Path

from compose_lite.runtime.jsonlog import LogWriter


def test_a_note_leaves_an_unfinished_line_alone(tmp_path: Path) -> None:
    writer = LogWriter({"path": str(tmp_path / "log")})
    writer.write("stdout", b"half ")
    writer.note("stdout", b"a hook said\nso")
    writer.write("stdout", b"a line\n")
    writer.close()
    lines = [json.loads(line)["log"] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines == ["a hook said\n", "so\n", "half a line\n"]
