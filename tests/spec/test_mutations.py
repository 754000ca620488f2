"""A sample of the damaged files, and documents made to use up time or memory; the whole is `python -m tests.spec.mutations`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from compose_lite.errors import SpecError
from compose_lite.spec.load import LoadOptions, load
from tests.spec.mutations.damage import damaged, files
from tests.spec.mutations.runner import outcomes, read


def test_damaged_files_are_loaded_or_refused() -> None:
    sources = files()
    texts = [damaged(7, number, sources) for number in range(800)]
    work = [(number, partial(read, text, str(file.parent))) for number, (file, text) in enumerate(texts)]
    assert [outcome for outcome in outcomes(work) if outcome[1] not in ("loaded", "refused")] == []


def test_the_runner_tells_of_what_goes_wrong() -> None:
    def eats() -> str:
        return "x" * (2 << 30)

    def dies() -> str:
        import os

        os._exit(3)

    found = dict(outcomes([(1, eats), (2, dies), (3, lambda: "loaded")]))
    assert "MemoryError" in found[1] and found[2] == "the process ended: 768" and found[3] == "loaded"


BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)])
EXTREMES: dict[str, tuple[Callable[[], bytes], str]] = {
    "aliases": (lambda: f"x-a:\n{BOMB}".replace("\na", "\n  a").encode(), "yaml-content"),
    "aliases and !reset": (lambda: f"x-b: !reset 1\nx-a:\n{BOMB}".replace("\na", "\n  a").encode(), "yaml-content"),
    "an alias within itself": (lambda: b"services: &a {b: *a}", "yaml-content"),
    "flow nesting": (lambda: b"x-a: " + b"[" * 100_000 + b"]" * 100_000, "yaml-syntax"),
    "open brackets": (lambda: b"{a: " * 100_000, "yaml-syntax"),
    "block nesting": (lambda: b"\n".join(b" " * n + b"a:" for n in range(3000)), "yaml-syntax"),
    "dashes": (lambda: b"x-a:\n  " + b"- " * 100_000 + b"a", "yaml-syntax"),
    "a scalar of 100 MB": (lambda: b"services: {a: {image: " + b"x" * 100_000_000 + b"}}", "file-too-large"),
    "a scalar of 20 MB": (lambda: b"services: {a: {image: x, command: '" + b"x" * 20_000_000 + b"}}", "yaml-syntax"),
    "ports": (lambda: b"services: {a: {image: x, ports: ['1-65535:1-65534']}}", "short-form"),
    "braces in a variable": (lambda: b"services: {a: {image: '" + b"${A:-" * 20_000 + b"'}}", "interpolation"),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_what_would_use_up_the_machine_is_refused(name: str) -> None:
    content, code = EXTREMES[name]

    def work() -> str:
        try:
            load(LoadOptions({}, "/", files=("-",), project_name="p", stdin=content().decode))
        except SpecError as error:
            return error.code
        return "loaded"

    assert dict(outcomes([(0, work)])) == {0: code}


def test_circles_of_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: [b.yaml]")
    (tmp_path / "b.yaml").write_text("include: [a.yaml]")
    (tmp_path / "c.yaml").write_text("services: {a: {extends: {file: d.yaml, service: a}}}")
    (tmp_path / "d.yaml").write_text("services: {a: {extends: {file: c.yaml, service: a}}}")
    for file, code in (("a.yaml", "include-cycle"), ("c.yaml", "extends-cycle"), ("/dev/zero", "file-too-large")):
        with pytest.raises(SpecError) as caught:
            load(LoadOptions({}, str(tmp_path), files=(file,), project_name="p"))
        assert caught.value.code == code
