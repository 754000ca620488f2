"""Examples of docs/errors that only a real engine gives: what the command prints is what the page shows.

`busybox` of the pages is this machine's own root here (rootfs:/). Ids and folders differ from run to run and are not compared.
`ACCEPT=1 pytest` writes what is printed into the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.errors.pages import Example, example, write
from tests.system.engines import Engine

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

BEFORE: dict[str, tuple[str, ...]] = {
    "build-dockerfile": (),
    "build-source": (),
    "build-image": (),
    "build-secret": (),
    "build-tag": (),
    "build-target-path": (),
    "endpoint-exists": ("up -d", "network create --internal --subnet 10.213.9.0/24 far", "network connect far shop-web-1"),
    "endpoint-unknown": ("up -d", "network create --internal --subnet 10.213.9.0/24 far"),
    "exec-start": ("up -d",),
    "network-in-use": ("up -d",),
    "port-in-use": ("-p first up -d",),
    "pre-start-failed": (),
    "run-failed": (),
    "wait-failed": (),
    "wait-timeout": (),
}
"""Code → the command lines that make the state in which the example's gives its error."""
VOLATILE = re.compile(r"\b[0-9a-f]{12,64}\b")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("pages"), idle=30)
    made.env["COMPOSE_PROJECT_NAME"] = "shop"
    yield made
    made.close()


def printed(engine: Engine, shown: Example, before: tuple[str, ...]) -> str:
    """What the example's command writes, to stderr where it does."""
    for path in sorted(engine.project.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for name, text in shown.files.items():
        (engine.project / name).parent.mkdir(parents=True, exist_ok=True)
        (engine.project / name).write_text(text.replace("image: busybox", "image: 'rootfs:/'"))
    try:
        for line in before:
            engine.run(*line.split())
        process = subprocess.run(
            ["sh", "-c", shown.command.replace("compose-lite", '"$PYTHON" -m compose_lite')],
            cwd=engine.project, env={**engine.env, "PYTHON": sys.executable}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert process.returncode != 0, process.stdout + process.stderr
        return process.stderr or process.stdout
    finally:
        for project in ("shop", "first"):
            engine.run("-p", project, "down", "-v", "-t", "0", "--remove-orphans", code=None)
        engine.run("network", "rm", "far", code=None)


@pytest.mark.parametrize("code", sorted(BEFORE))
def test_the_example_gives_the_error(code: str, engine: Engine) -> None:
    shown = example(code)
    assert shown
    text = printed(engine, shown, BEFORE[code]).replace(f"{engine.project}/", "").replace("rootfs:/", "busybox")
    begin = text.rfind("Error response from daemon")
    if f"[{code}]" in text:
        says = text[: text.find(f"[{code}]")].rpartition("\n")[2] + f"[{code}]"
    else:  # what the engine refuses is told in Docker's words
        says = text[begin:] if begin >= 0 else text.strip().rpartition("\n")[2]
    says = says.strip()
    if os.environ.get("ACCEPT"):
        write(code, Example(shown.files, shown.command, says))
    found = example(code)
    assert found and VOLATILE.sub("ID", found.says) == VOLATILE.sub("ID", says)
