"""What another engine is sent for a build: Docker's classic POST /build, as Docker Compose 2.40 sends it without BuildKit."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from compose_lite.project.builds import stream_build

ASKED: dict[str, Any] = {"tags": ["x"], "target": "", "args": {}, "labels": {}, "no_cache": False, "pull": False, "network": ""}


def sent(**request: Any) -> tuple[dict[str, Any], dict[str, bytes | None]]:
    """The query, and the files of the body (None: a folder)."""
    heard: dict[str, Any] = {}

    async def version() -> dict[str, Any]:
        return {}

    async def build(context: bytes, *, query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        heard.update(query=query, context=context)
        yield {}

    async def act() -> None:
        engine: Any = SimpleNamespace(dry=False, version=version, build=build)
        async for _ in stream_build(engine, {**ASKED, "extra_hosts": [], "dockerfile": "Dockerfile", **request}):
            pass

    anyio.run(act)
    if not heard["context"]:
        return heard["query"], {}
    with tarfile.open(fileobj=io.BytesIO(heard["context"])) as tar:
        files = {m.name: (found.read() if (found := tar.extractfile(m)) else None) for m in tar}
    return heard["query"], files


def context(folder: Path) -> Path:
    made = folder / "ctx"
    (made / "sub").mkdir(parents=True)
    for name in ("Dockerfile", "keep", "skip", "sub/skip", "sub/back", ".hidden"):
        (made / name).write_text(name)
    (folder / "Other").write_text("other")
    return made


def test_dockerignore(tmp_path: Path) -> None:
    made = context(tmp_path)
    (made / ".dockerignore").write_text("skip\nsub\n!sub/back\nDockerfile\n.dockerignore\n")
    query, files = sent(context=str(made), extra_hosts=["h:1.2.3.4"])
    assert sorted(files) == [".dockerignore", ".hidden", "Dockerfile", "keep", "sub/back"]
    assert query["dockerfile"] == "Dockerfile" and query["extrahosts"] == ["h:1.2.3.4"]


def test_a_dockerfile_outside_of_the_context_goes_along(tmp_path: Path) -> None:
    query, files = sent(context=str(context(tmp_path)), dockerfile="../Other")
    assert files[query["dockerfile"]] == b"other" and files["Dockerfile"] == b"Dockerfile"


def test_a_dockerfile_of_the_compose_file_takes_the_place_of_the_other(tmp_path: Path) -> None:
    query, files = sent(context=str(context(tmp_path)), dockerfile_inline="FROM x\n")
    assert query["dockerfile"] == "Dockerfile" and files["Dockerfile"] == b"FROM x\n" and files["sub/skip"] == b"sub/skip"


def test_a_context_elsewhere_is_fetched_by_the_engine() -> None:
    query, files = sent(context="https://example.org/x.git#main", dockerfile="Dockerfile")
    assert query["remote"] == "https://example.org/x.git#main" and files == {}
