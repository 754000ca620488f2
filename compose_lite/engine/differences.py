"""What a container's own layer says against its image: `docker diff`, and which names are no part of a commit.

The places of the engine's own mounts lie in the init layer (initlayer.py), but for a container without one: they are left out here.
Blocking: call it in a thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from compose_lite.linux.openat2 import open_path

MODIFIED, ADDED, DELETED = 0, 1, 2
# The places of the engine's own mounts, as Docker's init layer has them.
PLACES = frozenset(
    (
        *("/.dockerenv", "/dev", "/dev/console", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys"),
        *("/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf"),
    )
)


def is_place(upper: str, path: str) -> bool:
    """The path (absolute inside) is nothing but a place to mount on: an empty file or folder, or one that holds such alone."""
    if path not in PLACES and path != "/etc":
        return False
    status = os.lstat(upper + path)
    if stat.S_ISREG(status.st_mode):
        return status.st_size == 0
    if stat.S_ISDIR(status.st_mode):
        inside = os.listdir(upper + path)
        return (path != "/etc" or bool(inside)) and all(is_place(upper, f"{path}/{name}") for name in inside)
    return path in ("/etc/mtab", "/dev/console")


def changes(upper: str, layers: Sequence[str]) -> list[Mapping[str, Any]]:
    """Docker's rows of the upper folder against the layers (bottom first), by path."""
    found: list[Mapping[str, Any]] = []
    roots = [os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for layer in reversed(layers)]
    try:
        for here, folders, files in os.walk(upper):
            inside = here[len(upper) :]
            folders[:] = [name for name in folders if not is_place(upper, f"{inside}/{name}")]
            for name in (*folders, *files):
                path = f"{inside}/{name}"
                if is_place(upper, path):
                    continue
                status = os.lstat(upper + path)
                gone = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
                kind = DELETED if gone else MODIFIED if any(_there(root, path) for root in roots) else ADDED
                found.append({"Path": path, "Kind": kind})
    finally:
        for root in roots:
            os.close(root)
    return sorted(found, key=lambda change: str(change["Path"]))


def _there(root: int, path: str) -> bool:
    try:
        os.close(open_path(root, path.lstrip("/")))
        return True
    except OSError:
        return False
