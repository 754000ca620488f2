"""openat2(2): paths resolved inside a container's root, whatever links stand in them; and making what is missing there."""

from __future__ import annotations

import ctypes
import os

from compose_lite.linux.syscall import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT = 0x02, 0x04, 0x08, 0x10
_MOST_LINKS = 40


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: int = IN_ROOT | NO_MAGICLINKS) -> int:
    """A close-on-exec descriptor; with IN_ROOT `/` and `..` end at dirfd."""
    how = _How(flags | os.O_CLOEXEC, mode, resolve)
    return syscall("openat2", dirfd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))


def open_path(root: int, path: str) -> int:
    """O_PATH of what is there."""
    return openat2(root, path or ".", os.O_PATH)


def make_folders(root: int, path: str, mode: int = 0o755, made: Callable[[int, str], object] | None = None) -> int:
    """mkdir -p inside the root: O_PATH of the folder. Links in the way are followed inside the root, a dangling one's target is made.

    made: is told of each new folder (descriptor of the one it is in, name).
    """
    try:
        return openat2(root, path or ".", os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    if _make_last(root, path, mode, made):
        return openat2(root, path, os.O_PATH | os.O_DIRECTORY)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    done: list[str] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        here = openat2(root, "/".join(done) or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            target = _link(here, part)
            if target is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(40, f"too many levels of symbolic links in {path!r}")
                done = [] if target.startswith("/") else done
                parts = [one for one in target.split("/") if one not in ("", ".")] + parts
                continue
            try:
                os.mkdir(part, mode, dir_fd=here)
                if made:
                    made(here, part)
            except FileExistsError:
                pass
            done.append(part)
        finally:
            os.close(here)
    return openat2(root, "/".join(done) or ".", os.O_PATH | os.O_DIRECTORY)


def _make_last(root: int, path: str, mode: int, made: Callable[[int, str], object] | None) -> bool:
    """The short way: most often it is the last name alone that is missing. False: a folder above is, too, or a link leads nowhere."""
    folder, name = os.path.split(path)
    if name in ("", ".", ".."):
        return False
    try:
        here = openat2(root, folder or ".", os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        os.mkdir(name, mode, dir_fd=here)
        if made:
            made(here, name)
        return True
    except FileExistsError:
        return False
    finally:
        os.close(here)


def make_file(root: int, path: str, mode: int = 0o644) -> int:
    """O_PATH of the file, an empty one with its folders when it was missing."""
    try:
        return openat2(root, path, os.O_PATH)
    except FileNotFoundError:
        pass
    folder, name = os.path.split(path.rstrip("/"))
    here = make_folders(root, folder)
    try:
        try:
            os.close(openat2(root, path, os.O_CREAT | os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK, mode))
        except OSError:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=here))
    finally:
        os.close(here)
    return openat2(root, path, os.O_PATH)


def _link(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None
