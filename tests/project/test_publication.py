"""What is published of a project: the files as written, their neighbours under names of their contents."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from compose_lite.cli.commands.publish import refuse_secrets
from compose_lite.errors import ProjectError
from compose_lite.image import artifact
from compose_lite.project.publication import layers
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import EnvFile, Service

FILE = """# kept
services:
  a:
    image: i  # ${KEPT:-x}
    env_file: [a.env, {path: "b.env", required: false}, {path: none, required: false}]
  b:
    extends: {file: base.yaml, service: base}
    environment: !override {A: "1"}
"""


def project(folder: Path, text: str = FILE) -> Project:
    (folder / "compose.yaml").write_text(text)
    (folder / "base.yaml").write_text("services:\n  base:\n    env_file: a.env\n")
    (folder / "a.env").write_text("A=1\n")
    (folder / "b.env").write_text("B=1\n")
    return Project(name="p", working_dir=str(folder), compose_files=(str(folder / "compose.yaml"),))


def test_files_are_sent_as_written_but_for_their_neighbours_names(tmp_path: Path) -> None:
    made = layers(project(tmp_path), {"a": "i@sha256:0"}, "1")
    files: dict[str, bytes] = {}
    for layer in made:
        artifact.place(files, layer, base64.b64decode(layer["data"]))
    (first, second) = files.pop("compose.yaml").decode().split("\n---\n")
    names = {content: name for name, content in files.items()}
    base = next(name for name in files if name.endswith(".yaml"))
    assert first == FILE.replace("a.env", f'"{names[b"A=1" + bytes([10])]}"', 1).replace(
        '"b.env"', f'"{names[b"B=1" + bytes([10])]}"'
    ).replace("base.yaml", f'"{base}"')
    assert names[b"A=1\n"] in files[base].decode()
    assert second == "services:\n  a:\n    image: i@sha256:0\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("include: [base.yaml]\n", "publish-include"),
        ("services: {a: {env_file: '${X}.env'}}\n", "publish-variable"),
        ("services: {a: {env_file: none.env}}\n", "publish-file"),
    ],
)
def test_what_cannot_be_published_is_said(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ProjectError) as caught:
        layers(project(tmp_path, text), {}, "1")
    assert caught.value.code == code


def test_nothing_secret_goes_unasked() -> None:
    secret = Project(name="p", services={"a": Service(name="a", env_file=[EnvFile(path="x")], environment={"A": "1"})})
    refuse_secrets(secret, with_env=True)
    with pytest.raises(ProjectError) as caught:
        refuse_secrets(secret, with_env=False)
    assert caught.value.code == "publish-secrets"
