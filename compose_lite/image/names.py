"""names.json of the image store: which image a tag or a digest means. Whoever changes it holds the store's lock."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from compose_lite.disk import write_atomic


@dataclass(slots=True)
class Names:
    """Complete tagged name -> id, complete name@digest -> id."""

    tags: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


class NamesFile:
    """Read again when another process has written it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: tuple[tuple[int, int, int], Names] | None = None

    def read(self) -> Names:
        """A copy that may be changed."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return Names()
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if self._cache is None or self._cache[0] != stamp:
            value = json.loads(self._path.read_bytes())
            self._cache = (stamp, Names(value["tags"], value["digests"]))
        names = self._cache[1]
        return Names(dict(names.tags), dict(names.digests))

    def write(self, names: Names) -> None:
        write_atomic(self._path, json.dumps({"tags": names.tags, "digests": names.digests}, indent=1, sort_keys=True).encode())
