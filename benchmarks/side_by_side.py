"""Whole commands of Compose implementations, timed side by side: medians, and ratios to the first.

    python -m benchmarks.side_by_side docker="docker compose" ours=compose-lite [--rounds 5] [--only up-10,exec]

The implementations take turns in every round, so that a busy machine slows all of them. Each workload checks its own effect.
Every implementation needs the image `busybox`.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Sample = tuple[str, float]  # workload, seconds
_SERVICE = "  s{n}: {{image: busybox, command: sleep 3600, stop_grace_period: 0s{more}}}\n"


def flat(count: int) -> str:
    return "services:\n" + "".join(_SERVICE.format(n=n, more="") for n in range(count))


def chain(count: int) -> str:
    return "services:\n" + "".join(_SERVICE.format(n=n, more=f", depends_on: [s{n - 1}]" if n else "") for n in range(count))


class Project:
    """A folder with a Compose file, and one implementation's command in it."""

    def __init__(self, folder: Path, command: list[str], text: str) -> None:
        self.folder, self.command = folder, command
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "compose.yaml").write_text(text)

    def timed(self, *args: str) -> float:
        begun = time.perf_counter()
        done = subprocess.run(
            [*self.command, *args], cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        taken = time.perf_counter() - begun
        if done.returncode:
            sys.exit(f"{shlex.join([*self.command, *args])}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return taken

    def expect(self, running: int) -> None:
        done = subprocess.run([*self.command, "ps", "-q"], cwd=self.folder, capture_output=True, text=True, check=True)
        found = len(done.stdout.split())
        if found != running:
            sys.exit(f"{shlex.join(self.command)}: {found} containers run, not {running}")


def up_and_down(name: str, count: int) -> Callable[[Project], Iterator[Sample]]:
    def work(project: Project) -> Iterator[Sample]:
        yield f"up, {name}", project.timed("up", "-d")
        project.expect(count)
        yield f"down, {name}", project.timed("down", "-t", "0")
        project.expect(0)

    return work


def while_running(project: Project) -> Iterator[Sample]:
    project.timed("up", "-d")
    for name, args in (
        ("up without a change", ["up", "-d"]),
        ("ps", ["ps"]),
        ("exec true", ["exec", "-T", "s0", "true"]),
        ("logs", ["logs"]),
        ("config", ["config", "-q"]),
        ("restart of one", ["restart", "-t", "0", "s1"]),
    ):
        yield name, project.timed(*args)
    project.expect(10)
    project.timed("down", "-t", "0")


WORKLOADS: dict[str, tuple[str, Callable[[Project], Iterator[Sample]]]] = {
    "up-1": (flat(1), up_and_down("1 service", 1)),
    "up-10": (flat(10), up_and_down("10 services", 10)),
    "chain-10": (chain(10), up_and_down("a chain of 10", 10)),
    "running": (flat(10), while_running),
}


def table(samples: dict[str, dict[str, list[float]]], names: list[str]) -> str:
    lines = ["| | " + " | ".join(names) + " | |", "| --- |" + " ---: |" * (len(names) + 1)]
    for workload, found in samples.items():
        middle = [statistics.median(found[name]) for name in names]
        ratios = ", ".join(f"{middle[0] / other:.1f}x" for other in middle[1:])
        lines.append(f"| {workload} | " + " | ".join(f"{1000 * seconds:.0f} ms" for seconds in middle) + f" | {ratios} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default=",".join(WORKLOADS))
    given = options.parse_args()
    commands = {name: shlex.split(command) for name, _, command in (one.partition("=") for one in given.commands)}
    samples: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="side-by-side-", dir="/tmp") as folder:
        for _ in range(given.rounds):
            for workload in given.only.split(","):
                text, work = WORKLOADS[workload]
                for name, command in commands.items():
                    for what, seconds in work(Project(Path(folder, f"{workload}-{name}"), command, text)):
                        samples.setdefault(what, {}).setdefault(name, []).append(seconds)
    print(table(samples, list(commands)))


if __name__ == "__main__":
    main()
