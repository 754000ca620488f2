"""What makes a difference to a step's result, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compose_lite.build import solve
from compose_lite.build.dockerfile.lines import Span
from compose_lite.build.operations import CONTEXT, Copy, MakeFolder, Mount, Run
from compose_lite.build.solve import Cache, Result

RUN = Run((0, 0), Span(1, 1), "RUN x", ("sh", "-c", "x"), ("A=1",), "", "/")
COPY = Copy((0, 0), Span(1, 1), "COPY f /f", CONTEXT, ("f",), "/f")


def run_key(one: Run, below: str = "below", mounts: tuple[str, ...] = ()) -> str:
    return solve.run_key(one, below, mounts, {})


@pytest.mark.parametrize(
    "other", [{"argv": ("sh", "-c", "y")}, {"env": ("A=2",)}, {"user": "u"}, {"cwd": "/w"}, {"network": "none"}, {"script": ("n", "t")}]
)
def test_a_run_is_another_by(other: dict[str, object]):
    assert run_key(replace(RUN, **other)) != run_key(RUN)


def test_a_run_is_the_same_with_another_place_and_proxy():
    assert run_key(replace(RUN, number=(3, 7), span=Span(9, 9), title="t", proxies=("HTTP_PROXY=p",))) == run_key(RUN)
    assert run_key(RUN, "other") != run_key(RUN)


def test_contents_of_mounts_count_and_secrets_do_not():
    bind, secret = Mount("bind", "/m"), Mount("secret", "/run/secrets/s", id="s")
    assert solve.mount_key(bind, "one") != solve.mount_key(bind, "two")
    assert run_key(RUN, mounts=(solve.mount_key(secret, ""),)) == run_key(RUN, mounts=(solve.mount_key(secret, ""),))


def test_a_copy_is_by_content_owner_and_what_it_lies_on():
    key = solve.copy_key(COPY, "below", ["content"], None)
    assert key == solve.copy_key(replace(COPY, sources=("./f",)), "below", ["content"], None)
    assert key != solve.copy_key(COPY, "below", ["other"], None) and key != solve.copy_key(COPY, "other", ["content"], None)
    assert key != solve.copy_key(COPY, "below", ["content"], (1, 1))


def test_how_and_what_both_count_below():
    assert len({solve.chain("p", "k", "d"), solve.chain("p", "k2", "d"), solve.chain("p", "k", "d2")}) == 3
    assert solve.folder_key(MakeFolder((0, 0), Span(1, 1), "", "/w", ""), "b", None)


def test_the_cache_keeps_and_forgets(tmp_path: Path):
    cache = Cache(tmp_path)
    assert cache.find("k") is None
    cache.keep("k", Result("sha256:d", "2026-01-01T00:00:00Z", "k"))
    assert cache.find("k") == Result("sha256:d", "2026-01-01T00:00:00Z", "k")
    with cache.try_lock("k"), pytest.raises(BlockingIOError), cache.try_lock("k"):
        pass
    assert cache.prune() == 0 and cache.clear() == 1 and cache.find("k") is None
