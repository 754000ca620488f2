"""Healthchecks: how soon the end of a probe is noticed, and what 50 services that are probed every 5 s cost, side by side.

    python -m benchmarks.health docker="docker compose" ours=compose-lite
        [--processes docker='^(dockerd|containerd|docker-proxy)' --processes ours='compose_lite|^cl-'] [--rounds 10] [--seconds 60]

Noticed: from a probe's last act (a byte into a FIFO that is mounted into the container) to `health_status: healthy` in `events`, and to the
end of `up --wait`. Cost: CPU seconds of the engine's processes, their ended children included (probes and what starts them: on Docker's
side runc below the shims, on ours the forks of the zygote); the containers' own programs do not count. --processes: a regular expression
for each, searched in a process's name, its command line and its environment. Needs the image `busybox`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROBED = """services:
  web:
    image: busybox
    init: true
    command: sleep 3600
    stop_grace_period: 0s
    volumes: ["{folder}:/told"]
    healthcheck: {{test: echo >/told/fifo, interval: 1s, start_interval: 100ms, start_period: 30s}}
"""
MANY = """  s{n}:
    image: busybox
    command: sleep 3600
    stop_grace_period: 0s
    healthcheck: {{test: "true", interval: 5s}}
"""
FAMILIES = {"docker": "^(dockerd|containerd|docker-proxy)", "ours": "compose_lite|^cl-"}
TICK = os.sysconf("SC_CLK_TCK")


class Project:
    def __init__(self, folder: Path, command: str, text: str) -> None:
        self.folder, self.command = folder, shlex.split(command)
        folder.mkdir(parents=True)
        (folder / "compose.yaml").write_text(text)

    def start(self, *args: str) -> subprocess.Popen[str]:
        line = [*self.command, *args]
        return subprocess.Popen(
            line, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *args: str) -> str:
        process = self.start(*args)
        out, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{shlex.join([*self.command, *args])}: {process.returncode}\n{out}")
        return out


def noticed(project: Project) -> tuple[float, float]:
    """Seconds from the first probe's end to the event, and to the end of `up --wait`."""
    fifo = project.folder / "told/fifo"
    fifo.parent.mkdir(exist_ok=True)
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    watching = os.open(fifo, os.O_RDWR)
    told: list[float] = []
    listens = threading.Event()
    events = project.start("events", "--json")

    def listen() -> None:
        assert events.stdout
        for line in events.stdout:
            listens.set()
            if "health_status: healthy" in line:
                told.append(time.monotonic())

    listener = threading.Thread(target=listen)
    listener.start()
    while not listens.wait(0.1):
        project.run("create", "--force-recreate")
    waiting = project.start("up", "-d", "--wait")
    os.read(watching, 1)
    probed = time.monotonic()
    out, _ = waiting.communicate()
    returned = time.monotonic()
    if waiting.returncode:
        sys.exit(f"up --wait: {out}")
    until = time.monotonic() + 5
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    os.close(watching)
    project.run("down", "-t", "0")
    events.terminate()
    listener.join()
    if not told:
        sys.exit(f"{project.command}: no event of the health")
    return told[0] - probed, returned - probed


def family(pattern: str) -> dict[int, int]:
    """Pid -> clock ticks of the processes that match and stand in our pid namespace."""
    here = os.readlink("/proc/self/ns/pid")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if os.readlink(entry / "ns/pid") != here:
                continue
            words = [(entry / "comm").read_bytes(), *((entry / name).read_bytes().replace(b"\0", b" ") for name in ("cmdline", "environ"))]
            if any(re.search(pattern, text.decode("utf-8", "replace")) for text in words):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
        except OSError:
            continue
    return found


def cost(project: Project, pattern: str, services: int, seconds: float) -> tuple[float, int]:
    """CPU seconds in that time, and of how many processes."""
    project.run("up", "-d", "--wait")
    time.sleep(5)
    before = family(pattern)
    time.sleep(seconds)
    after = family(pattern)
    lasting = before.keys() & after.keys()
    healthy = project.run("ps", "--format", "json").count('"healthy"')
    if healthy != services:
        sys.exit(f"{project.command}: {healthy} of {services} are healthy")
    project.run("down", "-t", "0")
    return sum(after[pid] - before[pid] for pid in lasting) / TICK, len(lasting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("implementations", nargs="+", help="name=command")
    parser.add_argument("--processes", action="append", default=[], metavar="NAME=PATTERN")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    commands = {name: command for name, _, command in (one.partition("=") for one in args.implementations)}
    patterns = FAMILIES | {name: pattern for name, _, pattern in (one.partition("=") for one in args.processes)}
    with tempfile.TemporaryDirectory(prefix="health-", dir="/tmp") as base:
        if args.rounds:
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            for number in range(args.rounds):
                for name, command in commands.items():
                    folder = Path(base, f"{name}-{number}")
                    times[name].append(noticed(Project(folder, command, PROBED.format(folder=folder / "told"))))
            for what, column in (("event after the probe's end", 0), ("up --wait returns after it", 1)):
                for name, found in times.items():
                    values = sorted(1000 * one[column] for one in found)
                    print(f"{what:<30}{name:<10} median {statistics.median(values):6.0f} ms   most {values[-1]:6.0f} ms")
        if args.services:
            text = "services:\n" + "".join(MANY.format(n=n) for n in range(args.services))
            for name, command in commands.items():
                spent, count = cost(Project(Path(base, f"{name}-many"), command, text), patterns[name], args.services, args.seconds)
                print(
                    f"{args.services} probed every 5 s              {name:<10} {spent:6.2f} CPU s in {args.seconds:g} s, {count} processes"
                )


if __name__ == "__main__":
    main()
