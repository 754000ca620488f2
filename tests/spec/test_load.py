"""Where files, names and variables come from; places after all passes; equal input gives an equal project."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from compose_lite.errors import SpecError
from compose_lite.spec.load import Loaded, LoadOptions, load
from compose_lite.spec.models.project import place
from compose_lite.spec.schema import as_json

WEB = "services: {web: {image: a}}\n"


def loaded(folder: Path, environ: dict[str, str] | None = None, **options: Any) -> Loaded:
    return load(LoadOptions(environ=environ or {}, cwd=options.pop("cwd", str(folder)), **options))


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_nearest_folder_with_a_file_is_the_project(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml=WEB, compose_override_yaml="services: {web: {image: b}}", a__b__x="")
    project = loaded(tmp_path, cwd=str(tmp_path / "a/b")).project
    assert (project.working_dir, project.services["web"].image) == (str(tmp_path), "b")
    assert [Path(f).name for f in project.compose_files] == ["compose.yaml", "compose.override.yaml"]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no configuration file provided"):
        loaded(tmp_path)


def test_files_of_the_command_line_go_before_those_of_the_environment(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=WEB, b_yaml="services: {web: {image: b}}", c_yaml="services: {c: {image: c}}")
    both = {"COMPOSE_FILE": "a.yaml;b.yaml", "COMPOSE_PATH_SEPARATOR": ";"}
    assert loaded(tmp_path, both).project.services["web"].image == "b"
    assert list(loaded(tmp_path, both, files=("c.yaml",)).project.services) == ["c"]
    assert list(loaded(tmp_path, files=("-",), stdin=lambda: WEB).project.services) == ["web"]


@pytest.mark.parametrize(
    ("environ", "options", "name"),
    [
        ({}, {}, "in-file"),
        ({"COMPOSE_PROJECT_NAME": "env"}, {}, "env"),
        ({"COMPOSE_PROJECT_NAME": "env"}, {"project_name": "flag"}, "flag"),
    ],
)
def test_the_name(tmp_path: Path, environ: dict[str, str], options: dict[str, Any], name: str) -> None:
    write(tmp_path, compose_yaml="name: in-file\nservices: {web: {image: '${COMPOSE_PROJECT_NAME}'}}")
    found = loaded(tmp_path, environ, **options)
    assert (found.project.name, found.project.services["web"].image, found.environment["COMPOSE_PROJECT_NAME"]) == (name, name, name)


def test_the_folder_names_the_project(tmp_path: Path) -> None:
    folder = write(tmp_path / "My App_1", compose_yaml=WEB)
    assert loaded(folder).project.name == "myapp_1"
    with pytest.raises(SpecError, match='invalid project name "My App"'):
        loaded(folder, project_name="My App")


def test_shell_over_dotenv_over_defaults(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml="services: {web: {image: '$A-$B-${C:-c}'}}", _env="A=file\nB=file\nCOMPOSE_PROFILES=x\n", x_env="B=x\nC=x")
    assert loaded(tmp_path, {"A": "shell"}).project.services["web"].image == "shell-file-c"
    assert loaded(tmp_path, {"A": "shell"}, env_files=("x.env",)).project.services["web"].image == "shell-x-x"
    assert loaded(tmp_path, {"COMPOSE_DISABLE_ENV_FILE": "1"}).project.services["web"].image == "--c"
    assert loaded(tmp_path).project.profiles == ("x",)


def test_places_lead_to_the_file_that_said_it_last(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose_yaml="services:\n  web:\n    image: a\n    ports: ['80']\n    environment: {A: 1, B: 1}\n"
        "    depends_on: [db]\n  db: {image: d}\n",
        compose_override_yaml="services:\n  web:\n    image: b\n    ports: ['81']\n    environment:\n      - B=2\n",
    )
    project = loaded(tmp_path).project

    def at(*path: str | int) -> str:
        return str(place(project, ("services", "web", *path))).removeprefix(f"{tmp_path}/")

    assert at("image") == "compose.override.yaml:3:12"
    assert at("ports", 0, "target") == "compose.yaml:4:13"
    assert at("ports", 1) == "compose.override.yaml:4:13"
    assert at("environment", "A") == "compose.yaml:5:22"
    assert at("environment", "B") == "compose.override.yaml:6:9"
    assert at("depends_on", "db") == "compose.yaml:6:18"
    assert at("hostname") == "None"


def test_equal_files_equal_project(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml="services: {web: {image: a, ports: ['80:80'], environment: {A: 1}}}")
    assert loaded(tmp_path).project == loaded(tmp_path).project


def test_every_field_says_what_it_is() -> None:
    from compose_lite.spec import attributes
    from compose_lite.spec.models import resources, service
    from compose_lite.spec.models.values import Model

    models = [m for module in (service, resources) for m in vars(module).values() if isinstance(m, type) and issubclass(m, Model)]
    silent = {(m.__name__, name) for m in models for name in set(m.model_fields) - {name for name, _, _ in attributes.said(m)}}
    assert silent == {("Service", "name"), ("Ulimit", "single")}  # the key of the service; the short form's number
    assert all(one.says.endswith(".") and len(one.says) < 90 for m in models for _, one, _ in attributes.said(m))


def test_the_schema_file_is_current() -> None:
    """Write it anew with `python -m compose_lite.spec.schema > schemas/compose-lite.schema.json`."""
    assert (Path(__file__).parents[2] / "schemas/compose-lite.schema.json").read_text() == as_json()


def test_loading_needs_no_graph_library() -> None:
    folder = Path(sys.modules["compose_lite.spec.load"].__file__ or "").parent
    for file in folder.rglob("*.py"):
        names = {a.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import) for a in node.names}
        assert "networkx" not in names


def test_every_error_has_a_page() -> None:
    root = Path(__file__).parents[2]
    sources = [*(root / "compose_lite/spec").rglob("*.py"), root / "compose_lite/graph/services.py"]
    sources.append(root / "compose_lite/project/configtext.py")
    codes = {code for file in sources for code in re.findall(r'(?:Error|_Told)\(\s*"([a-z-]+)",', file.read_text())}
    assert len(codes) > 30
    assert codes <= {page.stem for page in (root / "docs/errors").glob("*.md")}
