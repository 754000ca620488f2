"""Files that must not be lost or half-made, and where compose-lite keeps its things.

Layout (`Folders`): everything under `run` may vanish with a reboot, everything under `data` stays.

    run/engine.sock  worker.sock  engine.pid  c/<container id>/     sockets; one bundle a container
    data/state.db  blobs/  layers/  containers/<id>/  volumes/<name>/_data  trash/  engine.log
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from compose_lite.errors import Error

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Folders:
    """Where one user's engine keeps its things."""

    run: Path
    data: Path

    @property
    def engine_socket(self) -> Path:
        return self.run / "engine.sock"

    @property
    def worker_socket(self) -> Path:
        return self.run / "worker.sock"

    def bundle(self, container: str) -> Path:
        return self.run / "c" / container

    def container(self, container: str) -> Path:
        return self.data / "containers" / container


def folders(env: dict[str, str], uid: int) -> Folders:
    """The folders of this user: COMPOSE_LITE_RUN_DIR and COMPOSE_LITE_DATA_DIR, else the system's (root) or XDG's."""
    if uid == 0:
        run, data = Path("/run/compose-lite"), Path("/var/lib/compose-lite")
    else:
        home = Path(env.get("HOME") or f"/tmp/compose-lite-home-{uid}")
        data = Path(env.get("XDG_DATA_HOME") or home / ".local/share") / "compose-lite"
        runtime = env.get("XDG_RUNTIME_DIR")
        run = Path(runtime) / "compose-lite" if runtime and Path(runtime).is_dir() else Path(f"/tmp/compose-lite-{uid}")
    return Folders(Path(env.get("COMPOSE_LITE_RUN_DIR") or run), Path(env.get("COMPOSE_LITE_DATA_DIR") or data))


def make_private(folder: Path) -> None:
    """Makes the folder with mode 0700 and refuses one of somebody else (a planted /tmp/compose-lite-1000)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Error("foreign-folder", f"{folder} is not a folder of this user", remedy="Remove it, or set COMPOSE_LITE_RUN_DIR.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


def write_atomic(target: Path, content: bytes, mode: int = 0o644, *, sync: bool = True) -> None:
    """The file is either the old or the new one after any crash: temporary, fsync, rename."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, blocking: bool = True) -> Iterator[int]:
    """Holds an exclusive flock(2) on the file (made if missing); BlockingIOError when not blocking and taken."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        yield fd
    finally:
        os.close(fd)


class Undo:
    """Who makes, owns; undo runs backwards.

    with Undo() as undo:
        link = undo.on_failure(create_link(), delete_link)
        undo.keep()        # from here somebody else owns it
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[[Any], object], Any]] = []

    def on_failure(self, made: T, undo: Callable[[T], object]) -> T:
        self._steps.append((undo, made))
        return made

    def keep(self) -> None:
        self._steps.clear()

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for undo, made in reversed(self._steps):
            with contextlib.suppress(Exception):
                undo(made)
        self._steps.clear()
