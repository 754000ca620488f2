"""COPY and ADD on files: which ones a source means, and what they are (a digest without times). build/writing.py writes them.

Sources are resolved inside their root whatever links stand in them. Blocking. It must never read outside of the source's root.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compose_lite.build import context
from compose_lite.errors import BuildError
from compose_lite.ignore import Pattern, compile_pattern, ignored
from compose_lite.linux.openat2 import openat2

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CHUNK = 1 << 18
_SETTLED_NS = 2 * 10**9
"""A file changed this lately may change once more within the same tick of its times: its digest is not remembered."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that sources are taken from. ignore: patterns of what is not there; anonymous: owners do not count (a context)."""

    root: str
    ignore: tuple[Pattern, ...] = ()
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Top:
    """One thing that a source names. path: where it really is; inner: its path in the tree; name: what it is called there."""

    path: str
    inner: str
    name: str
    status: os.stat_result

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
    top = Top(path, inner, posixpath.basename(name), status)
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
    extended = "" if stat.S_ISLNK(mode) else repr(sorted(attributes(member.path).items()))
    return f"{member.name}\0{mode:o}\0{owner}\0{more}\0{extended}\n".encode("utf-8", "surrogateescape")


def _content(member: Member, known: dict[str, str] | None) -> str:
    status = member.status
    key = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    if known is not None and key in known:
        return known[key]
    fd = os.open(member.path, READ)
    try:
        total = hashlib.sha256()
        while piece := os.read(fd, CHUNK):
            total.update(piece)
    finally:
        os.close(fd)
    found = total.hexdigest()
    if known is not None and time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
        known[key] = found
    return found


def attributes(path: str) -> dict[str, bytes]:
    """The extended attributes that are the file's own: its capabilities and what users set."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    mine = (name for name in names if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay.")))
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in mine}
