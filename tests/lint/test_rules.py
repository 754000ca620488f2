"""Every rule by the examples of its page; fixes keep the project; reports have the forms that others read."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from compose_lite.cli.commands import lint
from compose_lite.cli.context import Context, Globals
from compose_lite.errors import UsageError
from compose_lite.lint.edits import edited
from compose_lite.lint.finding import Edit, Finding
from compose_lite.lint.report import FORMATS
from compose_lite.lint.rules import RULES, findings
from compose_lite.lint.subject import Subject, files_of, source_of
from compose_lite.spec.load import LoadOptions, load

DOCS = Path(__file__).parents[2] / "docs/lint"


def found(folder: Path, text: str) -> list[Finding]:
    (folder / "compose.yaml").write_text(text)
    project = load(LoadOptions(environ={}, cwd=str(folder))).project
    sources = {file: source_of(file, Path(file).read_bytes()) for file in files_of(project)}
    return findings(Subject(project, sources, project.compose_files))


def codes(folder: Path, text: str) -> list[str]:
    return [finding.code for finding in found(folder, text)]


@pytest.mark.parametrize("code", [rule.code for rule in RULES])
def test_the_examples_of_the_page(code: str, tmp_path: Path) -> None:
    page = (DOCS / f"{code}.md").read_text()
    bad, good = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "password.txt").write_text("x")
    assert page.startswith(f"# {code}: ") and f"[{code}]" in (DOCS / "README.md").read_text()
    assert codes(tmp_path, bad) == [code], "the first example gives this finding and no other"
    assert codes(tmp_path, good) == []


def test_every_page_has_a_rule() -> None:
    assert {page.stem for page in DOCS.glob("*.md")} - {"README"} == {rule.code for rule in RULES}


def test_places_and_excuses(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "services:\n  web:\n    image: nginx\n")
    assert str(one.place) == f"{tmp_path}/compose.yaml:3:12"
    assert codes(tmp_path, "services:\n  web:\n    image: nginx # compose-lite: ignore image-without-tag\n") == []
    assert codes(tmp_path, "services:\n  web:\n    # compose-lite: ignore privileged, image-without-tag\n    image: nginx\n") == []
    assert codes(tmp_path, "services:\n  web:\n    image: nginx # compose-lite: ignore privileged\n") == ["image-without-tag"]


@pytest.mark.parametrize(
    "quiet",
    [
        "environment: {PASSWORD: '${PASSWORD:-x}', TOKEN_FILE: a, MYSQL_ALLOW_EMPTY_PASSWORD: 'yes', TOKEN: }",
        "command: sh -c 'trap exit TERM; a; b'",
        "command: sh -c 'serve --port 1'",
        "command: [sh, -c, 'while ! ready; do sleep 1; done; exec serve']",
        "init: true\n    command: sh -c 'a; b'",
        "ports: ['8080:80', '8080:80/udp', '127.0.0.1:81:80', '127.0.0.2:81:80', '90-91:90-91']",
        "image: nginx@sha256:" + "a" * 64,
        "image: registry:5000/nginx:1",
    ],
)
def test_what_is_fine(quiet: str, tmp_path: Path) -> None:
    image = "" if quiet.startswith("image") else "    image: nginx:1\n"
    assert codes(tmp_path, f"services:\n  web:\n{image}    {quiet}\n") == []


def test_ports_of_several_containers_clash(tmp_path: Path) -> None:
    assert codes(tmp_path, "services:\n  web:\n    image: nginx:1\n    scale: 2\n    ports: ['80:80']\n") == ["port-clash"]


UNTIDY = """# my project
version: "3" # old

x-common: &common  # kept
  restart: always
services:
  web: &unused
    image: nginx:1.27
    ports:
      - 8080:22   # the site
      - 80:80
      - "81:81"
networks:
  # nobody is here
  old:
    driver: bridge
volumes:
  data: {}
  more:
"""
TIDY = """# my project

x-common:  # kept
  restart: always
services:
  web:
    image: nginx:1.27
    ports:
      - "8080:22"   # the site
      - 80:80
      - "81:81"
"""


def fix(folder: Path, **more: object) -> tuple[int, str]:
    context = Context(Globals(project_directory=str(folder), files=(str(folder / "compose.yaml"),)), {}, io.StringIO(), io.StringIO())
    values = {"fix": True, "format": "text", "ignore": (), "output": "", **more}
    return lint.run(context, **values), context.out.getvalue()  # type: ignore[arg-type, attr-defined]


def test_fix_keeps_comments_and_layout(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(UNTIDY)
    assert fix(tmp_path) == (0, "")
    assert file.read_text() == TIDY
    file.write_bytes(UNTIDY.replace("\n", "\r\n").encode())
    assert fix(tmp_path) == (0, "")
    assert file.read_bytes() == TIDY.replace("\n", "\r\n").encode()
    file.write_text("services: {web: {image: 'a:1'}}\nvolumes: {a: , b: }\n")
    assert fix(tmp_path) == (0, "") and file.read_text() == "services: {web: {image: 'a:1'}}\n"


def test_a_file_that_does_not_load_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {imaeg: a}}")
    status, text = fix(tmp_path, fix=False, format="json")
    (row,) = json.loads(text)
    assert status == 1 and row["code"] == "schema" and row["level"] == "error" and row["line"] == 1
    with pytest.raises(UsageError, match="no rule"):
        fix(tmp_path, ignore=("privilege",))


def test_formats(tmp_path: Path) -> None:
    one = found(tmp_path, "services:\n  web:\n    image: nginx\n")
    cwd = str(tmp_path)
    source = {f"{cwd}/compose.yaml": source_of(f"{cwd}/compose.yaml", (tmp_path / "compose.yaml").read_bytes())}
    assert FORMATS["text"](one, source, cwd).splitlines()[1:] == ["        image: nginx", "               ^", "1 warning"]
    assert FORMATS["github"](one, source, cwd).startswith("::warning file=compose.yaml,line=3,col=12,title=image-without-tag::services.web")
    run = json.loads(FORMATS["sarif"](one, source, cwd))["runs"][0]
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": "compose.yaml"}, "region": {"startLine": 3, "startColumn": 12}}
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {rule.code for rule in RULES}


def test_edits_that_overlap_wait() -> None:
    assert edited("abc\ndef\n", [Edit("f", 1, 2, 2, 2, "-"), Edit("f", 2, 1, 2, 3, "!"), Edit("f", 2, 3, 2, 4)]) == "a-e\n"
