"""What an operation's result depends on, as a key (pure), and the cache of results by that key.

    data/buildcache/<key>.json      {"diff_id", "created", "used"}: a layer that the image store keeps for as long as this stands
    data/buildcache/mounts/<id>     folders of `RUN --mount=type=cache`
    data/buildcache/known-files     digests of context files by inode, size and times

A key holds what the result can be told apart by: the layers below by their contents, the operation without its place in the
file, what it reads by content. Configuration (LABEL, CMD), comments and times of files are not in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose_lite.build import operations as ops
from compose_lite.disk import locked, write_atomic

_VERSION = 5  # raise it when the same operation begins to mean other files
_MOST_ENTRIES, _KEPT_DAYS, _MOST_FILES = 4000, 14, 200_000


def chain(parent: str, key: str, diff_id: str) -> str:
    """What a stack of layers is: how each was made (its operation's key) and what came of it.

    Both count: a changed RUN makes what is above it anew even if it leaves the same files, as in BuildKit, and what was made on files
    that are there no more is never taken.
    """
    return hashlib.sha256(f"{parent} {key} {diff_id}".encode()).hexdigest()


def run_key(operation: ops.Run, below: str, mounts: Sequence[str], machine: Mapping[str, Any]) -> str:
    """mounts: what each mount shows, by content. machine: of the sandbox what the build can choose (extra hosts, limits)."""
    what = [operation.argv, operation.env, operation.user, operation.cwd, operation.network, operation.insecure, operation.script]
    return _key("run", below, what, list(mounts), dict(machine))


def mount_key(mount: ops.Mount, content: str) -> str:
    """Secrets and caches count by what they are called, files by what they are."""
    shape: list[Any] = [
        mount.kind,
        mount.target,
        mount.id,
        mount.readonly,
        mount.size,
        mount.mode,
        mount.uid,
        mount.gid,
        mount.env,
        mount.required,
    ]
    return json.dumps([*shape, content])


def copy_key(operation: ops.Copy, below: str, contents: Sequence[str], owner: tuple[int, int] | None) -> str:
    names = [operation.texts, operation.target, operation.chmod, operation.parents, operation.add and operation.unpack, operation.add]
    return _key("copy", below, names, list(contents), owner)


def folder_key(operation: ops.MakeFolder, below: str, owner: tuple[int, int] | None) -> str:
    return _key("folder", below, operation.path, owner)


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps([_VERSION, *parts], sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Result:
    """A layer, when it was made (RFC 3339), and the key it was made for."""

    diff_id: str
    created: str
    key: str


class Cache:
    """Safe with several processes: an entry appears at once, and who makes one holds its lock."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "buildcache"
        (self._folder / "mounts").mkdir(parents=True, exist_ok=True)
        (self._folder / "locks").mkdir(exist_ok=True)

    def find(self, key: str) -> Result | None:
        path = self._folder / f"{key}.json"
        try:
            value = json.loads(path.read_bytes())
            found = Result(value["diff_id"], value["created"], key)
        except (OSError, ValueError, KeyError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return found

    def keep(self, key: str, result: Result) -> None:
        value = {"diff_id": result.diff_id, "created": result.created}
        write_atomic(self._folder / f"{key}.json", json.dumps(value).encode(), sync=False)

    def try_lock(self, key: str) -> contextlib.AbstractContextManager[int]:
        """Held by whoever makes the result of this key; BlockingIOError on entering while somebody does."""
        return locked(self._folder / "locks" / key[:3], blocking=False)

    def mount_folder(self, id: str) -> Path:
        return self._folder / "mounts" / hashlib.sha256(id.encode()).hexdigest()[:32]

    def prune(self) -> int:
        """Forgets entries that were not used for long, and the oldest of too many."""
        entries = sorted(self._entries(), key=lambda found: found[1], reverse=True)
        limit = time.time() - _KEPT_DAYS * 86400
        gone = [path for at, (path, used) in enumerate(entries) if used < limit or at >= _MOST_ENTRIES]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def clear(self) -> int:
        """Forgets every entry."""
        entries = list(self._entries())
        for path, _ in entries:
            path.unlink(missing_ok=True)
        return len(entries)

    def _entries(self) -> Iterator[tuple[Path, float]]:
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(OSError):
                yield path, path.stat().st_mtime

    # Digests of files

    def known_files(self) -> dict[str, str]:
        try:
            value = json.loads((self._folder / "known-files").read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def keep_known_files(self, known: Mapping[str, str]) -> None:
        if len(known) > _MOST_FILES:  # the first are the oldest
            known = dict(itertools.islice(known.items(), len(known) - _MOST_FILES // 2, None))
        with contextlib.suppress(OSError):  # what a full disk loses is looked up again; the build ends as it would have
            write_atomic(self._folder / "known-files", json.dumps(known).encode(), sync=False)
