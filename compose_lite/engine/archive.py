"""`docker cp`: one path of a container's root as a tar, a tar unpacked at a path; stat. On running and stopped containers.

A running container is entered by its own root; a stopped one by an overlay of its layers mounted for the call, read-only
layers and its own upper folder, never visible on the machine. Paths are resolved with RESOLVE_IN_ROOT: a link inside
cannot lead outside. Blocking: call it in a thread.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from compose_lite.engine.record import Container
from compose_lite.errors import EngineError
from compose_lite.linux import mount
from compose_lite.linux.capabilities import files_as
from compose_lite.linux.openat2 import openat2
from compose_lite.subordinate import Remapping
from compose_lite.units import rfc3339

_GO_BITS = (
    (stat.S_ISDIR, 1 << 31),
    (stat.S_ISLNK, 1 << 27),
    (stat.S_ISBLK, 1 << 26),
    (stat.S_ISCHR, 1 << 26 | 1 << 21),
    (stat.S_ISFIFO, 1 << 25),
    (stat.S_ISSOCK, 1 << 24),
)


@contextlib.contextmanager
def root_of(container: Container, upper: str, work: str, userxattr: bool) -> Iterator[int]:
    """A descriptor of the container's root folder."""
    if container.running and container.pid:
        fd = os.open(f"/proc/{container.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        fd = mount.detached_overlay(container.layers, upper, work, userxattr=userxattr)
    try:
        yield fd
    finally:
        os.close(fd)


def place(container: Container, root: int, path: str) -> tuple[int, str]:
    """A folder to resolve in, and the path in it: a volume or bind of a stopped container is its own root."""
    clean = os.path.normpath("/" + path.lstrip("/"))
    if not container.running:
        points = [m for m in container.mounts if m["Type"] in ("bind", "volume") and (clean + "/").startswith(m["Destination"] + "/")]
        if points:
            point = max(points, key=lambda m: len(m["Destination"]))
            inside = clean[len(point["Destination"]) :].lstrip("/")
            if os.path.isdir(point["Source"]):
                return os.open(point["Source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), inside
    return os.dup(root), clean.lstrip("/")


def _open_parent(container: Container, root: int, path: str) -> tuple[int, str]:
    """The folder that holds the path's last name (followed up to there), and the name; `.` for a root."""
    base, inside = place(container, root, path)
    try:
        folder, name = os.path.split(inside)
        if not name:
            return os.dup(base), "."
        return openat2(base, folder or ".", os.O_PATH | os.O_DIRECTORY), name
    finally:
        os.close(base)


def _open_followed(container: Container, root: int, path: str, flags: int = os.O_PATH) -> int:
    """What the path leads to; a link at its end is followed too, inside the root."""
    base, inside = place(container, root, path)
    try:
        return openat2(base, inside or ".", flags)
    finally:
        os.close(base)


def _missing(called: str, path: str) -> EngineError:
    return EngineError(f"Could not find the file {path} in container {called}", http_status=404)


def describe(container: Container, root: int, path: str, called: str) -> dict[str, Any]:
    """X-Docker-Container-Path-Stat. called: how the caller has named the container."""
    try:
        folder, name = _open_parent(container, root, path)
    except OSError:
        raise _missing(called, path) from None
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode) and path.endswith(("/", "/.")):
            end = _open_followed(container, root, path)
            try:
                found = os.fstat(end)
            finally:
                os.close(end)
        mode = stat.S_IMODE(found.st_mode) & 0o777
        mode |= next((bits for test, bits in _GO_BITS if test(found.st_mode)), 0)
        for bit, go in ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20)):
            mode |= go if found.st_mode & bit else 0
        target = ""
        if stat.S_ISLNK(found.st_mode):
            target = os.readlink(name, dir_fd=folder)
            target = target if target.startswith("/") else os.path.normpath(os.path.join(os.path.dirname("/" + path.lstrip("/")), target))
        base = "." if path.endswith("/.") else os.path.basename(os.path.normpath(path)) or "/"
        size = found.st_size
        return {"name": base, "size": size, "mode": mode, "mtime": rfc3339(found.st_mtime_ns), "linkTarget": target}
    except FileNotFoundError:
        raise _missing(called, path) from None
    finally:
        os.close(folder)


@dataclass(frozen=True, slots=True)
class Owners:
    """Ids of files as the container sees them, and as they are where they are reached: the same but for remapped ones of a running
    container, whose root shows the machine's ids."""

    remap: Remapping | None = None

    def seen(self, uid: int, gid: int) -> tuple[int, int]:
        return (uid, gid) if self.remap is None else self.remap.inside(uid, gid)

    def given(self, uid: int, gid: int) -> tuple[int, int]:
        return (uid, gid) if self.remap is None else self.remap.outside(uid, gid)

    def acting(self) -> contextlib.AbstractContextManager[None]:
        """Of the calling thread: what it makes is made by root inside, as the container's layer has no others (EOVERFLOW)."""
        return contextlib.nullcontext() if self.remap is None else files_as(*self.remap.outside(0, 0))


SAME = Owners()


def pack(container: Container, root: int, path: str, out: IO[bytes], owners: Owners = SAME) -> None:
    """The path as a tar, its names beginning with the path's last name."""
    folder, name = _open_parent(container, root, path)
    try:
        base = "." if path.endswith("/.") else os.path.basename(os.path.normpath(path)) or "/"
        if path.endswith("/.") or (path.endswith("/") and stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)):
            inner = _open_followed(container, root, path, os.O_PATH | os.O_DIRECTORY)
            os.close(folder)
            folder, name = inner, "."
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, folder, name, base, {}, owners)
    finally:
        os.close(folder)


def export(container: Container, root: int, out: IO[bytes], owners: Owners = SAME) -> None:
    """The whole root as a tar; of what is mounted in it only the empty places."""
    inner = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    try:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            seen: dict[tuple[int, int], str] = {}
            places = _mount_points(container)
            for child in sorted(os.listdir(inner)):
                with contextlib.suppress(FileNotFoundError):
                    _add(archive, inner, child, child, seen, owners, places)
    finally:
        os.close(inner)


def _mount_points(container: Container) -> frozenset[str]:
    """Where something is mounted in a running container's root. proc_pid_mountinfo(5)"""
    if not container.running or not container.pid:
        return frozenset()
    with contextlib.suppress(OSError), open(f"/proc/{container.pid}/mountinfo", "rb") as table:
        return frozenset(os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1")).lstrip("/") for line in table)
    return frozenset()


def _add(
    archive: tarfile.TarFile,
    folder: int,
    name: str,
    shown: str,
    seen: dict[tuple[int, int], str],
    owners: Owners,
    empty: frozenset[str] = frozenset(),
) -> None:
    """empty: shown names of which only the place is taken."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    entry = tarfile.TarInfo(shown)
    entry.mode, entry.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    entry.uid, entry.gid = owners.seen(found.st_uid, found.st_gid)
    if stat.S_ISLNK(found.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
        archive.addfile(entry)
    elif stat.S_ISDIR(found.st_mode):
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        if shown in empty:
            return
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            for child in sorted(os.listdir(inner)):
                with contextlib.suppress(FileNotFoundError):
                    _add(archive, inner, child, f"{shown.rstrip('/')}/{child}", seen, owners, empty)
        finally:
            os.close(inner)
    elif stat.S_ISREG(found.st_mode) and shown in empty:
        archive.addfile(entry)
    elif stat.S_ISREG(found.st_mode):
        key = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and key in seen:
            entry.type, entry.linkname = tarfile.LNKTYPE, seen[key]
            archive.addfile(entry)
            return
        seen[key] = shown
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with open(fd, "rb") as file:
            entry.size = os.fstat(fd).st_size
            archive.addfile(entry, _Exactly(file, entry.size))  # type: ignore[arg-type]
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) or stat.S_ISFIFO(found.st_mode):
        entry.type = (
            tarfile.CHRTYPE if stat.S_ISCHR(found.st_mode) else tarfile.BLKTYPE if stat.S_ISBLK(found.st_mode) else tarfile.FIFOTYPE
        )
        entry.devmajor, entry.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
        archive.addfile(entry)


class _Exactly:
    """A file that grows or shrinks meanwhile still gives the bytes its header promised."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left)) if self._left else b""
        data = data or b"\0" * min(size, self._left)
        self._left -= len(data)
        return data


def unpack(
    container: Container,
    root: int,
    path: str,
    stream: IO[bytes],
    called: str,
    *,
    no_overwrite: bool = False,
    owner: tuple[int, int] | None = None,
    owners: Owners = SAME,
) -> None:
    """The tar's entries below the path, which has to be a folder. no_overwrite: a folder never replaces a file, nor the other way.

    owner: whose all entries become, instead of what the tar says.
    """
    base, inside = place(container, root, path)
    try:
        try:
            target = openat2(base, inside or ".", os.O_PATH | os.O_DIRECTORY)
        except NotADirectoryError:
            raise EngineError("extraction point is not a directory", http_status=400) from None
        except OSError:
            raise _missing(called, path) from None
    finally:
        os.close(base)
    if container.host_config.get("ReadonlyRootfs") and not any(m["RW"] for m in container.mounts if path.startswith(m["Destination"])):
        os.close(target)
        raise EngineError("container rootfs is marked read-only", http_status=400)
    try:
        with owners.acting(), tarfile.open(fileobj=stream, mode="r|*") as archive:
            for entry in archive:
                if owner is not None:
                    entry.uid, entry.gid = owner
                entry.uid, entry.gid = owners.given(entry.uid, entry.gid)
                _extract(archive, entry, target, no_overwrite)
    except ValueError as error:
        raise EngineError(str(error), http_status=400) from error
    except tarfile.TarError as error:
        raise EngineError(f"archive/tar: invalid tar header: {error}", http_status=400) from error
    finally:
        os.close(target)


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: int, no_overwrite: bool) -> None:
    name = os.path.normpath("/" + entry.name).lstrip("/")
    folder_path, last = os.path.split(name)
    if not last:
        return
    folder = _made(target, folder_path)
    try:
        old = _mode_of(folder, last)
        if old is not None and not (entry.isdir() and stat.S_ISDIR(old)):
            if no_overwrite and entry.isdir() != stat.S_ISDIR(old):
                which = ("directory", "non-directory") if entry.isdir() else ("non-directory", "directory")
                raise EngineError(f'cannot overwrite {which[1]} "{name}" with {which[0]}', http_status=400)
            _remove(folder, last)
        if entry.isdir():
            if old is None or not stat.S_ISDIR(old):
                os.mkdir(last, 0o700, dir_fd=folder)
        elif entry.issym():
            os.symlink(entry.linkname, last, dir_fd=folder)
        elif entry.islnk():
            source = openat2(target, entry.linkname, os.O_PATH | os.O_NOFOLLOW)
            try:
                os.link(f"/proc/self/fd/{source}", last, dst_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(source)
            return
        elif entry.isfile():
            fd = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
            with open(fd, "wb") as file:
                source_file = archive.extractfile(entry)
                while source_file and (data := source_file.read(1 << 18)):
                    file.write(data)
        else:
            kind = stat.S_IFIFO if entry.isfifo() else stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            os.mknod(last, kind | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=folder)
        with contextlib.suppress(PermissionError):
            os.chown(last, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        if not entry.issym():
            os.chmod(last, stat.S_IMODE(entry.mode), dir_fd=folder)
        os.utime(last, (entry.mtime, entry.mtime), dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def _made(target: int, path: str) -> int:
    try:
        return openat2(target, path or ".", os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        from compose_lite.linux.openat2 import make_folders

        return make_folders(target, path)


def _mode_of(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _remove(folder: int, name: str) -> None:
    mode = _mode_of(folder, name)
    if mode is not None and stat.S_ISDIR(mode):
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            for child in os.listdir(inner):
                _remove(inner, child)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=folder)
    elif mode is not None:
        os.unlink(name, dir_fd=folder)
