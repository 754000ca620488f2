"""Runs services by both tools and prints where they part. Exit status 1 when they do.

    python -m tests.attributes --reference 'docker compose' --reference-engine docker --each
    python -m tests.attributes --reference 'docker compose' --reference-engine docker --seed 1 --count 100

--each tries every value of table.yaml alone (--only WORDS: of these attributes), else each seed is two to four of them together.
An image busybox:latest with a user `app` (1000) in a group `extra` (2000) has to be there for both.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.attributes.combination import FILES, HERE, Choice, compose_file, singles, table, together
from tests.attributes.observation import Observation, Place, differences, inspected, parts
from tests.flows.__main__ import Tool

_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def namespaces(pid: int | str) -> dict[str, str]:
    found = {}
    for kind in _KINDS:
        try:
            found[kind] = os.readlink(f"/proc/{pid}/ns/{kind}")
        except OSError:
            continue
    return found


class Run:
    """One tool's run of one file."""

    def __init__(self, tool: Tool, engine: Sequence[str], project: str) -> None:
        self.tool, self.project, self.engine = tool, project, Tool(engine, tool.folder)
        self._ids: dict[str, str] = {}

    def inspect(self, service: str = "probed") -> dict[str, Any]:
        if service not in self._ids:
            _, out, _ = self.tool.run(["ps", "-aq", "--no-trunc", service])
            self._ids[service] = (out.split() or [""])[0]
        if not self._ids[service]:
            return {}
        status, out, _ = self.engine.run(["container", "inspect", self._ids[service]])
        found: list[dict[str, Any]] = json.loads(out) if status == 0 else [{}]
        return found[0]

    def place(self) -> Place:
        shares = "\n  other:" in (self.tool.folder / "compose.yaml").read_text()
        pid = self.inspect("other").get("State", {}).get("Pid") if shares else None
        return Place(self.project, str(self.tool.folder), namespaces("self"), namespaces(pid) if pid else {})

    def output(self) -> str:
        """The log, once the probe has come to its end or the container to its."""
        text = ""
        for _ in range(60):
            _, text, _ = self.tool.run(["logs", "--no-log-prefix", "--no-color", "probed"])
            if "## end" in text:
                break
            if not self.inspect().get("State", {}).get("Running"):
                _, text, _ = self.tool.run(["logs", "--no-log-prefix", "--no-color", "probed"])
                break
            time.sleep(0.1)
        return text

    def observe(self) -> Observation:
        status, _, err = self.tool.run(["up", "-d", "--timeout", "1"])
        place = self.place()
        probe = parts(self.output(), place) if status == 0 else {}
        document = inspected(self.inspect(), place)
        executed = {}
        if "end" in probe:
            _, out, _ = self.tool.run(["exec", "-T", "probed", "sh", "/probe", "-e"])
            executed = parts(out, place)
        ended = ""
        if status == 0:
            self.tool.run(["stop", "probed"])
            state = self.inspect().get("State", {})
            ended = f"{state.get('Status')} {state.get('ExitCode')}"
        return Observation(status, "" if status == 0 else err[-600:], probe, executed, document, ended)


def write(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in FILES.items():
        at = folder / name
        if name.endswith("/"):
            at.mkdir(parents=True)
        else:
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(text)
    os.chown(folder / "tree/sub", 1000, 2000)
    (folder / "tree/sub").chmod(0o2770)
    (folder / "tree/link").symlink_to("sub")


def compare(choice: Choice, ours: Sequence[Sequence[str]], reference: Sequence[Sequence[str]], folder: Path) -> tuple[list[str], str, str]:
    """What differs, and both refusals."""
    runs = []
    for number, (name, (command, engine)) in enumerate((("ours", ours), ("reference", reference)), 1):
        project = f"attr-{choice.name.replace('_', '-')}"
        at = folder / name / project
        write(at)
        (at / "compose.yaml").write_text(compose_file(choice, project, str(at), number))
        runs.append(Run(Tool(command, at), engine, project))
    try:
        with ThreadPoolExecutor(2) as both:
            left, right = both.map(Run.observe, runs)
        return differences(left, right), left.refused, right.refused
    finally:
        with ThreadPoolExecutor(2) as both:
            list(both.map(lambda run: run.tool.run(["down", "-v", "-t", "0", "--remove-orphans"]), runs))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.attributes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", default="docker compose", help="Docker Compose's command line")
    parser.add_argument("--reference-engine", default="docker", help="that of its `container inspect`")
    parser.add_argument("--ours", default="compose-lite")
    parser.add_argument("--each", action="store_true", help="every value alone")
    parser.add_argument("--only", default="", help="of these attributes, or names as they are printed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--words", action="store_true", help="print both refusals even where both refuse")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/attributes"), help="where the projects are written")
    o = parser.parse_args()
    ours, reference = [shlex.split(o.ours)] * 2, [shlex.split(o.reference), shlex.split(o.reference_engine)]
    os.environ["VALUE"] = "of the environment"
    for command in (ours[0], reference[0]):
        at = o.folder / "image"
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(HERE / "image", at)
        status, _, err = Tool(command, at).run(["build"])
        if status:
            print(err)
            return 2
    values = table()
    choices = singles(values) if o.each else [together(values, seed) for seed in range(o.seed, o.seed + o.count)]
    if words := o.only.split():
        choices = [c for c in choices if c.name in words or (o.each and c.values[0][0] in words)]
    parted = 0
    for choice in choices:
        found, left, right = compare(choice, ours, reference, o.folder)
        parted += bool(found)
        if found:
            print(choice, *(f"    {line}" for line in found), "", sep="\n", flush=True)
        elif o.words and left:
            print(choice, f"    ours: {left.strip()}", f"    reference: {right.strip()}", "", sep="\n", flush=True)
    print(f"{len(choices)} services, {parted} parted")
    return 1 if parted else 0


if __name__ == "__main__":
    sys.exit(main())
