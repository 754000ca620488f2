"""The template: a process that has imported all that a command needs and forks a worker for each command line.

It runs no command itself, and serves only who it can serve truly: the same interpreter and code, the same mount namespace.
As a program (`python -m compose_lite.cli.worker`) it is a template without an engine, which the first `config` of the day leaves behind;
a family that is started later puts its own in the place of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compose_lite import handoff
from compose_lite.cli import main as cli
from compose_lite.disk import Folders, folders, locked, make_private
from compose_lite.errors import Error

WARM_SECONDS = 300.0  # without a command; then the template's memory is given back, and the next command starts another
_PROBE_SECONDS = 5.0
_FRONT_KILLED = 137  # status of a worker that nobody waits for any more


def alone() -> None:
    """The body of a template without an engine; nothing when there is one already."""
    os.chdir("/")
    os.umask(0o022)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    where = folders(dict(os.environ), os.geteuid())
    with contextlib.suppress(Error, OSError):  # nobody can be told; commands work without it
        make_private(where.run)
        with locked(where.run / "template.lock", blocking=False):
            if not _answers(where.worker_socket):
                serve(where, None, ready=lambda: None, with_engine=False)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def serve(where: Folders, engine_alive: int | None, ready: Callable[[], object], *, with_engine: bool = True) -> None:
    """Until the engine is gone (end of file on engine_alive), the code has changed, or no command came for COMPOSE_LITE_WARM seconds.

    Workers end by themselves, and need no template. engine_alive is None for the template of an engine that another one started, and
    for one without an engine, which goes when another template has taken its socket.
    """
    warm = float(os.environ.get("COMPOSE_LITE_WARM") or WARM_SECONDS)
    gc.disable()  # what is imported stays; a collection would only touch it, and so copy it from the family's
    cli.import_commands()
    stamp = code_stamp()
    listener = _listen(where.worker_socket)
    inode = _inode(where.worker_socket)
    mount_namespace = os.readlink("/proc/self/ns/mnt")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a child ended: the kernel reaps
    gc.freeze()
    gc.enable()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    if engine_alive is not None:
        selector.register(engine_alive, selectors.EVENT_READ)
    lessons, teacher = os.pipe()  # names of LATE packages that workers had to import
    selector.register(lessons, selectors.EVENT_READ)

    def accept() -> bool:
        """One command line; whether this template's code is still what is installed."""
        client, _ = listener.accept()
        current = code_stamp() == stamp
        if os.fork() == 0:
            selector.close()
            listener.close()
            _worker(client, mount_namespace, not current, teacher)
        client.close()
        return current

    ready()
    ended, used = False, time.monotonic()
    while not ended:
        found = {key.fileobj for key, _ in selector.select(warm if engine_alive is not None else min(warm, _PROBE_SECONDS))}
        if listener in found:
            used = time.monotonic()
            ended = not accept()
        if lessons in found:
            _learn(os.read(lessons, 4096).decode().split())
        if engine_alive in found or (with_engine and not found and not where.engine_socket.exists()):
            ended = True  # the engine is gone: the next command starts a new family
        if not found and _inode(where.worker_socket) != inode:
            ended = True  # another one serves
        ended = ended or time.monotonic() - used >= warm
    with contextlib.suppress(OSError):
        if _inode(where.worker_socket) == inode:
            where.worker_socket.unlink()
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:  # who came in the meantime
            accept()


def _inode(path: Path) -> int:
    """0 when there is no such file."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(128)
    return listener


def code_stamp() -> int:
    """Changes when the installed code does: the newest modification among our imported modules."""
    newest = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("compose_lite") and getattr(module, "__file__", None):
            with contextlib.suppress(OSError):
                newest = max(newest, os.stat(module.__file__).st_mtime_ns)  # type: ignore[arg-type]
    return newest


def _learn(names: list[str]) -> None:
    """The next workers have it from here. Only what this code knows is imported."""
    for name in set(names) & set(cli.LATE):
        importlib.import_module(name)
    gc.freeze()


def _worker(client: socket.socket, mount_namespace: str, stale: bool, teacher: int) -> None:
    """The forked process: one command line, then the end."""
    status = 1
    before = {name for name in cli.LATE if name in sys.modules}
    try:
        request = _begin(client, mount_namespace, stale)
        threading.Thread(target=_end_with_front, args=(client,), daemon=True).start()
        env = {_text(k): _text(v) for k, v in request["env"].items()}
        status = cli.run(list(request["argv"]), env, sys.argv[0])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(OSError):
            os.write(teacher, "".join(f"{name}\n" for name in cli.LATE if name in sys.modules and name not in before).encode())
        with contextlib.suppress(OSError):
            client.sendall(handoff.answer(handoff.EXIT, status))
        os._exit(status & 0xFF)


def _begin(client: socket.socket, mount_namespace: str, stale: bool) -> dict[str, Any]:
    """The request of a front that can be served here; for any other, and for one that was killed meanwhile, this process ends."""
    try:
        request, fds = _receive(client)
        if stale or request.get("v") != handoff.STAMP or request.get("mnt") != mount_namespace:
            client.sendall(handoff.answer(handoff.REFUSED, 0))
            os._exit(0)
        _become(request, fds)
        client.sendall(handoff.answer(handoff.PID, os.getpid()))
    except ConnectionError:
        os._exit(_FRONT_KILLED)
    return request


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, fds, _, _ = socket.recv_fds(client, 1 << 16, 3)
    while missing := handoff.needed(data):
        part = client.recv(missing)
        if not part:
            raise ConnectionResetError("the front is gone")
        data += part
    return handoff.unpack(data), fds


def _become(request: dict[str, Any], fds: list[int]) -> None:
    """The caller's descriptors, folder, umask, limits and environment; default signals."""
    import resource

    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    for fd in fds:
        if fd > 2:
            os.close(fd)
    os.umask(request["umask"])
    for kind, soft, hard in request["rlimits"]:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (soft, hard))
    with contextlib.suppress(OSError):
        os.chdir(request["cwd"] or "/")
    os.environ.clear()
    os.environ.update({_text(k): _text(v) for k, v in request["env"].items()})
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [request.get("prog") or "compose-lite", *request["argv"]]
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False, buffering=1 if os.isatty(1) else -1)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)


def _end_with_front(client: socket.socket) -> None:
    """SIGKILL cannot be forwarded: a front that is gone ends its worker."""
    with contextlib.suppress(OSError):
        client.recv(1)
    os._exit(_FRONT_KILLED)


def _text(raw: bytes | str) -> str:
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw


if __name__ == "__main__":
    alone()
