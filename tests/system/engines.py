"""An engine of a test's own: its commands, its processes by role, and what of it is on the machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compose_lite.linux import nf_tables as nft
from compose_lite.linux.netlink import Route


class Engine:
    """Started by its first command; everything is below `base`."""

    def __init__(self, base: Path, idle: float = 60) -> None:
        self.base = base
        self.project = base / "project"
        self.project.mkdir(parents=True)
        self.wrap: tuple[str, ...] = ()  # what commands run behind
        self.env = {
            **{key: value for key, value in os.environ.items() if key != "COMPOSE_LITE_ENGINE"},
            "COMPOSE_LITE_RUN_DIR": f"{base}/run",
            "COMPOSE_LITE_DATA_DIR": f"{base}/data",
            "COMPOSE_LITE_IDLE": str(idle),
            "COMPOSE_PROJECT_NAME": base.name.replace("_", "-").lower(),
        }

    def spec(self, text: str) -> None:
        (self.project / "compose.yaml").write_text(text)

    def start(self, *args: str) -> subprocess.Popen[str]:
        command = [*self.wrap, sys.executable, "-m", "compose_lite", *args]
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        return subprocess.Popen(command, cwd=self.project, env=self.env, text=True, stdin=null, stdout=pipe, stderr=pipe)

    def run(self, *args: str, code: int | None = 0, err: bool = False) -> str:
        """What it writes to stdout; err: to stderr."""
        process = self.start(*args)
        try:
            out, said = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{args} hangs; the engine's log says on what:\n{self.tasks()}") from None
        assert code is None or process.returncode == code, f"{args}: {process.returncode}\n{out}\n{said}"
        return said if err else out

    def tasks(self) -> str:
        """What the engine waits for, and the end of its log."""
        with contextlib.suppress(OSError):
            os.kill(self.engine(), signal.SIGUSR1)
            time.sleep(1)
        with contextlib.suppress(OSError):
            return (self.base / "data/engine.log").read_text()[-20000:]
        return ""

    def rows(self) -> dict[str, dict[str, Any]]:
        """`ps -a` by service, without one-offs."""
        lines = self.run("ps", "-a", "--format", "json").splitlines()
        return {row["Service"]: row for row in map(json.loads, lines) if "-run-" not in row["Name"]}

    def inspect(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.run("container", "inspect", self.rows()[service]["ID"]))
        return found[0]

    # Processes

    def processes(self) -> dict[int, str]:
        """Pid → name of all processes with our run folder in their environment (containers have none of it)."""
        found = {}
        wanted = f"COMPOSE_LITE_RUN_DIR={self.base}/run".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue
        return found

    def engine(self) -> int:
        """The process that listens on the engine's socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{self.base}/run/engine.sock")
            return int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])

    def zygotes(self) -> list[int]:
        """A zygote that an engine had to start has no environment, so its socket tells."""
        found = [pid for pid, name in self.processes().items() if name == "cl-zygote"]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
                probe.connect(f"{self.base}/run/zygote.sock")
                found.append(int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]))
        except OSError:
            pass
        return sorted(set(found))

    def monitor(self, service: str) -> int:
        state = self.base / "run/c" / self.inspect(service)["Id"] / "state.json"
        return int(json.loads(state.read_text())["monitor"])

    def kill(self, *pids: int) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in pids))

    def close(self) -> None:
        if not self.base.exists():
            return  # closed already
        self.run("down", "-v", "-t", "0", code=None)
        if left := self.run("container", "ls", "-aq", code=None).split():  # of other projects, or of a failed test
            self.run("container", "rm", "-f", "-v", *left, code=None)
        if networks := self.run("network", "ls", "-q", "--filter", "type=custom", code=None).split():
            self.run("network", "rm", *networks, code=None)
        for pid in [*self.processes(), *self.zygotes()]:
            with contextlib.suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.kill(pid, signal.SIGTERM)
        eventually(lambda: not self.processes() and not self.zygotes(), 20)
        subprocess.run(["rm", "-rf", str(self.base)], check=False)

    # The machine

    def on_the_machine(self, ids: set[str]) -> dict[str, list[str]]:
        """What there is of ours, by kind. ids: of our containers and networks."""
        short = {id[:12] for id in ids}
        with Route() as route:
            links = [name for name in route.links() if any(part in name for part in short)]
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.base) in line]
        sockets = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if str(self.base) in line]
        return {
            "processes": [f"{pid} {name}" for pid, name in self.processes().items()] + [f"{pid} zygote" for pid in self.zygotes()],
            "mounts": mounts,
            "interfaces": links,
            "cgroups": _groups(ids),
            "sockets": sockets,
            "rules": _rules(short),
            "run folder": sorted(
                f"{folder}/{name}" for folder, _, names in os.walk(self.base / "run") for name in names if name.endswith((".sock", ".json"))
            ),  # os.walk: folders go while we look
        }


def _groups(ids: set[str]) -> list[str]:
    """Groups of our containers, and the common ones that nobody is in: they can be removed, which tells (and another engine may do)."""
    found = []
    top = Path("/sys/fs/cgroup")
    for folder in [folder for name in ("compose-lite", "compose-lite-engine") for folder in (*top.glob(name), *top.glob(f"*/{name}"))]:
        with contextlib.suppress(OSError):
            found += [str(path) for path in folder.iterdir() if path.name in ids]
            folder.rmdir()
            found.append(str(folder))
    return found


def _rules(short: set[str]) -> list[str]:
    with nft.Netfilter() as netfilter:
        tables = [table for family in (nft.FAMILY_IP, nft.FAMILY_IP6) for table in netfilter.tables(family)]
        notes = []
        if netfilter.has_chain(nft.FAMILY_IP, "filter", "DOCKER-USER"):
            notes = [note for _, note in netfilter.rules(nft.FAMILY_IP, "filter", "DOCKER-USER") if note]
    return [name for name in [*tables, *notes] if any(part in name for part in short)]


def alive(pid: int) -> bool:
    """A killed process's first thread may be a zombie while others still hold its sockets."""
    try:
        dead = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
        return not dead or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"not within {seconds:g} s"
        time.sleep(0.03)
    return found
