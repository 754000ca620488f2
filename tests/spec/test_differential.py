"""A sample of the differential test; the whole of it is `python -m tests.spec.differential`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.differential.compare import compare, files
from tests.spec.differential.documents import make, spots
from tests.spec.differential.jsonschema import SCHEMA
from tests.spec.differential.newer import NEWER, newer


@pytest.mark.parametrize("seed", [1, 2])
def test_the_schema_the_rules_and_we_agree(tmp_path: Path, seed: int) -> None:
    files(tmp_path)
    assert compare(seed, range(1000), str(tmp_path)).disagreements == []


def test_the_documents_have_every_attribute() -> None:
    seen = {".".join(path) for number in range(0, 3000, 2) for path, _ in spots(make(1, number))}
    assert {f"services.*.{name}" for name in SCHEMA["$defs"]["service"]["properties"]} - seen == set()
    assert {name for name in NEWER if not any(newer(make(1, number)) == name for number in range(9000))} == set()
