"""Compose files from elsewhere: a Git server and a registry on this machine, consent, copies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from compose_lite.cli.remotes import Remotes
from compose_lite.errors import ImageError, SpecError
from compose_lite.image.artifact import bring, place
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models.project import Project
from compose_lite.spec.remote import Remote, parse

PACKAGES = str(Path(__file__).parents[2])


@pytest.fixture
def git(tmp_path: Path) -> Iterator[str]:
    """A repository over http, by its URL; a branch `main` and a tag `v1`."""
    if not shutil.which("git"):
        pytest.skip("no git")
    work = tmp_path / "work"
    (work / "db").mkdir(parents=True)
    (work / "db/compose.yaml").write_text("services: {db: {image: 'postgres:16', volumes: ['./data:/d']}}")
    (work / "base.yaml").write_text("services: {base: {image: 'base:1', env_file: base.env}}")
    (work / "base.env").write_text("FROM=afar")
    commit(work, "init", "-q", "-b", "main", ".")
    save(work)
    commit(work, "tag", "-a", "v1", "-m", "x")
    publish(tmp_path)
    yield from served(partial(Quiet, directory=str(tmp_path / "www")), "/repo.git")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def served(handler: Any, path: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{path}"
    server.shutdown()
    server.server_close()


def commit(folder: Path, *words: str) -> None:
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["git", *words], cwd=folder, check=True, env={"PATH": os.environ["PATH"], "HOME": str(folder), **names})


def save(work: Path) -> None:
    commit(work, "add", ".")
    commit(work, "commit", "-q", "-m", "x")


def publish(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "www", ignore_errors=True)
    (tmp_path / "www").mkdir()
    commit(tmp_path, "clone", "-q", "--bare", "work", "www/repo.git")
    commit(tmp_path / "www/repo.git", "update-server-info")


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


def remotes(tmp_path: Path, warned: list[str], **more: Any) -> Remotes:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_DIR": "/nowhere", "PYTHONPATH": PACKAGES}
    return Remotes(tmp_path / "copies", environ, **{"allowed": True, "ask": None, "warn": warned.append, **more})


def project(tmp_path: Path, text: str, using: Remotes) -> Project:
    (tmp_path / "own").mkdir(exist_ok=True)
    (tmp_path / "own/compose.yaml").write_text(text)
    return load(LoadOptions(environ={}, cwd=str(tmp_path / "own"), fetch=using.fetch)).project


def test_include_and_extends_from_git(git: str, tmp_path: Path) -> None:
    text = f"include: ['{git}#v1:db']\nservices: {{web: {{extends: {{file: '{git}#main:base.yaml', service: base}}}}}}"
    found = project(tmp_path, text, remotes(tmp_path, []))
    assert found.services["db"].image == "postgres:16"
    source = found.services["db"].volumes[0].source
    assert source.startswith(str(tmp_path / "copies")) and source.endswith("/db/data")
    assert found.services["web"].environment == {"FROM": "afar"}


def test_consent(git: str, tmp_path: Path) -> None:
    text = f"include:\n  - {git}#main:db/compose.yaml"
    with pytest.raises(SpecError, match="nobody is here to agree") as refused:
        project(tmp_path, text, remotes(tmp_path, [], allowed=False))
    assert refused.value.code == "remote-refused" and refused.value.place and refused.value.place.line == 2
    with pytest.raises(SpecError, match="you did not agree"):
        project(tmp_path, text, remotes(tmp_path, [], allowed=False, ask=lambda _: False))
    asked: list[str] = []
    for _ in range(2):
        project(tmp_path, text, remotes(tmp_path, [], allowed=False, ask=lambda question: not asked.append(question)))
    assert len(asked) == 1 and f"{git}#main" in asked[0]
    project(tmp_path, text, remotes(tmp_path, [], allowed=False))


def test_a_branch_is_looked_up_again_after_a_while(git: str, tmp_path: Path) -> None:
    text, warned = f"include: ['{git}#main:db']", list[str]()
    clock = Clock()

    def image() -> str:
        return project(tmp_path, text, remotes(tmp_path, warned, now=clock)).services["db"].image

    image()
    clock.now = next((tmp_path / "copies").glob("*/at")).stat().st_mtime + 1
    (tmp_path / "work/db/compose.yaml").write_text("services: {db: {image: 'postgres:17'}}")
    save(tmp_path / "work")
    publish(tmp_path)
    assert image() == "postgres:16"
    clock.now += 1000
    assert image() == "postgres:17"
    shutil.rmtree(tmp_path / "www")
    clock.now += 2000
    assert image() == "postgres:17" and "the copy of" in warned[0]


@pytest.mark.parametrize(
    ("end", "says"), [("#nope", "there is no nope"), ("#v1:none.yaml", "has no none.yaml"), ("#v1:../../../x", "has no x")]
)
def test_what_is_not_there(git: str, end: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=says):
        project(tmp_path, f"include: ['{git}{end}']", remotes(tmp_path, []))


def test_a_link_that_leads_out_is_not_followed(git: str, tmp_path: Path) -> None:
    (tmp_path / "work/out.yaml").symlink_to("/etc/passwd")
    save(tmp_path / "work")
    publish(tmp_path)
    with pytest.raises(SpecError, match=r"has no out.yaml"):
        project(tmp_path, f"include: ['{git}#main:out.yaml']", remotes(tmp_path, []))


def test_names() -> None:
    assert parse("github.com/me/x#v1:a/b.yaml") == Remote("git", "https://github.com/me/x", "v1", "a/b.yaml")
    assert parse("git@host:me/x.git") == Remote("git", "git@host:me/x.git")
    assert parse("oci://host/x:1") == Remote("oci", "host/x:1")
    assert parse("https://host/compose.yaml") is None and parse("./compose.yaml") is None
    assert Remote("git", "u", "a" * 40).pinned and not Remote("git", "u", "main").pinned


# --- registries ------------------------------------------------------------------------------------------------

KIND = "application/vnd.docker.compose.file+yaml"


def registry(layers: list[tuple[str, bytes, dict[str, str]]]) -> type[BaseHTTPRequestHandler]:
    blobs = {f"sha256:{hashlib.sha256(content).hexdigest()}": content for _, content, _ in layers}
    described = [
        {"mediaType": kind, "digest": digest, "size": len(content), "annotations": notes}
        for (kind, content, notes), digest in zip(layers, blobs, strict=True)
    ]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": described}).encode()

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            what = self.path.rpartition("/")[2]
            body = manifest if "/manifests/" in self.path and what == "1" else blobs.get(what)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    return Registry


def test_an_artifact(tmp_path: Path) -> None:
    layers = [
        (KIND, b"services: {web: {extends: {file: base.yaml, service: base}}}", {"com.docker.compose.file": "compose.yaml"}),
        (KIND, b"services: {web: {command: [a]}}", {"com.docker.compose.file": "compose.override.yaml"}),
        (
            KIND,
            b"services: {base: {image: 'a:1', env_file: my.env}}",
            {"com.docker.compose.file": "base.yaml", "com.docker.compose.extends": "true"},
        ),
        ("application/vnd.docker.compose.envfile", b"A=1", {"com.docker.compose.envfile": "my.env"}),
        ("application/vnd.oci.empty.v1+json", b"{}", {}),
    ]
    for url in served(registry(layers), "/me/app:1"):
        web = project(tmp_path, f"include: ['oci://{url.removeprefix('http://')}']", remotes(tmp_path, [])).services["web"]
        assert (web.image, web.command, web.environment) == ("a:1", ["a"], {"A": "1"})
        with pytest.raises(SpecError, match="not found"):
            project(tmp_path, f"include: ['oci://{url.removeprefix('http://')}0']", remotes(tmp_path, []))
    for url in served(registry([("application/x", b"1", {})]), "/me/app:1"):
        with pytest.raises(ImageError, match="holds no Compose file"):
            bring(url.removeprefix("http://"), tmp_path)


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/x", "a/b", "compose.yaml"])
def test_no_file_of_an_artifact_leaves_its_folder(name: str) -> None:
    notes = {"com.docker.compose.file": name, "com.docker.compose.extends": "true"}
    with pytest.raises(ImageError, match="wants to write a file"):
        place({}, {"mediaType": KIND, "annotations": notes}, b"")


def test_the_project_itself_from_elsewhere(git: str, tmp_path: Path) -> None:
    remotes = remote_files(tmp_path / "data")
    here = tmp_path / "here"  # as with Docker Compose, the name is that of the folder one is in
    here.mkdir()
    for options in ({"files": (f"{git}#v1:db",)}, {"environ": {"COMPOSE_FILE": f"{git}#v1:db:./more.yaml"}}):
        (here / "more.yaml").write_text("services: {web: {image: w}}")
        project = load(LoadOptions(**{"environ": {}, "cwd": str(here), "fetch": remotes.fetch, **options})).project
        assert project.name == "here" and project.services["db"].image == "postgres:16"
        assert project.working_dir.endswith("/db") and ("web" in project.services) is ("environ" in options)


def remote_files(folder: Path) -> Remotes:
    return Remotes(folder, dict(os.environ), True, None, print)
