"""An overlay of a folder that has mounts beneath it, where the kernel refuses a whole one: folder by folder.

In a user namespace the mounts that came from outside are locked together: overlayfs then refuses a lower folder that has
mounts beneath it (EINVAL, clone_private_mount in fs/namespace.c), since a copy of the folder alone would show what they
cover. So each folder without such mounts becomes an overlay of its own; what was mounted stays out, as with a whole overlay.
The container's layer keeps its shape: what it writes lies in the same `upper` folder. It must never show a mount point's contents.
"""

from __future__ import annotations

import errno
import os
import stat

from compose_lite.linux import mount as mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Any

    Entry = tuple[str, str]  # name; "folder", "file" or a link's target behind "->"
    Piece = tuple[str, str]  # path relative to the lower folder; "overlay", "folder", "file" or "->target"

_CLOSED = (errno.EACCES, errno.EPERM, errno.EINVAL)


def pieces(lower: str, bare: Collection[str], mounted: Collection[str], entries: Callable[[str], Iterable[Entry]]) -> Iterator[Piece]:
    """What the root is put together from, outer folders first.

    `bare`: absolute folders that show nothing; `mounted`: absolute mount points; `entries`: what a folder holds.
    """
    folders = [""]
    while folders:
        above = folders.pop()
        for name, kind in entries(os.path.join(lower, above)):
            inner = os.path.join(above, name)
            path = os.path.join(lower, inner)
            if kind != "folder":
                yield inner, kind
            elif path in mounted or path in bare:
                yield inner, "folder"
            elif any(point.startswith(path + "/") for point in mounted):
                yield inner, "folder"
                folders.append(inner)
            else:
                yield inner, "overlay"


def mount_points() -> frozenset[str]:
    """Of this mount namespace; proc(5), /proc/pid/mountinfo."""
    found = (line.split(b" ", 5)[4] for line in mounts.table().splitlines())
    return frozenset(os.fsdecode(point.replace(b"\\040", b" ").replace(b"\\011", b"\t").replace(b"\\134", b"\\")) for point in found)


def entries_of(folder: str) -> Iterator[Entry]:
    """What can be shown of a folder; devices, sockets and pipes of the machine are not."""
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.is_symlink():
            yield entry.name, "->" + os.readlink(entry.path)
        elif entry.is_dir():
            yield entry.name, "folder"
        elif entry.is_file():
            yield entry.name, "file"


def mount_split(path: str, overlay: Mapping[str, Any], covered: Collection[str]) -> None:
    """The single lower folder of `overlay` on `path`: its upper folder bound there, and on that the pieces.

    `covered`: absolute paths inside the container where something will be mounted: their contents are not needed.
    """
    lower, upper, work = overlay["lower"][0], overlay["upper"], overlay["work"]
    bare = {os.path.join(lower, inner.lstrip("/")) for inner in covered}
    mounts.mount(upper, path, None, mounts.BIND)
    for number, (inner, kind) in enumerate(pieces(lower, bare, mount_points(), entries_of)):
        source, target = os.path.join(lower, inner), os.path.join(path, inner)
        if kind.startswith("->"):
            if not os.path.lexists(target):
                os.symlink(kind[2:], target)
        elif kind == "file":
            os.close(os.open(target, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))
            mounts.mount(source, target, None, mounts.BIND)
            mounts.restrict(target, mounts.RDONLY)
        else:
            _make_folder(target, source)
            if kind == "overlay":
                _mount_piece(source, target, os.path.join(upper, inner), os.path.join(work, str(number)), overlay)


def _make_folder(target: str, source: str) -> None:
    """As the machine's, but ours: a merged folder shows the upper one's mode."""
    if not os.path.lexists(target):
        mode = stat.S_IMODE(os.stat(source).st_mode)
        os.mkdir(target)
        os.chmod(target, mode)


def _mount_piece(source: str, target: str, upper: str, work: str, overlay: Mapping[str, Any]) -> None:
    os.makedirs(work, exist_ok=True)
    words = [f"lowerdir={mounts.escaped(source, colon=True)}", f"upperdir={mounts.escaped(upper)}", f"workdir={mounts.escaped(work)}"]
    words += [word for word in ("userxattr", "volatile") if overlay.get(word)]
    try:
        mounts.mount("overlay", target, "overlay", 0, ",".join(words))
    except OSError as error:
        if error.errno not in _CLOSED:  # a folder that is closed to us stays empty
            raise
