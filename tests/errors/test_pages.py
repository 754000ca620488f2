"""Every page of docs/errors has an example, and what the example prints is what the page shows.

Commands run in this process, with no engine there or with one of canned answers (answers.py); what else needs an engine is a call
(calls.py), is run on a real one (tests/system/test_error_pages.py), or is listed (elsewhere.py).
`ACCEPT=1 pytest` writes what is printed into the pages; the review reads their diff.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from pathlib import Path

import pytest

from compose_lite.cli import main
from compose_lite.errors import Error
from tests.errors.answers import ANSWERS, FAKED, TERMINAL
from tests.errors.calls import CALLS
from tests.errors.elsewhere import RUN_BY_SYSTEM_TESTS
from tests.errors.pages import PAGES, Example, example, write
from tests.errors.stub import answering

CODES = sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "README")


def printed(code: str, shown: Example, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command writes to stderr."""
    monkeypatch.chdir(folder)
    if code in TERMINAL:
        monkeypatch.setattr("os.isatty", lambda fd: True)
    line, _, stdin = shown.command.partition(" < ")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / stdin).read_bytes() if stdin else b"")))
    words = shlex.split(line)
    environ = {"HOME": str(folder), "PWD": str(folder), "PATH": "/usr/bin:/bin", "COMPOSE_LITE_ENGINE": f"unix://{folder}/none.sock"}
    environ |= {"COMPOSE_LITE_RUN_DIR": f"{folder}/run", "COMPOSE_LITE_DATA_DIR": f"{folder}/data"}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    err = io.StringIO()
    engine = answering(folder / "none.sock", ANSWERS[code]) if code in ANSWERS else contextlib.nullcontext()
    faked = FAKED[code]() if code in FAKED else contextlib.nullcontext()
    with engine, faked, contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        assert main.run(words[1:], environ) != 0
    return err.getvalue()


def raised(code: str, folder: Path) -> str:
    with pytest.raises(Error) as caught:
        CALLS[code](folder)
    assert caught.value.code == code
    return str(caught.value)


@pytest.mark.parametrize("code", [code for code in CODES if code not in RUN_BY_SYSTEM_TESTS])
def test_the_example_gives_the_error(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = example(code)
    assert shown, f"docs/errors/{code}.md has no example"
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in shown.files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if text.startswith("#!") else 0o644)
    text = raised(code, folder) if code in CALLS else printed(code, shown, folder, monkeypatch)
    text = text.replace(f"{folder}/", "").replace(str(folder), ".").strip()
    text, found, _ = text.partition(f"[{code}]")
    assert found, text
    text += found
    if os.environ.get("ACCEPT"):
        write(code, Example(shown.files, shown.command, text))
    assert example(code) == Example(shown.files, shown.command, text)


def test_every_page_has_an_example() -> None:
    """With its code, unless the engine says it, whose errors are told in Docker's words."""
    shown = {code: example(code) for code in CODES}
    plain = ("Error response from daemon: ", "OCI runtime exec failed: ")
    assert {code for code, one in shown.items() if one is None or not (f"[{code}]" in one.says or one.says.startswith(plain))} == set()


def test_what_is_listed_is_there_and_is_not_tested_anyway() -> None:
    assert RUN_BY_SYSTEM_TESTS - set(CODES) == set()
    assert RUN_BY_SYSTEM_TESTS & (CALLS.keys() | ANSWERS.keys() | FAKED.keys()) == set()
