"""The floor of a container's birth: the system calls that it cannot do without, by a bare script with nothing between them.

`python -m benchmarks.birth_floor [count]`, as root, with a static busybox: beside it, round by round, the same birth by the
zygote. Both fork a parent, make a group in every hierarchy, clone into five namespaces, mount the same root and file systems,
cover the same paths, drop the same capabilities and execute the same program. What only a real runtime needs is not in the
script: a request and its answer, links followed inside the root, descriptors of the caller closed, state on disk, a log.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from compose_lite.ids import new_id
from tests.runtime.bundles import CAPABILITIES, MASKED, READONLY, Rig, busybox_root, rig

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # mount, uts, ipc, pid, network
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _SLAVE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 19
_CLONE3, _PIVOT_ROOT, _CAPSET, _KEYCTL = 435, 155, 126, 250
_CGROUP = Path("/sys/fs/cgroup")


def _must(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if one is None else one.encode() for one in (source, target, kind, data)]
    _must(_LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]))


def _hierarchies() -> list[Path]:
    if (_CGROUP / "cgroup.controllers").exists():
        return [_CGROUP]
    return [one for one in _CGROUP.iterdir() if one.is_dir() and not one.is_symlink()]


def _groups(name: str) -> list[str]:
    made = []
    for hierarchy in _hierarchies():
        parent = hierarchy / "compose-lite-floor"
        parent.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":
            for file in ("cpuset.cpus", "cpuset.mems"):
                (parent / file).write_text((hierarchy / file).read_text())
        (parent / name).mkdir()
        if hierarchy.name == "cpuset":
            for file in ("cpuset.cpus", "cpuset.mems"):
                (parent / name / file).write_text((parent / file).read_text())
        made.append(str(parent / name))
    return made


def _inside(root: str, upper: str, lower: str, groups: list[str], gate: int) -> None:
    _LIBC.setsid()
    _LIBC.syscall(_KEYCTL, 1, b"_ses.floor")
    _LIBC.sethostname(b"box", 3)
    _mount(None, "/", None, _SLAVE | _REC)
    _mount("overlay", root, "overlay", 0, f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work")
    os.chdir(root)
    for folder in ("proc", "dev", "sys"):
        os.mkdir(folder)
    _mount("proc", "proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _mount("tmpfs", "dev", "tmpfs", _NOSUID, "mode=755,size=65536k")
    for folder in ("dev/pts", "dev/mqueue", "dev/shm"):
        os.mkdir(folder)
    _mount("devpts", "dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    _mount("sysfs", "sys", "sysfs", _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    if len(groups) == 1:
        _mount("cgroup", "sys/fs/cgroup", "cgroup2", _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    else:
        _mount("tmpfs", "sys/fs/cgroup", "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=755")
        for group in groups:
            place = "sys/fs/cgroup/" + group.split("/")[4]
            os.mkdir(place)
            _mount(group, place, None, _BIND)
            _mount(None, place, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    _mount("mqueue", "dev/mqueue", "mqueue", _NOSUID | _NODEV | _NOEXEC)
    _mount("shm", "dev/shm", "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=1777,size=65536k")
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)):
        os.mknod(f"dev/{name}", 0o20666, os.makedev(major, minor))
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")):
        os.symlink(target, f"dev/{name}")
    for path in READONLY:
        if os.path.exists(path[1:]):
            _mount(path[1:], path[1:], None, _BIND | _REC)
            _mount(None, path[1:], None, _REMOUNT | _BIND | _RDONLY)
    for path in MASKED:
        if os.path.isdir(path[1:]):
            _mount("tmpfs", path[1:], "tmpfs", _RDONLY, "nr_blocks=1,nr_inodes=1")
        elif os.path.exists(path[1:]):
            _mount("/dev/null", path[1:], None, _BIND)
    _must(_LIBC.syscall(_PIVOT_ROOT, b".", b"."))
    _mount(None, ".", None, _SLAVE | _REC)
    _must(_LIBC.umount2(b".", 2))
    os.chdir("/")
    os.read(gate, 1)  # in its groups
    for capability in range(41 - len(CAPABILITIES)):
        _LIBC.prctl(24, 40 - capability, 0, 0, 0)
    os.setgroups([])
    os.execve("/bin/true", ["true"], {"PATH": "/bin"})


def birth(folder: Path, lower: str) -> None:
    """From the fork to the program's end, and what was made removed."""
    id = new_id()
    data = folder / id
    for part in ("root", "upper", "work"):
        (data / part).mkdir(parents=True)
    parent = os.fork()
    if parent == 0:
        try:
            _parent(data, lower, id)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(parent, 0)[1] != 0:
        raise RuntimeError("the bare script failed")
    for hierarchy in _hierarchies():
        os.rmdir(hierarchy / "compose-lite-floor" / id)


def _parent(data: Path, lower: str, id: str) -> None:
    groups = _groups(id)
    gate, opens = os.pipe()
    arguments = (ctypes.c_uint64 * 11)(_NEW, 0, 0, 0, 17)
    pid = _must(_LIBC.syscall(_CLONE3, ctypes.byref(arguments), 88))
    if pid == 0:
        try:
            _inside(str(data / "root"), str(data), lower, groups, gate)
        finally:
            os._exit(1)
    for group in groups:
        fd = os.open(f"{group}/cgroup.procs", os.O_WRONLY)
        os.write(fd, b"%d" % pid)
        os.close(fd)
    os.write(opens, b"x")
    if os.waitpid(pid, 0)[1] != 0:
        os._exit(1)


async def ours(r: Rig) -> None:
    launch = r.launch("true")
    told = asyncio.Event()
    r.runtime.on_exit = lambda _: told.set()
    await r.runtime.create(launch)
    await r.runtime.start(launch.id)
    await told.wait()
    await r.runtime.delete(launch.id)


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lower = str(busybox_root(folder / "lower"))
        took: dict[str, list[float]] = {"bare script": [], "zygote": []}
        async with rig(folder / "rig") as r:
            for _ in range(count):
                before = time.perf_counter()
                birth(folder, lower)
                between = time.perf_counter()
                await ours(r)
                took["bare script"].append(between - before)
                took["zygote"].append(time.perf_counter() - between)
        for hierarchy in _hierarchies():
            os.rmdir(hierarchy / "compose-lite-floor")
        for what, times in took.items():
            print(f"{what:12} {statistics.median(times) * 1000:6.2f} ms ({min(times) * 1000:.2f} - {max(times) * 1000:.2f})")
        print(f"ratio        {statistics.median(took['zygote']) / statistics.median(took['bare script']):6.2f}")
        shutil.rmtree(folder / "lower")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
