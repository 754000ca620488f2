"""Subordinate ids: subuid(5), subgid(5), and the mapping of containers' ids that root's engine is configured with.

`COMPOSE_LITE_USERNS_REMAP` says whose ranges: `default` (the user dockremap, as with Docker), `user`, `user:group`, names or numbers;
or which ids, `165536-231071`, for users and groups alike.
Ranges are numbers of the machine; inside, the first range begins at 0 and each next one goes on where the one before ends.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compose_lite.errors import Error

SETTING, DEFAULT_USER = "COMPOSE_LITE_USERNS_REMAP", "dockremap"
Range = tuple[int, int]  # first id, how many
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Remapping:
    """What ids of containers are on the machine."""

    uids: tuple[Range, ...]
    gids: tuple[Range, ...]

    def mappings(self) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
        """uidMappings and gidMappings of the OCI's runtime-spec."""
        return _mappings(self.uids), _mappings(self.gids)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """A container's ids as the machine's. ValueError for one beyond the ranges."""
        return _outside(self.uids, uid), _outside(self.gids, gid)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """The machine's ids as a container sees them; what has none is nobody."""
        return _inside(self.uids, uid), _inside(self.gids, gid)


def _mappings(ranges: Sequence[Range]) -> list[dict[str, int]]:
    made, at = [], 0
    for first, count in ranges:
        made.append({"containerID": at, "hostID": first, "size": count})
        at += count
    return made


def _outside(ranges: Sequence[Range], id: int) -> int:
    at = id
    for first, count in ranges:
        if at < count:
            return first + at
        at -= count
    raise ValueError(f"id {id} is beyond the subordinate ids of containers ({sum(count for _, count in ranges)})")


def _inside(ranges: Sequence[Range], id: int) -> int:
    at = 0
    for first, count in ranges:
        if first <= id < first + count:
            return at + id - first
        at += count
    return _NOBODY


def ranges_of(text: str, names: Sequence[str]) -> tuple[Range, ...]:
    """The ranges that a subuid(5) file gives to a user, called by name or number."""
    lines = [line.split(":") for line in text.splitlines()]
    return tuple((int(p[1]), int(p[2])) for p in lines if len(p) == 3 and p[0] in names and p[1].isdigit() and p[2].isdigit())


def remapping(env: Mapping[str, str], *, root: bool, folder: Path = Path("/etc")) -> Remapping | None:
    """What is asked for; None: containers' ids are the machine's. Error when it cannot be had."""
    wish = env.get(SETTING) or ""
    if not wish or wish in ("root", "0"):
        return None
    if not root:
        raise Error(
            "userns-remap",
            f"{SETTING} is for root's engine: an ordinary user's containers are in a user namespace already",
            remedy=f"Unset {SETTING}. See docs/rootless.md.",
        )
    if ids := re.fullmatch(r"(\d+)-(\d+)", wish):
        first, last = int(ids[1]), int(ids[2])
        if not 0 < first <= last < 2**32 - 1:
            raise Error("userns-remap", f"{SETTING}={wish} is no range of subordinate ids", remedy="For example 165536-231071.")
        return Remapping(((first, last - first + 1),), ((first, last - first + 1),))
    user, colon, group = (DEFAULT_USER if wish == "default" else wish).partition(":")
    names = _user(user)
    if colon:
        _group(group)
    found = [ranges_of(path.read_text() if path.exists() else "", names) for path in (folder / "subuid", folder / "subgid")]
    for file, ranges in zip(("subuid", "subgid"), found, strict=True):
        if not ranges:
            raise Error(
                "userns-remap",
                f"{SETTING}={wish}: /etc/{file} has no range for {names[0]}",
                remedy=f"Give it one: usermod --add-subuids 165536-231071 --add-subgids 165536-231071 {names[0]}",
            )
    return Remapping(found[0], found[1])


def _user(name: str) -> list[str]:
    """Its name and number."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        remedy = f"Add it: useradd --system --no-create-home {name}" if not name.isdigit() else "Name a user of this machine."
        raise Error("userns-remap", f"{SETTING}: there is no user {name}", remedy=remedy) from None
    return [entry.pw_name, str(entry.pw_uid)]


def _group(name: str) -> None:
    try:
        grp.getgrgid(int(name)) if name.isdigit() else grp.getgrnam(name)
    except KeyError:
        raise Error("userns-remap", f"{SETTING}: there is no group {name}", remedy="Name a group of this machine.") from None
