"""`up`: flags that contradict each other, whose output is shown, how it is labelled."""

from __future__ import annotations

import io
from typing import Any

import pytest

from compose_lite.cli.commands.up import COMMAND, check_flags
from compose_lite.cli.context import Context, Globals
from compose_lite.cli.foreground import shown
from compose_lite.cli.logview import LogView
from compose_lite.cli.progress import Plain
from compose_lite.cli.upping import Upping, parse_scale
from compose_lite.errors import ProjectError, UsageError
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Dependency, Service

PROJECT = Project(
    name="p",
    services={
        "web": Service(name="web", depends_on={"db": Dependency()}),
        "db": Service(name="db"),
        "mute": Service(name="mute", attach=False),
    },
)


def options(*words: str) -> dict[str, Any]:
    return COMMAND.read(list(words), "compose-lite up")


@pytest.mark.parametrize(
    "words",
    ["--build --no-build", "--force-recreate --no-recreate", "-V --no-recreate", "-d --watch", "-d --attach web",
     "--wait --exit-code-from web", "--attach web --attach-dependencies", "-d --abort-on-container-exit"],
)  # fmt: skip
def test_flags_that_contradict_each_other(words: str) -> None:
    with pytest.raises(UsageError):
        check_flags(options(*words.split()))


def test_flags_that_go_together() -> None:
    check_flags(options("-d", "--wait", "--build", "--force-recreate", "-t", "1", "web"))
    check_flags(options("--exit-code-from", "web", "--abort-on-container-exit", "--no-attach", "db"))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", ["web", "db"]),
        ("web", ["web"]),
        ("--attach-dependencies web", ["db", "web"]),
        ("--attach db", ["db"]),
        ("--no-attach db", ["web"]),
    ],
)
def test_whose_output_is_shown(words: str, names: list[str]) -> None:
    read = options(*words.split())
    upping = Upping(Context(Globals(), {}), PROJECT, Plain(io.StringIO()), tuple(read.pop("services")), read)
    assert shown(upping) == names


def test_attaching_to_nobody() -> None:
    upping = Upping(Context(Globals(), {}), PROJECT, Plain(io.StringIO()), (), options("--attach", "nope"))
    with pytest.raises(ProjectError, match="cannot attach to services not included in up: nope"):
        shown(upping)


def test_scale() -> None:
    assert parse_scale(["web=3", "db=0"], PROJECT) == {"web": 3, "db": 0}
    for wrong in ("web", "web=x", "web=-1"):
        with pytest.raises(UsageError):
            parse_scale([wrong], PROJECT)
    with pytest.raises(ProjectError):
        parse_scale(["nope=1"], PROJECT)


def view(**more: Any) -> tuple[LogView, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    engine: Any = None
    return LogView(Context(Globals(ansi="never"), {}, out, err), engine, services=["web", "db"], **more), out, err


def test_labels_and_lines() -> None:
    one, out, err = view(split=True)
    one.announce([("p-web-1", "web"), ("own-name", "db"), ("p-x-1", "x")])
    one._write("web-1", "hello\r")
    one._write("own-name", "oops", error=True)
    one._write("web-1", "exited with code 0", note=True)
    assert out.getvalue() == "Attaching to own-name, web-1\nweb-1     | hello\nweb-1 exited with code 0\n"
    assert err.getvalue() == "own-name  | oops\n"
    assert one._label("p-web-run-0123456789ab", "web") == "web-run-0123456789ab"


def test_what_is_recreated_is_announced_once() -> None:
    one, out, _ = view()
    one.announce([("p-web-1", "web"), ("p-db-1", "db"), ("p-web-1", "web")])  # its start and its creation are steps of the plan
    assert out.getvalue() == "Attaching to db-1, web-1\n"


def test_no_prefix() -> None:
    one, out, _ = view(prefix=False)
    one._write("web-1", "hello")
    assert out.getvalue() == "hello\n"


def test_colours_only_on_a_terminal_unless_forced() -> None:
    one, out, _ = view()
    one.context.options = Globals(ansi="always")
    one._write("web-1", "a")
    one._write("db-1", "b")
    assert out.getvalue() == "\033[36mweb-1  | \033[0ma\n\033[33mdb-1  | \033[0mb\n"
    one.context.options = Globals(ansi="auto")
    one._write("web-1", "a")
    assert out.getvalue().endswith("\nweb-1  | a\n")
