"""mount(2), umount2(2), pivot_root(2), mount_setattr(2), fsopen(2) for long overlays; and mount options as words."""

from __future__ import annotations

import ctypes
import os

from compose_lite.linux.syscall import call, read_file, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RDONLY, NOSUID, NODEV, NOEXEC, SYNCHRONOUS, REMOUNT, MANDLOCK, DIRSYNC = 1, 2, 4, 8, 16, 32, 64, 128
NOSYMFOLLOW, NOATIME, NODIRATIME, BIND, MOVE, REC, SILENT = 256, 1024, 2048, 4096, 8192, 16384, 32768
UNBINDABLE, PRIVATE, SLAVE, SHARED, RELATIME, STRICTATIME = 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 24
DETACH = 2

# word: (flags set, flags cleared)
_FLAGS = {
    "defaults": (0, 0), "rw": (0, RDONLY), "ro": (RDONLY, 0), "suid": (0, NOSUID), "nosuid": (NOSUID, 0), "dev": (0, NODEV),
    "nodev": (NODEV, 0), "exec": (0, NOEXEC), "noexec": (NOEXEC, 0), "sync": (SYNCHRONOUS, 0), "async": (0, SYNCHRONOUS),
    "dirsync": (DIRSYNC, 0), "mand": (MANDLOCK, 0),
    "nomand": (0, MANDLOCK), "atime": (0, NOATIME), "noatime": (NOATIME, 0), "diratime": (0, NODIRATIME), "nodiratime": (NODIRATIME, 0),
    "relatime": (RELATIME, 0), "norelatime": (0, RELATIME), "strictatime": (STRICTATIME, 0), "nostrictatime": (0, STRICTATIME),
    "bind": (BIND, 0), "rbind": (BIND | REC, 0), "symfollow": (0, NOSYMFOLLOW), "nosymfollow": (NOSYMFOLLOW, 0),
    "silent": (SILENT, 0), "loud": (0, SILENT),
}  # fmt: skip
PROPAGATION = {
    "private": PRIVATE, "rprivate": PRIVATE | REC, "shared": SHARED, "rshared": SHARED | REC, "slave": SLAVE, "rslave": SLAVE | REC,
    "unbindable": UNBINDABLE, "runbindable": UNBINDABLE | REC,
}  # fmt: skip
# word: attributes of mount_setattr(2) set for the whole tree
_RECURSIVE = {"rro": 0x1, "rnosuid": 0x2, "rnodev": 0x4, "rnoexec": 0x8}
_ATTRIBUTES = ((RDONLY, 0x1), (NOSUID, 0x2), (NODEV, 0x4), (NOEXEC, 0x8), (NODIRATIME, 0x80), (NOSYMFOLLOW, 0x200000))
_ATIME, _ATTR_NOATIME, _ATTR_STRICTATIME = 0x70, 0x10, 0x20
_AT_EMPTY_PATH, _AT_RECURSIVE, _AT_FDCWD = 0x1000, 0x8000, -100
_ENOSYS, _EINVAL = 38, 22


class Options:
    """What the words of a mount mean: flags, propagation, attributes for the whole tree, and the rest as data."""

    __slots__ = ("copy_up", "data", "flags", "propagation", "recursive")

    def __init__(self, words: Sequence[str]) -> None:
        self.flags = self.propagation = self.recursive = 0
        self.copy_up = False
        data = []
        for word in words:
            if word in _FLAGS:
                put, clear = _FLAGS[word]
                self.flags = (self.flags & ~clear) | put
            elif word in PROPAGATION:
                self.propagation = PROPAGATION[word]
            elif word in _RECURSIVE:
                self.recursive |= _RECURSIVE[word]
            elif word == "tmpcopyup":
                self.copy_up = True
            elif word:
                data.append(word)
        self.data = ",".join(data)


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def escaped(path: str, *, colon: bool = False) -> str:
    """A path in the data of an overlay mount; colons part only lower folders."""
    path = path.replace("\\", "\\\\").replace(",", "\\,")
    return path.replace(":", "\\:") if colon else path


def unescaped(paths: str) -> list[str]:
    """The inverse of `escaped` for a list of lower folders."""
    found, at = [""], 0
    while at < len(paths):
        if paths[at] == "\\":
            at += 1
            found[-1] += paths[at : at + 1]
        elif paths[at] == ":":
            found.append("")
        else:
            found[-1] += paths[at]
        at += 1
    return found


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    call(
        "mount",
        None if source is None else os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if not data else os.fsencode(data),
    )


def table() -> bytes:
    """What is mounted in this mount namespace, as proc_pid_mountinfo(5) shows it."""
    return read_file("/proc/self/mountinfo")


def umount(target: str, flags: int = 0) -> None:
    call("umount2", os.fsencode(target), flags)


def pivot_root(new: str, old: str) -> None:
    syscall("pivot_root", os.fsencode(new), os.fsencode(old))


def move_mount(fd: int, target: str) -> None:
    """Puts a detached mount (of open_tree(2) or fsmount(2)) on the target; a link there is followed."""
    syscall("move_mount", fd, b"", _AT_FDCWD, os.fsencode(target), 0x04 | 0x10)  # F_EMPTY_PATH, T_SYMLINKS


def open_tree(path: str, *, recursive: bool = False) -> int:
    """A detached copy of the mount at the path, with what is mounted below when recursive; it goes with its descriptor."""
    clone = 1  # OPEN_TREE_CLONE
    return syscall("open_tree", _AT_FDCWD, os.fsencode(path), clone | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0))


def map_ids(tree: int, users: int) -> None:
    """Idmaps a detached mount by a user namespace. EINVAL where the file system cannot; ENOSYS before 5.12."""
    attr = _MountAttr(attr_set=0x100000, userns_fd=users)  # MOUNT_ATTR_IDMAP
    syscall("mount_setattr", tree, b"", _AT_EMPTY_PATH, ctypes.byref(attr), ctypes.sizeof(attr))


def set_attributes(target: str, attributes: int, *, recursive: bool = False, follow: int = _AT_FDCWD) -> None:
    """mount_setattr(2): only adds, so what is locked in a user namespace stays and is no error. ENOSYS before 5.12."""
    attr = _MountAttr(attr_set=attributes)
    if attributes & (_ATTR_NOATIME | _ATTR_STRICTATIME):
        attr.attr_clr = _ATIME
    flags = _AT_RECURSIVE if recursive else 0
    syscall("mount_setattr", follow, os.fsencode(target), flags, ctypes.byref(attr), ctypes.sizeof(attr))


def bind_mapped(source: str, target: str, users: int) -> None:
    """A bind of one file system, idmapped by a user namespace. EINVAL where the file system cannot; ENOSYS before 5.12."""
    tree = open_tree(source)
    try:
        map_ids(tree, users)
        move_mount(tree, target)
    finally:
        os.close(tree)


def attributes_of(flags: int) -> int:
    """MS_* flags as MOUNT_ATTR_* attributes."""
    found = 0
    for flag, attribute in _ATTRIBUTES:
        if flags & flag:
            found |= attribute
    if flags & NOATIME:
        found |= _ATTR_NOATIME
    elif flags & STRICTATIME:
        found |= _ATTR_STRICTATIME
    return found


def restrict(target: str, flags: int, *, recursive: int = 0) -> None:
    """Makes an existing mount read-only, nosuid, ...: a bind takes no flags when it is made."""
    wanted = attributes_of(flags)
    try:
        if wanted:
            set_attributes(target, wanted)
        if recursive:
            set_attributes(target, recursive, recursive=True)
    except OSError as error:
        if error.errno != _ENOSYS or recursive:
            raise
        kept = os.statvfs(target).f_flag & (RDONLY | NOSUID | NODEV | NOEXEC | NOATIME | NODIRATIME | RELATIME)
        mount(None, target, None, REMOUNT | BIND | kept | (flags & ~(BIND | REC)))


def overlay_by_fsconfig(target: str, lower: Sequence[str], options: Sequence[tuple[str, str | None]]) -> None:
    """An overlay whose option string would be longer than a page: one fsconfig(2) a layer (kernel 6.5). lower: top first."""
    made = _overlay([("lowerdir+", layer) for layer in lower] + list(options))
    try:
        syscall("move_mount", made, b"", _AT_FDCWD, os.fsencode(target), 4)
    finally:
        os.close(made)


def detached_overlay(lower: Sequence[str], upper: str, work: str, *, userxattr: bool) -> int:
    """An overlay that stands nowhere and goes with its descriptor. lower: bottom first.

    EINVAL for lower folders of more than 255 bytes in all before kernel 6.5: fsconfig(2) takes no longer words.
    """
    options: list[tuple[str, str | None]] = [("upperdir", upper), ("workdir", work)]
    options += [("userxattr", None)] if userxattr else []
    top_first = list(reversed(lower))
    try:
        return _overlay([*(("lowerdir+", layer) for layer in top_first), *options])
    except OSError as error:
        if error.errno != _EINVAL:
            raise
    paths = ":".join(layer.replace("\\", "\\\\").replace(":", "\\:") for layer in top_first)
    return _overlay([("lowerdir", paths), *options])


def _overlay(options: Sequence[tuple[str, str | None]]) -> int:
    """fsopen(2), fsconfig(2), fsmount(2); None: a flag."""
    fs = syscall("fsopen", b"overlay", 1)
    try:
        for key, value in options:
            if value is None:
                syscall("fsconfig", fs, 0, key.encode(), None, 0)
            else:
                syscall("fsconfig", fs, 1, key.encode(), os.fsencode(value), 0)
        syscall("fsconfig", fs, 6, None, None, 0)
        return syscall("fsmount", fs, 1, 0)
    finally:
        os.close(fs)
