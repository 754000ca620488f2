"""Builds every Dockerfile of cases.yaml by both tools and prints where the images part. Exit status 1 when they do.

    python -m tests.dockerfiles --reference 'docker compose' --reference-engine docker [--only WORDS] [--words]

busybox:latest with a user `app` (1000) in a group `extra` (2000) and debian:bookworm-slim have to be there for both.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import shutil
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.dockerfiles.trees import saved
from tests.flows.__main__ import Tool

HERE = Path(__file__).parent
OLD = 1_000_000_000
MOUNT_POINTS = {"/dev", "/proc", "/sys", "/etc"}  # Docker's RUN leaves them in its layer; ours leaves no trace (docs/architecture.md)


@dataclass(frozen=True, slots=True)
class Built:
    status: int | None
    said: str
    config: dict[str, Any] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    tree: dict[str, str] = field(default_factory=dict)


def cases() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load((HERE / "cases.yaml").read_text())
    return {name: case if isinstance(case, dict) else {"dockerfile": case} for name, case in found.items()}


def write(folder: Path, case: dict[str, Any]) -> None:
    """The project and its context; every file's time is OLD, so that it can be seen whether it is kept."""
    shutil.rmtree(folder, ignore_errors=True)
    context = folder / "context"
    for name, text in {
        "file": "content\n", "other.txt": "other\n", "keep.txt": "keep\n", "with space": "x", "ünï.txt": "u", "tree/README.md": "readme",
        "tree/sub/below": "below", "tree/sub/deep/notes.md": "notes", "tree/run": "#!/bin/sh\n", "not-really.tar.gz": "no archive",
        "dated/x": "x", "hard/one": "hard", ".git/config": "[core]", "links/target/inside": "inside",
    }.items():  # fmt: skip
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(text)
    (context / "links/to-file").symlink_to("../file")
    (context / "links/to-folder").symlink_to("target")
    (context / "links/dangling").symlink_to("nowhere")
    (context / "links/absolute").symlink_to("/etc/passwd")
    os.link(context / "hard/one", context / "hard/two")
    (context / "tree/run").chmod(0o750)
    (context / "tree/sub").chmod(0o2775)
    os.chown(context / "tree/sub/below", 1000, 2000)
    for suffix, mode in (("", "w"), (".gz", "w:gz"), (".bz2", "w:bz2")):
        with tarfile.open(context / f"packed.tar{suffix}", mode) as archive:
            for name, kind in (("folder", tarfile.DIRTYPE), ("folder/file", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
                member = tarfile.TarInfo(name)
                member.type, member.mode, member.uid, member.gid, member.mtime = kind, 0o750, 12, 34, OLD - 5
                member.linkname = "folder/file" if kind == tarfile.SYMTYPE else ""
                member.size = 2 if kind == tarfile.REGTYPE else 0
                archive.addfile(member, io.BytesIO(b"in"))
    for path in sorted(context.rglob("*"), reverse=True):
        os.utime(path, (OLD, OLD), follow_symlinks=False)
    (context / "Dockerfile").write_text(case["dockerfile"])
    if "ignore" in case:
        (context / ".dockerignore").write_text(case["ignore"])
    service = {"image": "dockerfiles:case", "build": {"context": "context", **case.get("build", {})}}
    (folder / "compose.yaml").write_text(yaml.safe_dump({"name": "dockerfiles", "services": {"app": service}, **case.get("project", {})}))


def build(tool: Tool, engine: Sequence[str], base: int) -> Built:
    nouns = Tool(engine, tool.folder)
    status, out, err = tool.run(["build", "--no-cache", "app"])
    if status != 0:
        return Built(status, (out + err)[-900:])
    saving, _, err = nouns.run(["image", "save", "-o", "saved.tar", "dockerfiles:case"])
    if saving != 0:
        return Built(saving, err)
    config, layers, tree = saved(tool.folder / "saved.tar", base)
    layers = [" ".join(path for path in layer.split(" ") if path not in MOUNT_POINTS) for layer in layers]
    history = [f"{entry.get('created_by', '')}{' (empty)' if entry.get('empty_layer') else ''}" for entry in config.get("history", ())]
    nouns.run(["image", "rm", "dockerfiles:case"])
    return Built(0, "", config.get("config", {}), history, layers, tree)


def differences(ours: Built, reference: Built, history: bool) -> list[str]:
    if (ours.status == 0) != (reference.status == 0):
        return [f"status {ours.status} != {reference.status}", f"ours: {ours.said}", f"reference: {reference.said}"]
    found = []
    for built in (ours, reference):
        (built.config.get("Labels") or {}).pop("com.docker.compose.version", None)
    for key in sorted({*ours.config, *reference.config}):
        a, b = ours.config.get(key), reference.config.get(key)
        if a != b and (a or b):
            found.append(f"config {key}: {a!r} != {b!r}")
    for path in sorted({*ours.tree, *reference.tree}):
        a, b = ours.tree.get(path), reference.tree.get(path)
        if a != b and not (path in MOUNT_POINTS and a is None):
            found.append(f"{path}: {a} != {b}")
    if len(ours.layers) != len(reference.layers):
        found.append(f"layers: {len(ours.layers)} != {len(reference.layers)}")
    for number, (left, right) in enumerate(zip(ours.layers, reference.layers, strict=False), 1):
        if left != right:
            found.append(f"layer {number}: {left} != {right}")
    if history:
        found += [f"history: {a!r} != {b!r}" for a, b in zip(ours.history, reference.history, strict=False) if a != b and b]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.dockerfiles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", default="docker compose", help="Docker Compose's command line")
    parser.add_argument("--reference-engine", default="docker", help="that of its `image save`")
    parser.add_argument("--ours", default="compose-lite")
    parser.add_argument("--only", default="", help="names of cases, comma-separated")
    parser.add_argument("--words", action="store_true", help="print what both say where both refuse")
    parser.add_argument("--history", action="store_true", help="compare what made each layer, too")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/dockerfiles"), help="where the projects are written")
    o = parser.parse_args()
    chosen = cases()
    if o.only:
        chosen = {name: case for name, case in chosen.items() if name in o.only.split(",")}
    parted = 0
    for name, case in chosen.items():
        tools = []
        for side, command in (("ours", o.ours), ("reference", o.reference)):
            write(o.folder / side, case)
            tools.append(Tool(shlex.split(command), o.folder / side))
        engines = [shlex.split(o.ours), shlex.split(o.reference_engine)]
        base = 0 if "FROM scratch" in case["dockerfile"] else 1
        with ThreadPoolExecutor(2) as both:
            ours, reference = both.map(build, tools, engines, [base] * 2)
        found = differences(ours, reference, o.history)
        parted += bool(found)
        if found or (o.words and ours.said):
            print(
                f"{name}:",
                *(f"    {line}" for line in found or [f"ours: {ours.said}", f"reference: {reference.said}"]),
                "",
                sep="\n",
                flush=True,
            )
    print(f"{len(chosen)} Dockerfiles, {parted} parted")
    return 1 if parted else 0


if __name__ == "__main__":
    sys.exit(main())
