"""`bind.idmap: match-user`: what the container's user writes belongs, on the machine, to whose folder it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import Engine

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
SPEC = """
services:
  a:
    image: rootfs:/
    user: "USER"
    command: sh -c 'stat -c %u:%g /mine; touch /mine/made-by-USER'
    volumes: [{type: bind, source: ./mine, target: /mine, bind: {idmap: match-user}}]
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(Path("/tmp") / f"idmap-{os.getpid()}")
    yield made
    made.close()


@pytest.mark.parametrize("user", ["0", "1000", "4321"])
def test_files_belong_to_the_folders_owner(engine: Engine, user: str) -> None:
    folder = engine.project / "mine"
    folder.mkdir()
    os.chown(folder, 4321, 1234)
    engine.spec(SPEC.replace("USER", user))
    assert engine.run("run", "--rm", "-T", "a").startswith(f"{user}:")
    (made,) = folder.iterdir()
    assert (made.stat().st_uid, made.stat().st_gid) == (4321, 1234)
