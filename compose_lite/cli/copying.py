"""Files between this machine and a container, as `docker cp` understands its two paths: tars over the archive calls.

What comes out of a container is not trusted: it is unpacked entry by entry, and no link in it is ever followed.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import IO, Any

import anyio

from compose_lite.api.protocol import Engine, path_stat
from compose_lite.cli.streams import write_out
from compose_lite.errors import ApiError, Error

_GO_DIR, _GO_LINK = 1 << 31, 1 << 27
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Target:
    """Where a copy goes: the folder that receives it, and its name there; empty: what is in the source goes into the folder."""

    folder: str
    name: str


def split_path(text: str) -> tuple[str, str]:
    """`web:/etc/x` -> (web, /etc/x); a path of this machine, and `-`, has no container."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")) or "/" in container:
        return "", text
    return container, path


def contents_only(path: str) -> bool:
    """`dir/.` means what is in the folder."""
    return path == "." or path.endswith("/.")


def target_of(path: str, source: str, *, folder: bool, exists: bool, is_folder: bool) -> Target:
    """The rules of `docker cp`. folder: the source is one; exists, is_folder: what stands at the path. Pure."""
    clean, name = posixpath.normpath(path or "."), posixpath.basename(posixpath.normpath(source))
    if is_folder:
        return Target(clean, "" if folder and contents_only(source) else name)
    if exists and folder:
        raise Error("copy-directory", f"cannot copy directory {source} to the file {path}")
    if path.endswith("/") and not folder:
        raise Error("copy-directory", f"no such directory: {path}", remedy="Make it first, or leave the last / out.")
    return Target(posixpath.dirname(clean) or ".", posixpath.basename(clean))


async def copy_in(
    engine: Engine, id: str, source: str, path: str, *, cwd: str, follow: bool = False, archive: bool = False, stdin: int = 0
) -> None:
    """source: a path of this machine, or `-`: a tar on the descriptor stdin, for a folder."""
    found, inside = await _resolved(engine, id, posixpath.join("/", path))
    is_folder = bool(found and found["mode"] & _GO_DIR)
    if source == "-":
        if not is_folder:
            raise Error("copy-directory", f'destination "{path}" must be a directory')
        await engine.archive_put(id, inside, _pieces(stdin), no_overwrite_dir_non_dir=True, copy_uid_gid=archive)
        return
    local = os.path.join(cwd, source)
    follow = follow or source.endswith("/")
    try:
        status = os.stat(local) if follow else os.lstat(local)
    except OSError as error:
        says = f"lstat {os.path.normpath(local)}: {(error.strerror or '').lower()}"
        raise Error("copy-source", says, remedy="Name a file or folder of this machine.") from error
    target = target_of(inside, source, folder=stat.S_ISDIR(status.st_mode), exists=found is not None, is_folder=is_folder)

    def write(out: IO[bytes]) -> None:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            _pack(tar, os.path.realpath(local) if follow else os.path.normpath(local), target.name)

    await engine.archive_put(id, target.folder, written(write), no_overwrite_dir_non_dir=True, copy_uid_gid=archive)


async def _resolved(engine: Engine, id: str, path: str) -> tuple[dict[str, Any] | None, str]:
    """(what stands at the path in the container or None, the path); a last link is followed."""
    for _ in range(10):
        try:
            found = await engine.archive_head(id, path)
        except ApiError as error:
            if error.http_status != 404:
                raise
            return None, path
        if not found["mode"] & _GO_LINK:
            return found, path
        path = posixpath.join(posixpath.dirname(path.rstrip("/")), found["linkTarget"])
    raise Error("copy-links", f"too many levels of symbolic links: {path}")


def _pack(tar: tarfile.TarFile, path: str, name: str) -> None:
    """The path under this name; with an empty name what is in it. Sockets are left out, as Docker does."""
    if name:
        entry = tar.gettarinfo(path, name)
        if entry is None:
            return
        if entry.isreg():
            with open(path, "rb") as file:
                tar.addfile(entry, file)
            return
        tar.addfile(entry)
        if not entry.isdir():
            return
    for child in sorted(os.listdir(path)):
        _pack(tar, os.path.join(path, child), f"{name}/{child}" if name else child)


async def written(write: Callable[[IO[bytes]], None]) -> AsyncIterator[bytes]:
    """What the function writes, while it writes it in a thread."""
    reader, writer = os.pipe()
    failed: list[OSError] = []

    def run() -> None:
        with open(writer, "wb") as out, contextlib.suppress(BrokenPipeError):
            try:
                write(out)
            except OSError as error:
                if not isinstance(error, BrokenPipeError):
                    failed.append(error)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, run)
            async for piece in _pieces(reader):
                yield piece
    finally:
        os.close(reader)
    if failed:
        raise Error("copy-source", f"{failed[0].filename}: {failed[0].strerror}") from failed[0]


async def _pieces(fd: int) -> AsyncIterator[bytes]:
    """The descriptor to its end. A file is always readable, and epoll refuses it."""
    while True:
        with contextlib.suppress(PermissionError):
            await anyio.wait_readable(fd)
        piece = os.read(fd, _PIECE)
        if not piece:
            return
        yield piece


# --- out of a container


async def copy_out(
    engine: Engine,
    id: str,
    path: str,
    target: str,
    *,
    cwd: str,
    follow: bool = False,
    archive: bool = False,
    stdout: IO[bytes] | None = None,
) -> None:
    """target: a path of this machine, or `-`: the tar goes to stdout."""
    inside = posixpath.join("/", path)
    if follow:
        _, inside = await _resolved(engine, id, inside)
        inside += "/." if contents_only(path) else ""
    async with engine.archive_get(id, inside) as answer:
        if target == "-":
            assert stdout
            async for piece in answer:
                write_out(stdout, piece)
            return
        local = os.path.join(cwd, target)
        folder = bool(path_stat(answer)["mode"] & _GO_DIR) or contents_only(path)
        where = target_of(local, path, folder=folder, exists=os.path.lexists(local), is_folder=os.path.isdir(local))
        if not os.path.isdir(where.folder):
            raise Error("copy-target", f'invalid output path: directory "{where.folder}" does not exist')
        reader, writer = os.pipe()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, _unpack, reader, where, archive)
            with open(writer, "wb", buffering=0) as out:
                async for piece in answer:
                    await anyio.to_thread.run_sync(out.write, piece)


def _unpack(reader: int, where: Target, keep_owner: bool) -> None:
    """The tar's first names are replaced by the target's. Blocking."""
    with open(reader, "rb") as stream:
        root = os.open(where.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for entry in tar:
                    parts = _renamed(entry.name, where.name)
                    if parts:
                        linked = _renamed(entry.linkname, where.name) if entry.islnk() else []
                        _extract(tar, entry, root, parts, linked, keep_owner)
            while stream.read(_PIECE):  # the padding, so that the writer is never left with a broken pipe
                pass
        except OSError as error:
            while stream.read(_PIECE):
                pass
            raise Error("copy-target", f"{error.filename or where.folder}: {error.strerror}") from error
        finally:
            os.close(root)


def _renamed(name: str, first: str) -> list[str]:
    """The parts of a name of the tar, its first one (which is `.` where contents alone are asked for) replaced; `..` is not among them."""
    parts = [p for p in [p for p in name.split("/") if p][1:] if p not in (".", "..")]
    return [first, *parts] if first else parts


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, root: int, parts: list[str], linked: list[str], keep_owner: bool) -> None:
    folder, last = _opened(root, parts[:-1]), parts[-1]
    try:
        old = _mode(folder, last)
        if old is not None and not (entry.isdir() and stat.S_ISDIR(old)):
            if stat.S_ISDIR(old) and not entry.isdir():
                raise IsADirectoryError(21, "a directory is in the way", "/".join(parts))
            os.unlink(last, dir_fd=folder)
            old = None
        if entry.isdir():
            if old is None:
                os.mkdir(last, 0o777, dir_fd=folder)
        elif entry.issym():
            os.symlink(entry.linkname, last, dir_fd=folder)
        elif entry.islnk():
            other = _opened(root, linked[:-1])
            try:
                os.link(linked[-1], last, src_dir_fd=other, dst_dir_fd=folder, follow_symlinks=False)
            finally:
                os.close(other)
            return
        elif entry.isfile():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            source = tar.extractfile(entry)
            with open(os.open(last, flags, 0o600, dir_fd=folder), "wb") as file:
                if source is not None:
                    shutil.copyfileobj(source, file, _PIECE)
        else:  # devices and pipes: only what they are may be made here
            kind = stat.S_IFIFO if entry.isfifo() else stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            os.mknod(last, kind | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=folder)
        if keep_owner:
            os.chown(last, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        if not entry.issym():
            os.chmod(last, stat.S_IMODE(entry.mode), dir_fd=folder)
            os.utime(last, (entry.mtime, entry.mtime), dir_fd=folder)
    finally:
        os.close(folder)


def _opened(root: int, parts: list[str]) -> int:
    """The folder below root, made where it is missing; a link on the way is refused."""
    here = os.dup(root)
    for part in parts:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, 0o777, dir_fd=here)
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        finally:
            os.close(here)
        here = inner
    return here


def _mode(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
