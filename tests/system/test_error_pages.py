"""Examples of docs/errors that only a real engine gives: what the command prints is what the page shows.

`busybox` of the pages is this machine's own root here (rootfs:/). Ids and folders differ from run to run and are not compared.
`ACCEPT=1 pytest` writes what is printed into the pages. What has to be so before stands in error_situations.py.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

import pytest

from tests.errors.pages import Example, example, write
from tests.system.engines import Engine
from tests.system.error_situations import SITUATIONS, Situation, with_runtime

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

VOLATILE = re.compile(r"\b[0-9a-f]{12,64}\b|(?<=starts containers )(was killed; try again|is gone: [\w ]+)")
"""Ids, and how a killed zygote was noticed: by its end or by what could not be sent to it."""


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("pages"), idle=30)
    made.env["COMPOSE_PROJECT_NAME"] = "shop"
    with_runtime(made)
    yield made
    made.close()


def lay_out(engine: Engine, shown: Example) -> None:
    for path in sorted(engine.project.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for name, text in shown.files.items():
        (engine.project / name).parent.mkdir(parents=True, exist_ok=True)
        (engine.project / name).write_text(text.replace("image: busybox", "image: 'rootfs:/'"))


def printed(engine: Engine, code: str, shown: Example, situation: Situation) -> str:
    """What the example's command writes, to stderr where it does."""
    line = shown.command.replace("compose-lite", '"$PYTHON" -m compose_lite')
    process = subprocess.Popen(
        [*engine.wrap, "sh", "-c", f"exec env {line}" if situation.meanwhile else line],
        cwd=engine.project, env={**engine.env, "PYTHON": sys.executable}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if situation.meanwhile:
        return _until_said(process, code, partial(situation.meanwhile, engine))
    out, err = process.communicate(timeout=60)
    assert situation.ends_well == (process.returncode == 0), out + err
    return err or out


def _until_said(process: subprocess.Popen[str], code: str, act: Callable[[], None]) -> str:
    """Of a command that goes on: acts when it is ready; what it said up to the error."""
    lines: queue.Queue[str] = queue.Queue()

    def read(stream: IO[str]) -> None:
        for line in stream:
            lines.put(line)

    assert process.stdout and process.stderr
    readers = [threading.Thread(target=read, args=(stream,)) for stream in (process.stdout, process.stderr)]
    for reader in readers:
        reader.start()
    text = ""
    try:
        while f"[{code}]" not in text:
            text += (line := lines.get(timeout=30))
            if "Watch enabled" in line:
                act()
        return text
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        for reader in readers:
            reader.join()
        process.stdout.close()
        process.stderr.close()


@contextlib.contextmanager
def engine_for(situation: Situation, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The one that most share, or one of its own."""
    if situation.own:
        with situation.own() as own:
            yield own
        return
    engine = request.getfixturevalue("usual")
    env = dict(engine.env)
    try:
        yield engine
    finally:
        for project in ("shop", "first"):
            engine.run("-p", project, "down", "-v", "-t", "0", "--remove-orphans", code=None)
        engine.run("network", "rm", "far", code=None)
        engine.env = env


@pytest.mark.parametrize("code", sorted(SITUATIONS))
def test_the_example_gives_the_error(code: str, request: pytest.FixtureRequest) -> None:
    shown, situation = example(code), SITUATIONS[code]
    assert shown
    with engine_for(situation, request) as engine:
        lay_out(engine, shown)
        for line in situation.before:
            engine.run(*line.split())
        with situation.around(engine) if situation.around else contextlib.nullcontext():
            text = printed(engine, code, shown, situation)
    says = said(
        text.replace(f"{engine.project}/", "")
        .replace(f"{engine.base}/data", "/var/lib/compose-lite")
        .replace(f"{engine.base}/bin", "/usr/bin"),
        code,
    )
    if os.environ.get("ACCEPT"):
        write(code, Example(shown.files, shown.command, says))
    found = example(code)
    assert found and VOLATILE.sub("ID", found.says) == VOLATILE.sub("ID", says)


def said(text: str, code: str) -> str:
    """The line with the error."""
    if f"[{code}]" in text:
        return (text[: text.find(f"[{code}]")].rpartition("\n")[2] + f"[{code}]").strip()
    begin = text.rfind("Error response from daemon")  # what the engine refuses is told in Docker's words
    return text[begin:].strip().partition("\n\n")[0] if begin >= 0 else text.strip().rpartition("\n")[2]
