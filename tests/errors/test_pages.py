"""Every page of docs/errors has an example, and what the example prints is what the page shows.

Commands run in this process, with no engine there; what needs an engine is a call (calls.py), or is listed (elsewhere.py).
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
from tests.errors.calls import CALLS
from tests.errors.elsewhere import REASONS
from tests.errors.pages import PAGES, Example, example, write

CODES = sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "README")
ELSEWHERE = frozenset().union(*REASONS.values())


def printed(shown: Example, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command writes to stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    words = shlex.split(shown.command)
    environ = {"HOME": str(folder), "PWD": str(folder), "PATH": "/usr/bin:/bin", "COMPOSE_LITE_ENGINE": f"unix://{folder}/none.sock"}
    environ |= {"COMPOSE_LITE_RUN_DIR": f"{folder}/run", "COMPOSE_LITE_DATA_DIR": f"{folder}/data"}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        assert main.run(words[1:], environ) != 0
    return err.getvalue()


def raised(code: str, folder: Path) -> str:
    with pytest.raises(Error) as caught:
        CALLS[code](folder)
    assert caught.value.code == code
    return str(caught.value)


@pytest.mark.parametrize("code", [code for code in CODES if code not in ELSEWHERE])
def test_the_example_gives_the_error(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = example(code)
    assert shown, f"docs/errors/{code}.md has no example (or give a reason in tests/errors/elsewhere.py)"
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in shown.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    text = raised(code, folder) if code in CALLS else printed(shown, folder, monkeypatch)
    text = text.replace(f"{folder}/", "").replace(str(folder), ".").strip()
    text, found, _ = text.partition(f"[{code}]")
    assert found
    text += found
    if os.environ.get("ACCEPT"):
        write(code, Example(shown.files, shown.command, text))
    assert example(code) == Example(shown.files, shown.command, text)


def test_every_page_has_an_example() -> None:
    shown = {code: example(code) for code in CODES}
    assert {code for code, one in shown.items() if one is None or f"[{code}]" not in one.says} == set()


def test_what_is_listed_is_there_and_is_not_tested_anyway() -> None:
    assert ELSEWHERE - set(CODES) == set()
    assert ELSEWHERE & CALLS.keys() == set()
    assert sum(map(len, REASONS.values())) == len(ELSEWHERE) < len(CODES) / 2
