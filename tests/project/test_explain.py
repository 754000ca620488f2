"""Where a value came from: every step, in order, with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compose_lite.errors import SpecError
from compose_lite.project.explain import Explanation, as_json, as_text, explain
from compose_lite.spec.load import LoadOptions

FILES = {
    "common.yaml": "services:\n  base:\n    environment:\n      DEBUG: ${DEBUG:-0}\n      BASE: a\n",
    "compose.yaml": """include: [inc.yaml]
services:
  web:
    extends: {file: common.yaml, service: base}
    image: nginx:${TAG}
    env_file: web.env
    environment: [DEBUG=no, USER, GONE=1]
    ports: ["80:80"]
    labels: {com.example.x: "${COMPOSE_PROJECT_NAME}"}
""",
    "compose.override.yaml": """services:
  web:
    environment:
      DEBUG: last
    ports: ["81:81"]
""",
    "inc.yaml": "services: {other: {image: 'redis:${TAG}'}}",
    ".env": "# tags\nTAG=1.27\n",
    "web.env": "DEBUG=env\nexport ONLY=file\n",
}


def explained(folder: Path, path: str, **files: str) -> Explanation:
    for name, text in {**FILES, **files}.items():
        (folder / name).write_text(text)
    return explain(LoadOptions(environ={"USER": "me"}, cwd=str(folder), project_name="shop"), path)


def places(found: Explanation) -> list[str]:
    return [f"{step.place.file.rpartition('/')[2]}:{step.place.line}" for step in found.steps]


def test_every_step_in_order(tmp_path: Path) -> None:
    found = explained(tmp_path, "services.web.environment.DEBUG")
    assert found.value == "last"
    assert places(found) == ["web.env:1", "common.yaml:4", "compose.yaml:7", "compose.override.yaml:4"]
    assert found.steps[1].role == "service 'base', which 'web' extends"
    assert found.steps[1].notes == ("DEBUG is not set; otherwise '0'", 'gives "0"')
    assert as_text(found, str(tmp_path)).endswith("the last one holds: compose.override.yaml:4:7\n")


@pytest.mark.parametrize(
    ("path", "value", "where", "note"),
    [
        ("services.web.environment.ONLY", "file", ["web.env:2"], ""),
        ("services.web.environment.BASE", "a", ["common.yaml:5"], ""),
        ("services.web.environment.USER", "me", ["compose.yaml:7"], "in the environment of the command"),
        ("services.web.image", "nginx:1.27", ["compose.yaml:5"], ".env:2"),
        ("services.other.image", "redis:1.27", ["inc.yaml:1"], ".env:2"),
        ("services.web.labels.com.example.x", "shop", ["compose.yaml:9"], "the project's name"),
        ("services.web.ports[1].target", 81, ["compose.yaml:8", "compose.override.yaml:5"], ""),
        ("networks.default.name", "shop_default", [], ""),
        ("name", "shop", [], ""),
    ],
)
def test_where_from(path: str, value: object, where: list[str], note: str, tmp_path: Path) -> None:
    found = explained(tmp_path, path)
    assert (found.path, found.value, places(found)) == (path, value, where)
    assert note in " ".join(" ".join(step.notes) for step in found.steps)
    assert json.loads(as_json(found))["value"] == value


def test_what_no_file_says(tmp_path: Path) -> None:
    assert "it is a default" in as_text(explained(tmp_path, "networks.default.name"), "/")
    assert "--project-name" in as_text(explained(tmp_path, "name"), "/")
    assert as_text(explained(tmp_path, "services.web.ports[1]"), str(tmp_path)).endswith("written at compose.override.yaml:5:13\n")


RESET = {
    "compose.yaml": """services:
  base:
    image: nginx
    build: {context: ., args: {A: "1"}}
  web:
    extends: base
    env_file: web.env
    environment:
      DEBUG: no
      OTHER: a
    ports: ["80:80"]
    labels: [com.example.x=1]
    build: !reset null
  gone: {image: redis}
""",
    "compose.override.yaml": """services:
  web:
    environment:
      DEBUG: !reset null
    ports: !reset []
    labels: !override
      com.example.y: "2"
    networks: !reset
  gone: !reset
""",
}


def test_what_an_override_replaced_is_said_with_its_line(tmp_path: Path) -> None:
    over = "services:\n  web:\n    environment: !override\n      DEBUG: last\n"
    found = explained(tmp_path, "services.web.environment.DEBUG", **{"compose.override.yaml": over})
    at = f"!override at {tmp_path}/compose.override.yaml:3:5"
    assert f"{at} takes out what was said before" in found.steps[-1].notes
    assert [f"taken out by {at}" in step.notes for step in found.steps] == [False, True, True, False]  # what env files say stays
    assert as_text(found, str(tmp_path)).endswith("the last one holds: compose.override.yaml:4:7\n")
    found = explained(tmp_path, "services.web.environment", **{"compose.override.yaml": over})
    assert as_text(found, str(tmp_path)).endswith("the last one holds: compose.override.yaml:3:5\n")


@pytest.mark.parametrize(
    ("path", "found_path", "where", "tag"),
    [
        ("services.web.ports", "services.web.ports", ["compose.yaml:11", "compose.override.yaml:5"], "!reset"),
        ("services.web.ports[0].target", "services.web.ports", ["compose.yaml:11", "compose.override.yaml:5"], "!reset"),
        (
            "services.web.labels.com.example.x",
            "services.web.labels.com.example.x",
            ["compose.yaml:12", "compose.override.yaml:6"],
            "!override",
        ),
        ("services.web.build.args.A", "services.web.build.args.A", ["compose.yaml:4", "compose.yaml:13"], "!reset"),
        ("services.gone", "services.gone", ["compose.yaml:14", "compose.override.yaml:9"], "!reset"),
        ("services.gone.image", "services.gone.image", ["compose.yaml:14", "compose.override.yaml:9"], "!reset"),
    ],
)
def test_what_an_override_removed_is_said_with_its_line(path: str, found_path: str, where: list[str], tag: str, tmp_path: Path) -> None:
    found = explained(tmp_path, path, **RESET)
    assert (found.path, found.value, places(found), found.standing) == (found_path, None, where, None)
    text = as_text(found, str(tmp_path))
    file, line = where[-1].split(":")
    assert text.startswith(f"{found_path} has no value\n")
    assert f"taken out by {tag} at {file}:{line}:" in text and text.splitlines()[-1].startswith(f"nothing holds: {tag} at {file}:{line}:")
    removed = {"tag": tag, "file": f"{tmp_path}/{file}", "line": int(line), "column": 3 if "gone" in path else 5}
    assert json.loads(as_json(found))["removed"] == removed


def test_what_is_left_after_a_reset(tmp_path: Path) -> None:
    found = explained(tmp_path, "services.web.environment.DEBUG", **RESET)
    assert found.value == "env" and found.removed is None
    assert as_text(found, str(tmp_path)) == (
        'services.web.environment.DEBUG: "env"\n'
        "1. web.env:1:1  (env_file)\n   DEBUG=env\n"
        '2. compose.yaml:9:7\n   DEBUG: "no"\n   - taken out by !reset at compose.override.yaml:4:7\n'
        "3. compose.override.yaml:4:7\n   DEBUG: !reset\n   - takes out what was said before\n"
        "what holds: web.env:1:1\n"
    )
    found = explained(tmp_path, "services.web.environment", **RESET)
    assert f"!reset at {tmp_path}/compose.override.yaml:4:7 takes out DEBUG of what was said before" in found.steps[-1].notes
    found = explained(tmp_path, "services.web.networks", **RESET)
    assert as_text(found, str(tmp_path)).splitlines()[-1] == "no file says so: it is a default"


def test_a_path_that_nobody_says_is_no_removed_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"there is no XYZ in services.web"):
        explained(tmp_path, "services.web.XYZ", **RESET)
    with pytest.raises(SpecError, match=r"there is no build in services.web"):
        explained(tmp_path, "services.web.build.args.NOBODY", **RESET)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"there is no DEBG in services.web.environment. Did you mean 'DEBUG'"):
        explained(tmp_path, "services.web.environment.DEBG")
    with pytest.raises(SpecError, match=r"there is no \[7\] in services.web.ports"):
        explained(tmp_path, "services.web.ports[7]")


def test_a_service_of_a_profile_that_is_off_is_explained_and_said_to_be_off(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n  web: {image: a}\n  web.tool: {image: b, profiles: [dev], depends_on: [web], command: [run]}\n"
    )
    found = explain(LoadOptions({}, str(tmp_path), project_name="p"), "services.web.tool.command[0]")
    assert found.value == "run" and found.steps[0].place.line == 3
    assert as_text(found, str(tmp_path)).endswith("service 'web.tool' is not active: it is of profile dev\n")
    with pytest.raises(SpecError, match=r"there is no wbe in services\. Did you mean 'web'"):
        explain(LoadOptions({}, str(tmp_path), project_name="p"), "services.wbe.command")


def test_long_values_are_shown_as_blocks_and_what_one_says_is_not_put_together(tmp_path: Path) -> None:
    words = ", ".join(f"word{n}" for n in range(20))
    (tmp_path / "compose.yaml").write_text(f"services:\n  web: {{image: a, command: [{words}], expose: ['1']}}\n")
    options = LoadOptions({}, str(tmp_path), project_name="p")
    block = "".join(f"  - word{n}\n" for n in range(20))
    shown = as_text(explain(options, "services.web.command"), str(tmp_path))
    assert shown.startswith(f"services.web.command:\n{block}1. compose.yaml:2:19\n   command:\n     - word0\n")
    assert "put together" not in shown
    found = explain(options, "services.web.expose")
    where = found.steps[0].place.column
    assert as_text(found, str(tmp_path)) == f'services.web.expose: ["1"]\n1. compose.yaml:2:{where}\n   expose: ["1"]\n'
