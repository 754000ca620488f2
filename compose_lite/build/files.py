"""COPY and ADD on files: which ones a source means, what they are (a digest without times), and writing them into a root.

Sources are resolved inside their root whatever links stand in them; targets inside the image's root, and below the target no link
is followed. Blocking. It must never read outside of the source's root nor write outside of the target's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from compose_lite.build import context
from compose_lite.errors import BuildError
from compose_lite.ignore import Pattern, compile_pattern, ignored
from compose_lite.linux.openat2 import make_folders, openat2

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 1 << 18
_SETTLED_NS = 2 * 10**9
"""A file changed this lately may change once more within the same tick of its times: its digest is not remembered."""

Chmod = Callable[[int, bool], int]
"""(mode, whether it is a folder) to the new mode."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that sources are taken from. ignore: patterns of what is not there; anonymous: owners do not count (a context)."""

    root: str
    ignore: tuple[Pattern, ...] = ()
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Top:
    """One thing that a source names. path: where it really is; inner: its path in the tree; name: what it is called there.

    linked: the source's last part is a link to it.
    """

    path: str
    inner: str
    name: str
    status: os.stat_result
    linked: bool = False

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


@dataclass(frozen=True, slots=True)
class Member:
    """Something below a top: its path relative to that (empty for the top itself)."""

    name: str
    path: str
    status: os.stat_result


class Missing(BuildError):
    """A source that is not there."""

    def __init__(self, path: str) -> None:
        super().__init__("build-source", f'failed to calculate checksum: "{path}": not found')


# What a source means


def select(tree: Tree, source: str) -> list[Top]:
    """All that the source names, by name; Missing for a plain path that is not there, nothing for a pattern without a hit."""
    wanted = context.normalize_source(source)
    root = os.open(tree.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = _expand(root, wanted.split("/")) if context.has_wildcard(wanted) else [wanted]
        found = []
        for name in names:
            top = _top(tree, root, name)
            if top is None and (name == wanted or not ignored(name, tree.ignore)):
                raise Missing("/" + name)  # a link to nowhere, too
            found += [top] if top else []
        return found
    finally:
        os.close(root)


def at(tree: Tree, path: str) -> list[Top]:
    """What stands at the path, whose wildcards mean themselves; Missing when nothing does."""
    root = os.open(tree.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = _top(tree, root, context.normalize_source(path))
    finally:
        os.close(root)
    if found is None:
        raise Missing("/" + path.lstrip("/"))
    return [found]


def _expand(root: int, parts: Sequence[str]) -> list[str]:
    found = [""]
    for part in parts:
        if not context.has_wildcard(part):
            plain = part.replace("\\", "")
            found = [path for folder in found if _is_there(root, path := posixpath.join(folder, plain))]
            continue
        regex = compile_pattern(part.replace("**", "*"))
        found = [posixpath.join(folder, name) for folder in found for name in _names(root, folder) if regex.match(name)]
    return found


def _is_there(root: int, path: str) -> bool:
    """Something, be it a link to nowhere."""
    try:
        os.close(openat2(root, path, os.O_PATH | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def _names(root: int, folder: str) -> list[str]:
    try:
        fd = openat2(root, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def _top(tree: Tree, root: int, name: str) -> Top | None:
    try:
        fd = openat2(root, name or ".", os.O_PATH)
    except OSError:
        return None
    try:
        path, status = os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd)
    finally:
        os.close(fd)
    base = os.readlink(f"/proc/self/fd/{root}")
    inner = path[len(base.rstrip("/")) :].lstrip("/")
    hidden = inner and tree.ignore and ignored(inner, tree.ignore)
    if hidden and not (stat.S_ISDIR(status.st_mode) and any(pattern.exception for pattern in tree.ignore)):
        return None
    top = Top(path, inner, posixpath.basename(name), status, bool(name) and posixpath.basename(path) != posixpath.basename(name))
    if hidden and next(members(tree, top), None) is None:
        return None
    return top


def members(tree: Tree, top: Top, exclude: Sequence[Pattern] = ()) -> Iterator[Member]:
    """The top itself (unless it is a folder that is hidden or left out), then what is below it, folders before their contents."""
    if not top.is_folder:  # one that is named itself is never left out
        yield Member("", top.path, top.status)
        return
    yield from _below(tree, top, exclude, top.path, "")


def _below(tree: Tree, top: Top, exclude: Sequence[Pattern], folder: str, prefix: str) -> Iterator[Member]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    base = f"{top.inner}/" if top.inner else ""
    may_return = any(p.exception for p in tree.ignore) or any(p.exception for p in exclude)
    for entry in entries:
        name = prefix + entry.name
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # gone while the context was read
        out = (bool(tree.ignore) and ignored(base + name, tree.ignore)) or (bool(exclude) and ignored(name, exclude))
        is_folder = stat.S_ISDIR(status.st_mode)
        if out and not (is_folder and may_return):
            continue
        if not is_folder:
            yield Member(name, entry.path, status)
            continue
        below = _below(tree, top, exclude, entry.path, name + "/")
        first = next(below, None) if out else None
        if out and first is None:
            continue  # a folder that is left out comes back as soon as something in it does
        yield Member(name, entry.path, status)
        if first is not None:
            yield first
        yield from below


# What it is


def digest(tree: Tree, tops: Sequence[Top], exclude: Sequence[Pattern] = (), known: dict[str, str] | None = None) -> str:
    """Of names, kinds, modes, owners, contents and attributes, not of times. known: contents by inode, size and times, the caller's."""
    total = hashlib.sha256()
    for top in tops:
        total.update(f"top {top.name}\0{top.is_folder}\0".encode("utf-8", "surrogateescape"))
        if top.is_folder:
            total.update(_line(tree, Member("", top.path, top.status), known))
        for member in members(tree, top, exclude):
            total.update(_line(tree, member, known))
    return total.hexdigest()


def _line(tree: Tree, member: Member, known: dict[str, str] | None) -> bytes:
    status = member.status
    owner = (0, 0) if tree.anonymous else (status.st_uid, status.st_gid)
    mode, more = status.st_mode, ""
    if stat.S_ISREG(mode):
        more = f"{status.st_size} {_content(member, known)}"
    elif stat.S_ISLNK(mode):
        more, mode = os.readlink(member.path), stat.S_IFLNK
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        more = str(status.st_rdev)
    attributes = "" if stat.S_ISLNK(mode) else repr(sorted(_attributes(member.path).items()))
    return f"{member.name}\0{mode:o}\0{owner}\0{more}\0{attributes}\n".encode("utf-8", "surrogateescape")


def _content(member: Member, known: dict[str, str] | None) -> str:
    status = member.status
    key = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    if known is not None and key in known:
        return known[key]
    fd = os.open(member.path, _READ)
    try:
        total = hashlib.sha256()
        while piece := os.read(fd, _CHUNK):
            total.update(piece)
    finally:
        os.close(fd)
    found = total.hexdigest()
    if known is not None and time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
        known[key] = found
    return found


def _attributes(path: str) -> dict[str, bytes]:
    """The extended attributes that are the file's own: its capabilities and what users set."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    mine = (name for name in names if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay.")))
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in mine}


# --chmod

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")


def parse_chmod(text: str) -> Chmod:
    """Octal, or symbolic as chmod(1) has it; BuildError for anything else."""
    if re.fullmatch(r"[0-7]{1,5}", text) and int(text, 8) <= 0o7777:
        fixed = int(text, 8)
        return lambda mode, folder: fixed
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(",")]
    if not text or not all(clauses):
        raise BuildError("dockerfile", f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    parsed = [(found[1] or "a", re.findall(r"([-+=])([ugo]|[rwxXst]*)", found[2])) for found in clauses if found]

    def change(mode: int, folder: bool) -> int:
        for who, actions in parsed:
            for operator, letters in actions:
                mode = _change(mode, who, operator, letters, folder)
        return mode

    return change


_SHIFTS = {"u": 6, "g": 3, "o": 0}


def _change(mode: int, who: str, operator: str, letters: str, folder: bool) -> int:
    users = "ugo" if "a" in who else who
    bits = special = 0
    if letters in ("u", "g", "o") and letters:
        bits = mode >> _SHIFTS[letters] & 7
    else:
        bits = sum(value for letter, value in (("r", 4), ("w", 2), ("x", 1)) if letter in letters)
        if "X" in letters and (folder or mode & 0o111):
            bits |= 1
    if "s" in letters:
        special |= (stat.S_ISUID if "u" in users else 0) | (stat.S_ISGID if "g" in users else 0)
    if "t" in letters:
        special |= stat.S_ISVTX
    wanted = special
    covered = 0
    for user in users:
        wanted |= bits << _SHIFTS[user]
        covered |= 7 << _SHIFTS[user]
    if operator == "+":
        return mode | wanted
    if operator == "-":
        return mode & ~wanted
    return mode & ~covered | wanted


# Writing


@dataclass(frozen=True, slots=True)
class Look:
    """Owner and mode that everything gets; None: those of the source (root's in an anonymous tree)."""

    owner: tuple[int, int] | None = None
    chmod: Chmod | None = None


class Writer:
    """Writes into the root that the descriptor is open on."""

    def __init__(self, root: int, look: Look, *, note: Callable[[str], object] = lambda text: None) -> None:
        self._root, self._look, self._note = root, look, note
        self._links: dict[tuple[int, int], tuple[int, str]] = {}

    def parents(self, path: str) -> int:
        """O_PATH of the folder, made with its parents (0755, the look's owner) where they are missing."""

        def made(folder: int, name: str) -> None:
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
            if not existed:
                # As BuildKit makes it: like a parent folder, with the source's permissions as far as the usual mask lets them.
                mode = self._mode(0o777 if top.linked else stat.S_IMODE(top.status.st_mode), True) & 0o755
                os.fchmod(base, mode)
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
        if status.st_nlink > 1 and not tree.anonymous:
            first = self._links.get(inode)
            if first is not None:
                self._clear(folder, name)
                with contextlib.suppress(OSError):
                    os.link(first[1], name, src_dir_fd=first[0], dst_dir_fd=folder, follow_symlinks=False)
                    return
        source = os.open(member.path, _READ)
        try:
            fd = self._new_file(folder, name)
            try:
                _copy_content(source, fd, status.st_size)
                self._finish(fd, stat.S_IMODE(status.st_mode), self._owner(tree, status), False, status, member.path)
            finally:
                os.close(fd)
        finally:
            os.close(source)
        if status.st_nlink > 1 and not tree.anonymous:
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
            for key, value in _attributes(source).items():
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
    if size <= _CHUNK:
        while piece := os.read(source, _CHUNK):
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
