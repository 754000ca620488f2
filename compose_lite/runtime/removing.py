"""What is left of a container: its processes, its cgroup, its bundle, what another runtime keeps of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal as signals
from pathlib import Path

from compose_lite.linux import cgroups, pidfd
from compose_lite.runtime.waiting import ended


async def command(program: str, bundle: Path, *words: str) -> None:
    """A command of another runtime on a container of its own; one that is gone meanwhile is no error."""
    with contextlib.suppress(OSError):
        null = asyncio.subprocess.DEVNULL
        root = str(bundle / "oci" / "state")
        process = await asyncio.create_subprocess_exec(program, "--root", root, *words, stdin=null, stdout=null, stderr=null)
        await process.wait()


async def kill_and_wait(pid: int, start_time: int, *, kill: bool) -> None:
    """Waits for the end of that very process; one that was not to be killed is killed after two seconds."""
    try:
        fd = pidfd.open_same(pid, start_time)
    except ProcessLookupError:
        return
    try:
        if kill:
            pidfd.send_signal(fd, signals.SIGKILL)
        if not await ended(fd, 2.0):
            pidfd.send_signal(fd, signals.SIGKILL)
            await ended(fd, 5.0)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


async def remove_group(group: cgroups.Group) -> None:
    """Kills what is left in it (processes of a shared pid namespace outlive their first one); the last exits take a moment."""
    for attempt in range(200):
        if group.remove_now():
            return
        if attempt % 20 == 0:
            group.kill()
        await asyncio.sleep(0.001 * min(attempt + 1, 50))


def remove_bundle(folder: Path) -> None:
    """The few files of a bundle; a folder that is not ours in form is left with what else is in it."""
    for name in ("state.json", "exit.json", "ctl", "config.json", "hooks.json"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    shutil.rmtree(folder / "oci", ignore_errors=True)
    with contextlib.suppress(OSError):
        (folder / "rootfs").rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
