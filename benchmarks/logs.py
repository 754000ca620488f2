"""Logs under load: a million lines of 100 bytes from one service, written and read back whole; `logs -f` on 50 services.

    python -m benchmarks.logs docker="docker compose" ours=compose-lite [--lines 1000000] [--services 50] [--memory PID]

The implementations take turns. Every line has its number, so what is read back is compared in full. Needs the image `busybox`.
--memory: the engine's process; how much its memory grew is printed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILLING = "x" * 91
MANY = """services:
  many:
    image: busybox
    command: [awk, 'BEGIN {{ for (i = 0; i < {lines}; i++) printf "%07d {filling}\\n", i }}']
"""
TICKS = """  s{n}:
    image: busybox
    stop_grace_period: 0s
    command: sh -c 'i=0; while [ $$i -lt {ticks} ]; do echo tick $$i; i=$$((i+1)); sleep 0.05; done'
"""


class Project:
    def __init__(self, folder: Path, command: str, text: str) -> None:
        self.folder, self.command = folder, shlex.split(command)
        folder.mkdir(parents=True)
        (folder / "compose.yaml").write_text(text)

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        line = [*self.command, *args]
        return subprocess.Popen(line, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def timed(self, *args: str) -> tuple[float, bytes]:
        begun = time.perf_counter()
        process = self.start(*args)
        out, err = process.communicate()
        if process.returncode:
            sys.exit(f"{shlex.join([*self.command, *args])}: {process.returncode}\n{err.decode()}")
        return time.perf_counter() - begun, out


def many(project: Project, lines: int) -> dict[str, float]:
    """Seconds to write, to read back, to read back with times and name, and the last ten lines."""
    project.timed("create")
    begun = time.perf_counter()
    project.timed("start")
    project.timed("wait", "many")
    taken = {"write": time.perf_counter() - begun}
    expected = b"".join(b"%07d %s\n" % (n, FILLING.encode()) for n in range(lines))
    taken["read"], out = project.timed("logs", "--no-log-prefix")
    check(out == expected, f"{project.command}: lines are lost or torn")
    taken["read, prefix and times"], out = project.timed("logs", "-t", "--no-color")
    found = [line.split(b" ", 5)[-1] for line in out.splitlines()]
    check(len(found) == lines and found[-1].endswith(FILLING.encode()), f"{project.command}: lines with times are lost")
    taken["tail of 10"], out = project.timed("logs", "--no-log-prefix", "--tail", "10")
    check(out == b"".join(expected[-1000 + 100 * n : len(expected) - 900 + 100 * n] for n in range(10)), f"{project.command}: tail")
    begun = time.perf_counter()
    project.timed("down", "-t", "0")
    return taken


def followed(project: Project, services: int, ticks: int) -> dict[str, float]:
    """All lines of all services come by `logs -f`; seconds from the first start to the last line, and the CPU's share of us."""
    project.timed("create")
    begun = time.perf_counter()
    project.timed("start")
    out, _ = project.start("logs", "-f", "--no-color").communicate()
    taken = time.perf_counter() - begun
    got: dict[str, list[int]] = {}
    for line in out.decode().splitlines():
        name, _, text = line.partition("|")
        if text.strip().startswith("tick"):
            got.setdefault(name.strip(), []).append(int(text.split()[1]))
    check(len(got) == services and all(one == list(range(ticks)) for one in got.values()), f"{project.command}: followed lines are lost")
    project.timed("down", "-t", "0")
    return {f"follow {services}": taken}


def check(holds: bool, says: str) -> None:
    if not holds:
        sys.exit(says)


def memory(pid: int) -> int:
    """MiB in memory."""
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("implementations", nargs="+", help="name=command")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--ticks", type=int, default=100)
    parser.add_argument("--memory", type=int, default=0)
    args = parser.parse_args()
    before = memory(args.memory) if args.memory else 0
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="logs-") as base:
        for name, _, command in (one.partition("=") for one in args.implementations):
            text = MANY.format(lines=args.lines, filling=FILLING)
            rows[name] = many(Project(Path(base, f"{name}-many"), command, text), args.lines)
            text = "services:\n" + "".join(TICKS.format(n=n, ticks=args.ticks) for n in range(args.services))
            if args.services:
                rows[name] |= followed(Project(Path(base, f"{name}-ticks"), command, text), args.services, args.ticks)
    first = next(iter(rows.values()))
    for what in first:
        print(f"{what:<24}" + "".join(f"{name} {row[what]:7.2f} s ({first[what] / row[what]:.2f}x)   " for name, row in rows.items()))
    if args.memory:
        print(f"memory of {args.memory}: {before} -> {memory(args.memory)} MiB")


if __name__ == "__main__":
    main()
