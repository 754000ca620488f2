"""Launches for tests on the real kernel: a busybox root and Docker's usual mounts."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from compose_lite.ids import new_id
from compose_lite.runtime.answers import ExitNotice
from compose_lite.runtime.client import Runtime
from compose_lite.runtime.config import Launch, Log, Overlay
from compose_lite.runtime.lines import open_zygote

CAPABILITIES = [
    "CAP_" + name
    for name in [
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
        *("NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
    ]
]
MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
]
_CGROUPS, _PARENT = Path("/sys/fs/cgroup"), "compose-lite-test"
MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/scsi"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def busybox_root(folder: Path) -> Path:
    """A root file system of one static busybox."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("needs Debian's busybox-static")
    for name in ("bin", "etc", "tmp", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(program, folder / "bin/busybox")
    for applet in ("sh", "true", "false", "cat", "ls", "sleep", "id", "echo", "tty", "ps", "kill", "hostname", "stty", "head", "yes"):
        with contextlib.suppress(FileExistsError):
            (folder / "bin" / applet).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    return folder


class Rig:
    """A zygote of its own, and the exits it has told of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = Path(tempfile.mkdtemp(prefix="rt-", dir="/run" if os.access("/run", os.W_OK) else None))
        self.root = busybox_root(folder / "root")
        self.exits: dict[tuple[str, str | None], ExitNotice] = {}
        self.runtime: Runtime

    def connect(self) -> None:
        self.runtime = Runtime(open_zygote(self.run), self.run / "exits.sock")
        self.runtime.on_exit = lambda notice: self.exits.__setitem__((notice.id, notice.exec_id), notice)

    def launch(self, *args: str, **more: Any) -> Launch:
        id = new_id()
        data = self.folder / id
        (data / "upper").mkdir(parents=True)
        (data / "work").mkdir()
        process: dict[str, Any] = {
            "args": list(args),
            "cwd": "/",
            "env": ["PATH=/bin", "HOME=/root"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        } | more.pop("process", {})
        linux: dict[str, Any] = {
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network")],
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
        } | more.pop("linux", {})
        config = {"process": process, "hostname": "box", "mounts": MOUNTS + more.pop("mounts", []), "linux": linux} | more.pop("config", {})
        return Launch(
            id=id,
            bundle=str(self.run / "c" / id),
            config=config,
            overlay=Overlay([str(self.root)], str(data / "upper"), str(data / "work")),
            log=Log(path=str(data / "log.json")),
            cgroup_parent=f"/{_PARENT}",
            **more,
        )

    def log(self, id: str) -> bytes:
        return (self.folder / id / "log.json").read_bytes()

    async def ended(self, id: str, exec_id: str | None = None, seconds: float = 60) -> ExitNotice:
        import asyncio

        async with asyncio.timeout(seconds):
            while (id, exec_id) not in self.exits:
                await asyncio.sleep(0.002)
        return self.exits[id, exec_id]

    async def run_to_end(self, launch: Launch) -> tuple[int, bytes]:
        await self.runtime.create(launch)
        await self.runtime.start(launch.id)
        notice = await self.ended(launch.id)
        await self.runtime.delete(launch.id)
        return notice.status, self.log(launch.id)


@contextlib.asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    made = Rig(folder)
    made.connect()
    try:
        yield made
    finally:
        for known in list(made.runtime._known):
            await made.runtime.delete(known)
        made.runtime.close()
        for group in (*_CGROUPS.glob(_PARENT), *_CGROUPS.glob(f"*/{_PARENT}")):
            with contextlib.suppress(OSError):  # another rig's containers are in it
                group.rmdir()
        shutil.rmtree(made.run, ignore_errors=True)


__all__ = ["Rig", "rig", "socket"]
