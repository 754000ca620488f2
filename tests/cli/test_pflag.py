"""pflag's rules."""

import pytest

from compose_lite.cli.pflag import Command, argument, arguments, flag, option, optional, options
from compose_lite.errors import UsageError

PARTS = (
    flag("-d", "--detach"),
    flag("-q", "--quiet"),
    option("-n", "--name"),
    options("-e", "--env"),
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
        (["--detach=maybe"], 1, "invalid argument"),
        (["--det"], 1, "unknown flag: --det"),
    ],
)
def test_refused(words: list[str], status: int, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        UP.read(words, "compose-lite up")
    assert caught.value.status == status


def test_a_missing_argument() -> None:
    with pytest.raises(UsageError, match="requires at least 1 argument"):
        RUN.read([], "compose-lite run")


def test_a_switch_that_is_on_can_be_turned_off() -> None:
    command = Command("x", "", (flag("-o", "--orphans", default=True), flag("--tty", default=None), flag("-q", "--quiet")))
    assert command.read([], "x") == {"orphans": True, "tty": None, "quiet": False}
    assert command.read(["--orphans=false", "--tty=0", "--quiet=true"], "x") == {"orphans": False, "tty": False, "quiet": True}
    assert command.read(["-o=false", "--orphans"], "x")["orphans"] is True
    assert "off:" not in command.usage("x")
