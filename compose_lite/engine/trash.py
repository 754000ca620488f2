"""What was removed and still takes room on the disk.

It is renamed away at once and deleted a moment later by one thread: deletions beside a `down` of many containers would take the
interpreter from it at every file. What a killed engine leaves goes at the next start (ImageStore.clean, in the same folder).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

_SECONDS = 1.0


class Trash:
    """folder: on the file system of all that is discarded. empty: deletes what is in it; blocking."""

    def __init__(self, folder: Path, empty: Callable[[], None]) -> None:
        self._folder, self.empty = folder, empty
        self._timer: asyncio.TimerHandle | None = None

    def discard(self, path: Path) -> None:
        """A missing path is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._folder.mkdir(parents=True, exist_ok=True)
            path.rename(self._folder / secrets.token_hex(8))
            self._timer = self._timer or asyncio.get_running_loop().call_later(_SECONDS, self._start)

    def _start(self) -> None:
        self._timer = None
        asyncio.get_running_loop().run_in_executor(None, self.empty)

    def close(self) -> None:
        """At the engine's end, nothing is left for the next one."""
        if self._timer:
            self._timer.cancel()
        self.empty()
