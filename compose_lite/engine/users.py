"""Who a container's process is: `user`, `group_add`, by the passwd and group files of its root file system. Pure but for `read_root_file`.

Files are read layer by layer, each resolved inside its own folder, so that a link in an image cannot reach the machine's.
Rules: docker-defaults; words: Docker's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compose_lite.errors import EngineError
from compose_lite.linux.openat2 import openat2

_MOST = 4 * 2**20


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def resolve(user: str, group_add: Iterable[str], passwd: str, group: str) -> User:
    """`name`, `uid`, `name:group`, `uid:gid`, empty for root. Raises EngineError for names that the files do not know."""
    who, colon, whose = user.partition(":")
    who = who or "0"
    groups = _lines(group)
    entry = _find(_lines(passwd), who)
    if entry is None:
        _check_range(who)
    if entry is None and not _is_id(who):
        raise EngineError(f"unable to find user {who}: no matching entries in passwd file", http_status=400)
    uid = int(entry[2]) if entry else int(who)
    if colon and whose:
        gid, more = _gid(whose, groups), []
    elif entry:
        gid = int(entry[3]) if _is_number(entry[3]) else 0
        more = [int(fields[2]) for fields in groups if entry[0] in fields[3].split(",")]
    else:
        gid, more = 0, []
    more += [_gid(str(name), groups) for name in group_add]
    return User(uid, gid, tuple(dict.fromkeys([gid, *more])))


def _gid(name: str, groups: Sequence[Sequence[str]]) -> int:
    for fields in groups:
        if fields[0] == name:
            return int(fields[2])
    if _is_id(name):
        return int(name)
    _check_range(name)
    raise EngineError(f"unable to find group {name}: no matching entries in group file", http_status=400)


def _check_range(text: str) -> None:
    if text.removeprefix("-").isdigit() and not _is_id(text):
        raise EngineError("uids and gids must be in range 0-2147483647", http_status=400)


def _is_id(text: str) -> bool:
    return _is_number(text) and int(text) < 2**31


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _find(entries: Iterable[list[str]], who: str) -> list[str] | None:
    """By name, else by number: `01000` is 1000."""
    numeric, wanted = None, str(int(who)) if _is_id(who) else who
    for fields in entries:
        if fields[0] == who:
            return fields
        if numeric is None and (fields[2].lstrip("0") or "0") == wanted:
            numeric = fields
    return numeric


def _lines(text: str) -> list[list[str]]:
    """Four fields or more each, of which the third is a number."""
    found = []
    for line in text.split("\n"):
        fields = line.strip().split(":")
        if len(fields) > 2 and _is_number(fields[2]) and not line.startswith("#"):
            found.append([*fields, ""])
    return found


def read_root_file(folders: Iterable[str], path: str) -> bytes:
    """A small file of a layered root, top folder first; empty when it is not there or not a regular file."""
    for folder in folders:
        with contextlib.suppress(OSError):
            root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd = openat2(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            except FileNotFoundError:
                if _is_whiteout(root, path):
                    return b""
                continue
            except OSError:
                return b""
            finally:
                os.close(root)
            with open(fd, "rb") as file:
                found = os.fstat(fd)
                return file.read(_MOST) if stat.S_ISREG(found.st_mode) else b""
    return b""


def _is_whiteout(root: int, path: str) -> bool:
    with contextlib.suppress(OSError):
        fd = openat2(root, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            found = os.fstat(fd)
            return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
        finally:
            os.close(fd)
    return False
