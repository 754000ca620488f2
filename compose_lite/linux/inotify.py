"""inotify(7): who changes a file. Watches are on the inode behind a descriptor, so a renamed file stays watched."""

from __future__ import annotations

import os
import struct

from compose_lite.linux.syscall import call

MODIFY, ATTRIB, MOVE_SELF, DELETE_SELF = 0x2, 0x4, 0x800, 0x400
IGNORED = 0x8000
_EVENT = struct.Struct("iIII")


def init() -> int:
    """A descriptor that does not block."""
    return call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)


def add_watch(fd: int, target: int, mask: int = MODIFY | ATTRIB | MOVE_SELF | DELETE_SELF) -> int:
    """Watches the file that `target` has open; the number is the same for all watches of one inode."""
    return call("inotify_add_watch", fd, f"/proc/self/fd/{target}".encode(), mask)


def remove_watch(fd: int, watch: int) -> None:
    call("inotify_rm_watch", fd, watch)


def events(fd: int) -> list[tuple[int, int]]:
    """(watch, mask) of what has happened; empty when nothing has."""
    try:
        data = os.read(fd, 1 << 16)
    except BlockingIOError:
        return []
    found, at = [], 0
    while at < len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, at)
        found.append((watch, mask))
        at += _EVENT.size + length
    return found
