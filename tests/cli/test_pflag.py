"""pflag's rules."""

import re

import click
import pytest

from compose_lite.cli.pflag import Command, argument, arguments, flag, option, optional, options
from compose_lite.errors import UsageError

PARTS = (
    flag("-d", "--detach"),
    flag("-q", "--quiet"),
    option("-n", "--name"),
    options("-e", "--env"),
    option("-t", "--timeout", type=int),
    optional("--pull", implied="always"),
)
UP = Command("up", "", (*PARTS, arguments("services")))
RUN = Command("run", "", (*PARTS, argument("image"), arguments("command")), interspersed=False)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["-d"], {"detach": True}),
        (["--detach=false"], {"detach": False}),
        (["-d", "--detach=false"], {"detach": False}),
        (["-dq"], {"detach": True, "quiet": True}),
        (["-dn", "x", "web"], {"name": "x", "detach": True, "services": ("web",)}),
        (["-nx"], {"name": "x"}),
        (["-n=x"], {"name": "x"}),
        (["--name=x=y"], {"name": "x=y"}),
        (["--name", "-x"], {"name": "-x"}),
        (["--name", ""], {"name": ""}),
        (["-e", "A=1", "--env=B=2"], {"env": ("A=1", "B=2")}),
        (["--pull"], {"pull": "always"}),
        (["--pull=never", "web"], {"pull": "never", "services": ("web",)}),
        (["--pull", "web"], {"pull": "always", "services": ("web",)}),
        (["web", "-d"], {"detach": True, "services": ("web",)}),
        (["--", "-d"], {"detach": False, "services": ("-d",)}),
    ],
)
def test_up(words: list[str], wanted: dict[str, object]) -> None:
    assert wanted.items() <= UP.read(words, "compose-lite up").items()


def test_words_after_the_first_are_the_containers() -> None:
    read = RUN.read(["-d", "busybox", "sh", "-c", "x -d --name"], "run")
    assert (read["detach"], read["image"], read["command"]) == (True, "busybox", ("sh", "-c", "x -d --name"))


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--nope"], 1, "unknown flag: --nope"),
        (["-x"], 1, "unknown shorthand flag: 'x' in -x"),
        (["--name"], 1, "flag needs an argument: --name"),
        (["-n"], 1, "flag needs an argument: 'n' in -n"),
        (["--detach=maybe"], 1, 'invalid argument "maybe" for "-d, --detach" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["-t", "x"], 1, 'invalid argument "x" for "-t, --timeout" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["--det"], 1, "unknown flag: --det"),
    ],
)
def test_refused(words: list[str], status: int, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        UP.read(words, "compose-lite up")
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("parts", "words", "says"),
    [
        ((argument("image"), arguments("command")), [], "requires at least 1 arg(s), only received 0. Usage: x up IMAGE [COMMAND...]"),
        ((argument("image"), arguments("command", required=True)), ["-q", "a"], "requires at least 2 arg(s), only received 1"),
        ((argument("a"), argument("b", required=False)), ["1", "2", "3"], "accepts between 1 and 2 arg(s), received 3"),
        ((argument("a"),), ["1", "2"], "accepts 1 arg(s), received 2"),
        ((), ["web"], 'unknown command "web" for "x up"'),
    ],
)
def test_a_wrong_number_of_arguments(parts: tuple[click.Argument, ...], words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Command("up", "", (*([flag("-q", "--quiet")] if "-q" in words else ()), *parts)).read(words, "x up")
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(("name", "says"), [("cp", "'x cp' requires 2 arguments"), ("wait", "'x wait' requires at least 1 argument.")])
def test_where_the_reference_counts_as_docker_does(name: str, says: str) -> None:
    parts = (argument("a"), argument("b")) if name == "cp" else (arguments("services", required=True),)
    with pytest.raises(UsageError) as caught:
        Command(name, "", parts).read([], f"x {name}")
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(("words", "says"), [([], "'x rm' requires 1 argument. Usage: x rm"), (["a", "b"], "'x rm' requires 1 argument")])
def test_nouns_count_as_docker_does(words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Command("rm", "", (argument("name"),)).read(words, "x rm", noun=True)
    assert str(caught.value).startswith(says) and caught.value.status == 1
    with pytest.raises(UsageError, match="'x ls' accepts no arguments"):
        Command("ls", "", ()).read(["a"], "x ls", noun=True)


def test_what_is_given_is_told_apart_from_defaults() -> None:
    command = Command("x", "", (option("--ansi", default="auto"), option("-n", "--parallel", type=int, default=-1)))
    assert command.read_given(["--ansi", "auto"], "x") == ({"ansi": "auto", "parallel": -1}, {"ansi"})


def test_help_says_defaults_that_say_something() -> None:
    parts = (flag("--on", help="On", default=True), flag("--off", help="Off"), option("--kind", help="Kind", default="tcp"))
    text = Command("x", "X", (*parts, option("--n", help="N", type=int, default=0), arguments("services"))).usage("p x")
    assert text.startswith("Usage:  p x [OPTIONS] [SERVICE...]\n")
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("--")]
    assert lines == [
        '--kind string   Kind (default "tcp")',
        "--n int         N",
        "--off           Off",
        "--on            On (default true)",
    ]
