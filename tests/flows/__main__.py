"""Runs sequences by both tools and prints where they part. Exit status 1 when they do.

    python -m tests.flows --reference 'docker compose' --seed 1 --count 50 [--ours compose-lite] [--steps 14] [--folder DIR]

An image `flows:1` with busybox in it and a user `app` has to be there for both (image load, image tag).
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.flows.sequences import Answer, ComposeFile, Edit, differences, gives_up, sequence

_STATE = "{{.Service}} {{.State}} {{.ExitCode}} {{.Health}}"
_UNSETTLED = ("starting", "restarting", "removing")


@dataclass(frozen=True, slots=True)
class Tool:
    """A command line and the project's folder."""

    command: Sequence[str]
    folder: Path

    def run(self, words: Sequence[str], seconds: float = 90) -> tuple[int | None, str, str]:
        try:
            done = subprocess.run(
                [*self.command, *words], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as late:
            return None, str(late.stdout), str(late.stderr)
        return done.returncode, done.stdout.replace(str(self.folder), "."), done.stderr

    def answer(self, words: Sequence[str]) -> Answer:
        status, out, err = self.run(words)
        before: tuple[str, ...] = ()
        for _ in range(10):
            rows = tuple(sorted(self.run(["ps", "-a", "--format", _STATE])[1].splitlines()))
            if rows == before and not any(word in row for word in _UNSETTLED for row in rows):
                break
            before = rows
            time.sleep(0.3)
        return Answer(status, out, err, before)


def compare(seed: int, steps: int, ours: Sequence[str], reference: Sequence[str], folder: Path) -> str:
    """What differs first, with the steps that led there; empty when nothing does."""
    project = f"flow{seed}"
    tools = []
    for name, command in (("ours", ours), ("reference", reference)):
        at = folder / name / project
        shutil.rmtree(at, ignore_errors=True)
        at.mkdir(parents=True)
        tools.append(Tool(command, at))
    file, done = ComposeFile(), list[str]()
    try:
        for step in [Edit("value", 0), *sequence(seed, steps, project)]:
            if isinstance(step, Edit):
                file.values[step.key] = step.value
                for tool in tools:
                    (tool.folder / "compose.yaml").write_text(file.text())
                done.append(f"# {step.key}: {step.value}")
                continue
            done.append(shlex.join(step))
            with ThreadPoolExecutor(2) as both:
                left, right = both.map(lambda tool, words=step: tool.answer(words), tools)
            if gives_up(right):
                break
            if found := differences(step, left, right):
                return "\n".join([f"seed {seed}:", *(f"  $ {line}" for line in done), *found])
    finally:
        for tool in tools:
            tool.run(["--profile", "*", "down", "-v", "-t", "0", "--remove-orphans"])
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.flows", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", default="docker compose", help="Docker Compose's command line")
    parser.add_argument("--ours", default="compose-lite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/flows"), help="where the projects are written")
    o = parser.parse_args()
    parted = 0
    for seed in range(o.seed, o.seed + o.count):
        if found := compare(seed, o.steps, shlex.split(o.ours), shlex.split(o.reference), o.folder):
            parted += 1
            print(found, "\n", flush=True)
    print(f"{o.count} sequences, {parted} parted")
    return 1 if parted else 0


if __name__ == "__main__":
    sys.exit(main())
