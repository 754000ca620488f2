"""COPY and ADD: writing what files.py found into a root.

Targets are resolved inside the image's root, and below the target no link is followed. Blocking. It must never write outside of it.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compose_lite.build.chmod import Chmod
from compose_lite.build.files import CHUNK, READ, Member, Top, Tree, attributes, members
from compose_lite.errors import BuildError
from compose_lite.ignore import Pattern
from compose_lite.linux.openat2 import make_folders, openat2

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Look:
    """Owner and mode that everything gets; None: those of the source (root's in an anonymous tree)."""

    owner: tuple[int, int] | None = None
    chmod: Chmod | None = None


class Writer:
    """Writes into the root that the descriptor is open on."""

    def __init__(self, root: int, look: Look, *, note: Callable[[str], object] = lambda text: None) -> None:
        self._root, self._look, self._note = root, look, note
        self._links: dict[tuple[int, int], tuple[int, str]] = {}  # of one top: what two sources name apart is two files
        self._made: list[int] = []  # folders that are still to get their mode

    def parents(self, path: str) -> int:
        """O_PATH of the folder, made with its parents (0755, the look's owner) where they are missing."""
        plain = self._look.chmod is None or self._look.chmod.fixed is None

        def made(folder: int, name: str) -> None:
            if not plain:
                self._made.append(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder))
            if self._look.owner:
                self._chown(lambda: os.chown(name, *self._look.owner, dir_fd=folder, follow_symlinks=False))  # type: ignore[misc]

        try:
            return make_folders(self._root, path, 0o755, made)
        except NotADirectoryError:
            raise BuildError("build-target-path", f"cannot copy to non-directory: {path}") from None

    def is_folder(self, path: str) -> bool:
        try:
            os.close(openat2(self._root, path, os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def put(self, tree: Tree, top: Top, target: str, exclude: Sequence[Pattern] = ()) -> None:
        """The top at the target: a folder's contents into it, a file inside of it when it is (or ends like) a folder."""
        self.close()
        try:
            self._put(tree, top, target, exclude)
        finally:
            self._finish_parents()

    def _put(self, tree: Tree, top: Top, target: str, exclude: Sequence[Pattern]) -> None:
        if top.is_folder:
            self._put_folder(tree, top, target, exclude)
            return
        if target.endswith("/") or self.is_folder(target):
            target = posixpath.join(target, top.name)
        folder, name = self._place(target)
        try:
            self._member(tree, Member("", top.path, top.status), folder, name)
        finally:
            os.close(folder)

    def put_text(self, name: str, text: str, target: str) -> None:
        """A file of the Dockerfile itself."""
        if target.endswith("/") or self.is_folder(target):
            target = posixpath.join(target, name)
        folder, base = self._place(target)
        try:
            fd = self._new_file(folder, base)
            try:
                _write_all(fd, text.encode("utf-8", "surrogateescape"))
                self._finish(fd, 0o644, (0, 0), False)
            finally:
                os.close(fd)
        finally:
            os.close(folder)
            self._finish_parents()

    def _finish_parents(self) -> None:
        """As BuildKit makes them: 0755, of a mode in digits what the usual mask leaves of that. Last, so that anybody can fill them."""
        while self._made:
            fd = self._made.pop()
            if self._look.chmod is not None and self._look.chmod.fixed is not None:
                os.chmod(f"/proc/self/fd/{fd}", self._look.chmod.fixed & 0o755)
            os.close(fd)

    def _place(self, target: str) -> tuple[int, str]:
        """The folder that the target's last name really stands in (a link there is followed), readable, and that name."""
        for _ in range(40):
            folder, name = posixpath.split(target.rstrip("/"))
            parent = self.parents(folder)
            try:
                link = os.readlink(name, dir_fd=parent) if name else ""
            except OSError:
                try:
                    return os.open(f"/proc/self/fd/{parent}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), name
                finally:
                    os.close(parent)
            os.close(parent)
            target = posixpath.join(folder, link)
        raise BuildError("build-target-path", f"too many symbolic links at {target}")

    def _put_folder(self, tree: Tree, top: Top, target: str, exclude: Sequence[Pattern]) -> None:
        path = target.rstrip("/") or "/"
        existed = self.is_folder(path)
        if not existed and path != "/":
            with contextlib.suppress(OSError):
                os.close(openat2(self._root, path, os.O_PATH))
                raise BuildError("build-target-path", f"cannot copy to non-directory: {path}")
        held = self.parents(path)
        try:
            base = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(held)
        try:
            self._fill(tree, top, base, exclude)
            os.utime(base, ns=(top.status.st_mtime_ns, top.status.st_mtime_ns))
        finally:
            os.close(base)

    def _fill(self, tree: Tree, top: Top, base: int, exclude: Sequence[Pattern]) -> None:
        """Members in order; folders are finished when all below them is written, since that changes their times."""
        open_folders: list[tuple[str, int, Member | None]] = [("", base, None)]

        def close_to(prefix: str) -> None:
            while open_folders[-1][0] and not (prefix + "/").startswith(open_folders[-1][0] + "/"):
                _, fd, member = open_folders.pop()
                assert member
                self._finish(fd, stat.S_IMODE(member.status.st_mode), self._owner(tree, member.status), True, member.status, member.path)
                os.close(fd)

        try:
            for member in members(tree, top, exclude):
                parent, _, name = member.name.rpartition("/")
                close_to(parent)
                if stat.S_ISDIR(member.status.st_mode):
                    open_folders.append((member.name, self._folder(open_folders[-1][1], name, member), member))
                else:
                    self._member(tree, member, open_folders[-1][1], name)
            close_to("")
        finally:
            for _, fd, _ in open_folders[1:]:
                os.close(fd)

    def _folder(self, parent: int, name: str, member: Member) -> int:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                raise BuildError("build-target-path", f"cannot copy to non-directory: {member.name}") from None
        return os.open(name, _FOLDER, dir_fd=parent)

    def _member(self, tree: Tree, member: Member, folder: int, name: str) -> None:
        status = member.status
        mode = status.st_mode
        if stat.S_ISREG(mode):
            self._file(tree, member, folder, name)
        elif stat.S_ISLNK(mode):
            self._clear(folder, name)
            os.symlink(os.readlink(member.path), name, dir_fd=folder)
            owner = self._owner(tree, status)
            self._chown(lambda: os.chown(name, *owner, dir_fd=folder, follow_symlinks=False))
            os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=folder, follow_symlinks=False)
        elif stat.S_ISSOCK(mode):
            return  # nobody listens on it any more
        else:
            self._clear(folder, name)
            try:
                os.mknod(name, mode, status.st_rdev, dir_fd=folder)
            except PermissionError:
                self._note("device nodes were left out: only root outside of a user namespace can make them")
                return
            owner = self._owner(tree, status)
            self._chown(lambda: os.chown(name, *owner, dir_fd=folder, follow_symlinks=False))
            os.chmod(name, self._mode(stat.S_IMODE(mode), False), dir_fd=folder)
            os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=folder)

    def _file(self, tree: Tree, member: Member, folder: int, name: str) -> None:
        status = member.status
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1:
            first = self._links.get(inode)
            if first is not None:
                self._clear(folder, name)
                with contextlib.suppress(OSError):
                    os.link(first[1], name, src_dir_fd=first[0], dst_dir_fd=folder, follow_symlinks=False)
                    return
        source = os.open(member.path, READ)
        try:
            fd = self._new_file(folder, name)
            try:
                _copy_content(source, fd, status.st_size)
                self._finish(fd, stat.S_IMODE(status.st_mode), self._owner(tree, status), False, status, member.path)
            finally:
                os.close(fd)
        finally:
            os.close(source)
        if status.st_nlink > 1:
            self._links[inode] = (os.dup(folder), name)

    def close(self) -> None:
        for fd, _ in self._links.values():
            os.close(fd)
        self._links.clear()

    def _new_file(self, folder: int, name: str) -> int:
        try:
            return os.open(name, _NEW, 0o600, dir_fd=folder)
        except FileExistsError:
            self._clear(folder, name)
            return os.open(name, _NEW, 0o600, dir_fd=folder)

    def _clear(self, folder: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise BuildError("build-target-path", f"cannot replace the folder {name} by a file") from None

    # Looks

    def _owner(self, tree: Tree, status: os.stat_result) -> tuple[int, int]:
        return self._look.owner or ((0, 0) if tree.anonymous else (status.st_uid, status.st_gid))

    def _mode(self, mode: int, folder: bool) -> int:
        return self._look.chmod(mode, folder) if self._look.chmod else mode

    def _finish(
        self, fd: int, mode: int, owner: tuple[int, int], folder: bool, status: os.stat_result | None = None, source: str = ""
    ) -> None:
        """Owner before mode (chown clears set-id bits), attributes after both, times last."""
        self._chown(lambda: os.fchown(fd, *(self._look.owner or owner)))
        os.fchmod(fd, self._mode(mode, folder))
        if source:
            for key, value in attributes(source).items():
                try:
                    os.setxattr(fd, key, value)
                except OSError:
                    self._note(f"the extended attribute {key} cannot be kept here")
        if status is not None:
            os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _chown(self, change: Callable[[], object]) -> None:
        try:
            change()
        except OSError:
            self._note("owners outside of this user's subordinate ids became root; `man subuid` says how to get more ids")


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _copy_content(source: int, target: int, size: int) -> None:
    if size <= CHUNK:
        while piece := os.read(source, CHUNK):
            _write_all(target, piece)
        return
    done = 0
    while True:
        try:
            moved = os.copy_file_range(source, target, 1 << 30)
        except OSError:
            break  # other file systems cannot, or only between their own
        if moved == 0:
            return
        done += moved
    os.lseek(source, done, os.SEEK_SET)
    while os.sendfile(target, source, None, 1 << 30):
        pass
