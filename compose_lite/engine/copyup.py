"""Copy-up: an empty volume takes the image's content at its place, layers merged as overlayfs would. It must never follow a link."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence

from compose_lite.linux.openat2 import open_path


def copy_up(layers: Sequence[str], path: str, target: str) -> None:
    """Copies what the layers (bottom first) have at the path, with owners, modes and times, bottom to top with whiteouts."""
    for layer in layers:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            at = open_path(root, path)
        except OSError:
            continue
        finally:
            os.close(root)
        try:
            if stat.S_ISDIR(os.fstat(at).st_mode):
                _copy_folder(f"/proc/self/fd/{at}", target)
        finally:
            os.close(at)


def _copy_folder(source: str, target: str) -> None:
    if _opaque(source):
        for entry in os.scandir(target):
            _delete(entry.path)
    with os.scandir(source) as entries:
        for entry in entries:
            there = f"{target}/{entry.name}"
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
                _delete(there)
            elif stat.S_ISDIR(found.st_mode):
                if not (os.path.isdir(there) and not os.path.islink(there)):
                    _delete(there)
                    os.mkdir(there)
                _copy_folder(entry.path, there)
            else:
                _delete(there)
                _copy_entry(entry.path, there, found)
    _same_owner(source, target, os.stat(source))


def _copy_entry(source: str, there: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), there)
    elif stat.S_ISREG(found.st_mode):
        shutil.copyfile(source, there, follow_symlinks=False)
    else:
        with contextlib.suppress(OSError):
            os.mknod(there, found.st_mode, found.st_rdev)
        if not os.path.lexists(there):
            return
    _same_owner(source, there, found)


def _same_owner(source: str, there: str, found: os.stat_result) -> None:
    with contextlib.suppress(OSError):
        os.lchown(there, found.st_uid, found.st_gid)
    is_link = stat.S_ISLNK(found.st_mode)
    for name in () if is_link else _attributes(source):
        if not name.startswith(("trusted.overlay", "user.overlay")):
            with contextlib.suppress(OSError):
                os.setxattr(there, name, os.getxattr(source, name))
    if not is_link:
        os.chmod(there, stat.S_IMODE(found.st_mode))
    os.utime(there, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _attributes(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listxattr(path)
    return []


def _opaque(folder: str) -> bool:
    return any(name in ("trusted.overlay.opaque", "user.overlay.opaque") for name in _attributes(folder))


def _delete(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
