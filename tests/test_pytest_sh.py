"""tests/pytest.sh, the runner of every suite: what failed runs once more, by name, with the same options."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("pytest.sh")
CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--cli")
"""
SUITE = """
from pathlib import Path

import pytest

@pytest.mark.parametrize("name", ["steady", "unsteady", "a b"])
def test_case(name, request):
    assert request.config.getoption("cli")
    seen = Path(__file__).with_name(name)
    seen.touch()
    if name != "steady" and not seen.with_suffix(".again").exists():
        seen.with_suffix(".again").touch()
        raise AssertionError("the first time")

def test_broken():
    assert {broken}
"""


@pytest.mark.parametrize(("broken", "status", "summary"), [("True", 0, "2 passed"), ("False", 1, "1 failed, 2 passed")])
def test_failed_tests_run_once_more(tmp_path: Path, broken: str, status: int, summary: str) -> None:
    """As the conformance suites run: cases of a list, in a folder that shares no parent but / with paths among the options' values."""
    suite = tmp_path / "suites/deep/er"
    suite.mkdir(parents=True)
    (suite / "conftest.py").write_text(CONFTEST)
    (suite / "test_suite.py").write_text(SUITE.replace("{broken}", broken))
    listed = tmp_path / "list.txt"
    listed.write_text(
        "".join(f"test_suite.py::test_case[{name}]\n" for name in ("steady", "unsteady", "a b")) + "test_suite.py::test_broken\n"
    )
    command = ["sh", str(SCRIPT), sys.executable, "-q", "-n", "2", "--cli", "/usr/bin/env", "--", f"@{listed}"]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "once more and alone" in done.stdout and "test_case[a b]" in done.stdout
    assert summary in done.stdout.splitlines()[-1]
