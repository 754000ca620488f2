"""The init layer: what an image lacks of the places that the engine mounts on, made once for all containers of the image.

It lies between the image and a container's own layer, as Docker's does (daemon/initlayer): no start makes these files again, and
neither `diff` nor `commit` sees them. It stands in the folder of the image's top layer, `data/layers/<24 hex>/init-<12 hex>`, and goes
with it. Blocking, some milliseconds the first time an image is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from compose_lite.image.store import ImageStore
from compose_lite.linux import mount, openat2

# What is a folder, a file, a link; programs look for the mark /.dockerenv, and df(1) and others read /etc/mtab.
_FOLDERS = ("/dev/pts", "/dev/shm", "/proc", "/sys")
_FILES = ("/.dockerenv", "/dev/console", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
_LINKS = (("/etc/mtab", "/proc/mounts"),)
_DIGITS = 12


def over(store: ImageStore, layers: Sequence[Path], *, userxattr: bool) -> Path:
    """The init layer of an image with these layers (bottom first, at least one), made when it is missing."""
    named = hashlib.sha256("\n".join(layer.parent.name for layer in layers).encode()).hexdigest()
    place = layers[-1].parent / f"init-{named[:_DIGITS]}"
    if not place.is_dir():
        with store.scratch() as scratch:
            made, work = scratch / "init", scratch / "work"
            made.mkdir()
            work.mkdir()
            like_root(made, layers)
            _fill_upper([str(layer) for layer in layers], str(made), str(work), userxattr)
            with contextlib.suppress(OSError):  # not empty: somebody else has made it
                made.rename(place)
    return place


def like_root(folder: Path, layers: Sequence[str | Path]) -> None:
    """A merged root shows the mode and owner of the top folder: they are those of the layer below."""
    found = os.stat(layers[-1] if layers else "/")
    folder.chmod(stat.S_IMODE(found.st_mode))
    with contextlib.suppress(OSError):
        os.chown(folder, found.st_uid, found.st_gid)


def within(layers: Sequence[str], upper: Path, work: Path, *, userxattr: bool) -> None:
    """The same in the container's own layer, where there is no layer of an image to keep it by: `rootfs:/path`, an empty image."""
    try:
        _fill_upper(layers, str(upper), str(work), userxattr)
    except OSError:  # no layers, or a folder with mounts beneath it in a user namespace (runtime/splitroot.py)
        os.close(os.open(upper / ".dockerenv", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o755))


def _fill_upper(layers: Sequence[str], upper: str, work: str, userxattr: bool) -> None:
    root = mount.detached_overlay(layers, upper, work, userxattr=userxattr)
    try:
        fill(root)
    finally:
        os.close(root)


def fill(root: int) -> None:
    """Makes what is missing inside the root; folders that were there keep their times. What cannot be made is the image's own affair."""
    before = {folder: found for folder in ("/", "/dev", "/etc") if (found := _status(root, folder))}
    for path in _FOLDERS:
        with contextlib.suppress(OSError):
            os.close(openat2.make_folders(root, path))
    for path in _FILES:
        with contextlib.suppress(OSError):
            os.close(openat2.make_file(root, path, 0o755))
    for path, target in _LINKS:
        folder, name = os.path.split(path)
        with contextlib.suppress(OSError):
            _link(root, folder, name, target)
    for path, found in before.items():
        with contextlib.suppress(OSError):
            fd = openat2.open_path(root, path)
            try:
                os.utime(f"/proc/self/fd/{fd}", ns=(found.st_atime_ns, found.st_mtime_ns))
            finally:
                os.close(fd)


def _link(root: int, folder: str, name: str, target: str) -> None:
    here = openat2.make_folders(root, folder)
    try:
        os.symlink(target, name, dir_fd=here)
    finally:
        os.close(here)


def _status(root: int, path: str) -> os.stat_result | None:
    try:
        fd = openat2.open_path(root, path)
    except OSError:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
