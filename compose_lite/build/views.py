"""Layers as one tree: overlays mounted in a private mount namespace, so that nobody else sees them and they go with the process.

`Views` belongs to one process that has called `isolate` while it was single-threaded. Blocking; mount points lie in the
scratch folder. mount(2), open_tree(2); kernel's Documentation/filesystems/overlayfs.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from compose_lite.image import layers as layer_files
from compose_lite.linux import mount, namespaces
from compose_lite.linux.openat2 import make_folders, openat2
from compose_lite.linux.syscall import syscall

_OPEN_TREE_CLONE, _RECURSIVE, _EMPTY_PATH, _CLOEXEC = 1, 0x8000, 0x1000, os.O_CLOEXEC
_PAGE = 4096


def isolate() -> None:
    """A mount namespace of our own; what is mounted outside later is still seen here, never the other way."""
    namespaces.unshare(namespaces.NEWNS)
    mount.mount(None, "/", None, mount.SLAVE | mount.REC)


class Views:
    """Overlays of one build. scratch: a private folder on the layers' file system."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._read_only: dict[tuple[str, ...], str] = {}
        self._lock = threading.Lock()
        self._count = 0

    def folder(self, *names: str) -> Path:
        """A new folder of our own, with the given ones inside."""
        with self._lock:
            self._count += 1
            made = self._scratch / f"v{self._count}"
        made.mkdir(mode=0o755)
        for name in names:
            (made / name).mkdir(mode=0o755)
        return made

    def read_only(self, lower: Sequence[str]) -> str:
        """The layers (bottom first) as a tree; the same ones give the same tree."""
        key = tuple(lower)
        if not key:
            key = (str(self.folder()),)
        with self._lock:
            found = self._read_only.get(key)
        if found:
            return found
        if len(key) == 1:
            made = key[0]
        else:
            made = str(self.folder())
            mount_overlay(made, key)
        with self._lock:
            self._read_only[key] = made
        return made

    def writable(self, lower: Sequence[str], upper: Path, work: Path) -> str:
        """An overlay that writes into `upper`; without layers that folder itself. The caller unmounts it with `leave`."""
        if not lower:
            return str(upper)
        made = str(self.folder())
        mount_overlay(made, lower, str(upper), str(work))
        return made

    def leave(self, path: str) -> None:
        if os.path.ismount(path):
            mount.umount(path, mount.DETACH)


def mount_overlay(target: str, lower: Sequence[str], upper: str | None = None, work: str | None = None) -> None:
    """lower: bottom first. Volatile: what is written is a build's, which begins anew after a crash."""
    options: list[tuple[str, str | None]] = []
    if upper is not None and work is not None:
        options += [("upperdir", upper), ("workdir", work), ("volatile", None)]
    if layer_files.in_user_namespace():
        options.append(("userxattr", None))
    top_first = list(reversed(lower))
    data = "lowerdir=" + ":".join(_escaped(one).replace(":", "\\:") for one in top_first)
    for key, value in options:
        data += f",{key}" if value is None else f",{key}={_escaped(value)}"
    if len(os.fsencode(data)) < _PAGE - 1:
        mount.mount("overlay", target, "overlay", 0, data)
    else:
        mount.overlay_by_fsconfig(target, top_first, options)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,")


def clone_of(root: str, path: str) -> int:
    """A detached mount of what stands at the path inside the root; FileNotFoundError when nothing does."""
    base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = openat2(base, path, os.O_PATH)
    finally:
        os.close(base)
    try:
        return syscall("open_tree", fd, b"", _OPEN_TREE_CLONE | _CLOEXEC | _RECURSIVE | _EMPTY_PATH)
    finally:
        os.close(fd)


def like_root(folder: Path, lower: Sequence[str]) -> None:
    """Gives an upper folder the look of the root below it: its own mode and owner are the merged root's."""
    if lower:
        found = os.stat(lower[-1])
        os.chmod(folder, stat.S_IMODE(found.st_mode))
        if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(folder, found.st_uid, found.st_gid)


def make_stubs(root: str, layer: Path, points: Iterable[tuple[str, bool]]) -> bool:
    """Puts mount points that the root lacks into a layer of their own, so that none is left in what is kept; whether there are any.

    points: (path, whether it is a folder). Folders that lead there take their look from the root's.
    """
    base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    target = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    some = False
    try:
        for path, is_folder in points:
            if _exists(base, path):
                continue
            some = True
            real = _settled(base, path)
            _imitate(base, target, os.path.dirname(real))
            if is_folder:
                os.close(make_folders(target, real))
            else:
                os.close(openat2(target, real, os.O_CREAT | os.O_WRONLY, 0o644))
    finally:
        os.close(base)
        os.close(target)
    return some


def _exists(base: int, path: str) -> bool:
    try:
        os.close(openat2(base, path, os.O_PATH))
    except OSError:
        return False
    return True


def _settled(base: int, path: str) -> str:
    """The path with links in what exists of it replaced."""
    parts = [part for part in path.split("/") if part]
    for count in range(len(parts), 0, -1):
        head = "/".join(parts[:count])
        try:
            fd = openat2(base, head, os.O_PATH)
        except OSError:
            continue
        try:
            outer, inner = os.readlink(f"/proc/self/fd/{base}"), os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        return "/".join([inner[len(outer.rstrip("/")) :].lstrip("/"), *parts[count:]])
    return "/".join(parts)


def _imitate(base: int, target: int, folder: str) -> None:
    """mkdir -p of the folder in the target, each part looking like the base's where that has it."""
    done = ""
    for part in [part for part in folder.split("/") if part]:
        done = f"{done}/{part}"
        here = make_folders(target, done)
        try:
            like = openat2(base, done, os.O_PATH)
        except OSError:
            os.close(here)
            continue
        try:
            found, place = os.fstat(like), f"/proc/self/fd/{here}"
            os.chown(place, found.st_uid, found.st_gid)
            os.chmod(place, stat.S_IMODE(found.st_mode))
            os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(like)
            os.close(here)
