"""One command each: `nox -s lint types unit system conformance docs coverage bench`; plain `nox` runs what needs no root.

`nox -s lint -R` uses the environment again. Real containers (system, conformance) need root and Debian's busybox-static.
"""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "unit", "docs"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"
PYTHONS = ["3.11", "3.12", "3.13"]
CODE = ["compose_lite", "tests", "examples", "benchmarks", "noxfile.py"]
FAST = "not slow and not root and not system"


@nox.session
def lint(session: nox.Session) -> None:
    """Style and layout; `nox -s lint -- --fix` corrects what it can."""
    session.install("ruff")
    session.run("ruff", "check", *session.posargs, *CODE)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]), *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over the package."""
    session.install("-e", ".[dev]")
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """What anybody can run, in less than a minute, on each Python that is there."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "-m", FAST, *session.posargs, "tests")


@nox.session
def system(session: nox.Session) -> None:
    """Real containers, as root."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "-m", "root or system", *session.posargs, "tests")


@nox.session
def conformance(session: nox.Session) -> None:
    """The black-box suites of CONFORMANCE_DIR against the record in tests/conformance."""
    session.run("sh", "tests/conformance/run.sh", *session.posargs, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Pages that code and documents keep each other true to: errors, compatibility, architecture."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", *session.posargs, "tests/test_docs.py", "tests/test_imports.py")


@nox.session
def coverage(session: nox.Session) -> None:
    """What the unit tests reach."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "-m", FAST, "--cov=compose_lite", "--cov-report=term:skip-covered", *session.posargs, "tests")


@nox.session
def bench(session: nox.Session) -> None:
    """The budgets of docs/architecture.md, one file each; as root."""
    session.install("-e", ".[test]")
    for file in session.posargs or sorted(str(path) for path in Path("benchmarks").glob("*.py")):
        session.run("python", file)
