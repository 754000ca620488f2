"""The template: a process that has imported all that a command needs and forks a worker for each command line.

It runs no command itself, and serves only who it can serve truly: the same interpreter and code, the same mount namespace.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compose_lite import handoff
from compose_lite.cli import main as cli
from compose_lite.disk import Folders


def serve(folders: Folders, engine_alive: int | None, ready: Callable[[], object]) -> None:
    """Until the engine is gone (end of file on engine_alive) and the last worker has ended."""
    cli.import_commands()
    stamp = code_stamp()
    listener = _listen(folders.worker_socket)
    mount_namespace = os.readlink("/proc/self/ns/mnt")
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.collect()
    gc.freeze()  # collected objects would be touched, and so copied, in every fork
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    if engine_alive is not None:
        selector.register(engine_alive, selectors.EVENT_READ)
    ready()
    stale = False
    while not stale:
        for key, _ in selector.select(timeout=5 if engine_alive is None else None):
            if key.fileobj is listener:
                client, _address = listener.accept()
                stale = code_stamp() != stamp
                if os.fork() == 0:
                    selector.close()
                    listener.close()
                    _worker(client, mount_namespace, stale)
                client.close()
            else:
                stale = True  # the engine is gone: the next command starts a new family
        _reap()
    with contextlib.suppress(OSError):
        if folders.worker_socket.stat().st_ino == os.fstat(listener.fileno()).st_ino or engine_alive is not None:
            folders.worker_socket.unlink()
    listener.close()
    while True:  # workers end by themselves
        try:
            os.wait()
        except ChildProcessError:
            return


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


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _worker(client: socket.socket, mount_namespace: str, stale: bool) -> None:
    """The forked process: one command line, then the end."""
    status = 1
    try:
        request, fds = _receive(client)
        if stale or request.get("v") != handoff.STAMP or request.get("mnt") != mount_namespace:
            client.sendall(handoff.answer(handoff.REFUSED, 0))
            os._exit(0)
        _become(request, fds)
        client.sendall(handoff.answer(handoff.PID, os.getpid()))
        threading.Thread(target=_end_with_front, args=(client,), daemon=True).start()
        env = {_text(k): _text(v) for k, v in request["env"].items()}
        status = cli.run(list(request["argv"]), env)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(OSError):
            client.sendall(handoff.answer(handoff.EXIT, status))
        os._exit(status & 0xFF)


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
    os._exit(137)


def _text(raw: bytes | str) -> str:
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
