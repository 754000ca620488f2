"""Files that somebody follows: one inotify instance of the engine wakes whoever waits for a change of one.

It must never keep a file open, nor watch one that nobody follows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from compose_lite.linux import inotify


class Followed:
    def __init__(self) -> None:
        self._fd = -1
        self._waiting: dict[int, set[asyncio.Event]] = {}

    @contextmanager
    def watch(self, file: int, event: asyncio.Event) -> Iterator[bool]:
        """Sets the event whenever the open file changes, is renamed or removed; False where the kernel gives no more watches."""
        try:
            if self._fd < 0:
                self._fd = inotify.init()
                asyncio.get_running_loop().add_reader(self._fd, self._hear)
            number = inotify.add_watch(self._fd, file)
        except OSError:
            yield False
            return
        self._waiting.setdefault(number, set()).add(event)
        try:
            yield True
        finally:
            others = self._waiting.get(number, set())
            others.discard(event)
            if not others:
                self._waiting.pop(number, None)
                with suppress(OSError):
                    inotify.remove_watch(self._fd, number)

    def _hear(self) -> None:
        for number, mask in inotify.events(self._fd):
            for event in self._waiting.get(number, ()):
                event.set()
            if mask & inotify.IGNORED:
                self._waiting.pop(number, None)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
