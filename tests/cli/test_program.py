"""The name that texts use: a link called docker-compose and docker's plugin are answered by their own name."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compose_lite import front
from compose_lite.cli import main
from compose_lite.cli.program import NAME, PLUGIN, STANDALONE, called, renamed


@pytest.mark.parametrize(
    ("argv0", "name"),
    [
        ("/usr/bin/compose-lite", NAME),
        ("docker-compose", STANDALONE),
        ("/opt/bin/docker-compose", STANDALONE),
        ("", NAME),
        (PLUGIN, PLUGIN),
    ],
)
def test_the_name(argv0: str, name: str) -> None:
    assert called(argv0) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No such image. `compose-lite image ls` lists them", "No such image. `docker-compose image ls` lists them"),
        ("See 'compose-lite up --help'.", "See 'docker-compose up --help'."),
        ('"compose-lite exec" requires', '"docker-compose exec" requires'),
        ("  compose-lite up -d web\n  compose-lite logs web", "  docker-compose up -d web\n  docker-compose logs web"),
        ("driver 'x'. compose-lite has the drivers bridge", "driver 'x'. compose-lite has the drivers bridge"),
        ("/run/compose-lite/engine.sock", "/run/compose-lite/engine.sock"),
    ],
)
def test_command_lines_in_texts(text: str, said: str) -> None:
    assert renamed(text, STANDALONE) == said
    assert renamed(text, NAME) == text


def printed(*words: str, argv0: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        main.run(list(words), {"PWD": "/", "COMPOSE_LITE_ENGINE": "unix:///nowhere.sock"}, argv0)
    return out.getvalue() + err.getvalue()


@pytest.mark.parametrize("argv0", [STANDALONE, PLUGIN])
@pytest.mark.parametrize("words", ["", "--help", "up --help", "container --help", "container rm --help", "nonsense", "up --nonsense",
                                   "exec", "container rm", "--nonsense ps", "completion tcsh", "bridge"])  # fmt: skip
def test_usage_and_errors_have_that_name(words: str, argv0: str) -> None:
    text = printed(*words.split(), argv0=argv0)
    assert text
    assert "compose-lite " not in text.replace("not part of compose-lite", "")


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("compose up -d", "up -d"),
        ("--debug compose -f x.yaml ps", "-f x.yaml ps"),
        ("--context default compose ls", "ls"),
        ("-H unix:///x.sock compose ls", "--engine unix:///x.sock ls"),
        ("--host=unix:///x.sock compose ls", "--engine unix:///x.sock ls"),
        ("compose run web compose", "run web compose"),
        ("__complete compose up --de", "__complete up --de"),
        ("help compose", "help"),
        ("compose", ""),
    ],
)
def test_a_plugins_line(line: str, ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["docker-compose", *line.split()])
    monkeypatch.setitem(front.posix.environ, b"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", b"docker")
    assert front.of_docker(sys.argv[1:]) == ours.split()
    assert sys.argv[0] == PLUGIN
    assert b"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" not in front.posix.environ


def test_docker_is_told_who_we_are() -> None:
    told = json.loads(printed("docker-cli-plugin-metadata", argv0="docker-compose"))
    assert told["SchemaVersion"] == "0.1.0" and told["Vendor"] and told["Version"].startswith("v") and told["ShortDescription"]


@pytest.fixture
def plugin(tmp_path: Path) -> tuple[str, dict[str, str]]:
    """(the real docker program, an environment in which we are its plugin)"""
    program = os.environ.get("DOCKER_PROGRAM") or shutil.which("docker")
    if not program:
        pytest.skip("the docker program is not there (Debian: docker.io; or set DOCKER_PROGRAM)")
    folder = tmp_path / ".docker/cli-plugins"
    folder.mkdir(parents=True)
    ours = folder / "docker-compose"
    ours.write_text(f"#!{sys.executable}\nfrom compose_lite.front import main\nraise SystemExit(main())\n")
    ours.chmod(0o755)
    source = str(Path(main.__file__).parents[2])
    return program, {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": source, "COMPOSE_LITE_RUN_DIR": f"{tmp_path}/run"}


@pytest.mark.slow
def test_the_real_docker_program_runs_us_as_its_plugin(plugin: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    program, env = plugin
    (tmp_path / "compose.yaml").write_text("services: {web: {image: busybox}}\n")

    def docker(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert docker("compose", "config", "--services").stdout == "web\n"
    assert docker("compose", "-p", "shop", "config").stdout.startswith("name: shop\n")
    assert "docker compose up [OPTIONS] [SERVICE...]" in docker("compose", "up", "--help").stdout
    failed = docker("compose", "config", "--nonsense")
    assert (failed.returncode, failed.stderr) == (1, "unknown flag: --nonsense. See 'docker compose config --help'. [unknown-flag]\n")
