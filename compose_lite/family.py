"""Starts one user's family of processes: zygote, engine and template.

    front ──exec──▶ family (session leader) ──exec──▶ zygote      a fresh interpreter; rootless: makes the namespaces
                          │ imports what both share
                          ├──fork──▶ engine      rootless: joins the user and mount namespace, its one namespace thread the network
                          └ becomes the template (cli/worker.py)

It must never leave half a family: one lock (run/engine.lock), held by the engine alone for as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

from compose_lite.disk import Folders, folders, make_private
from compose_lite.errors import Error
from compose_lite.handoff import READY, zygote_command
from compose_lite.linux import cgroups


def main() -> None:
    """The body of the new process. argv[1]: the descriptor on which it says that it serves, or why not."""
    answer = int(sys.argv[1])
    try:
        _run(folders(dict(os.environ), os.geteuid()), answer)
    except Error as error:
        os.write(answer, str(error).encode())
    except OSError as error:
        os.write(answer, f"cannot start the engine: {error}".encode())


def _run(where: Folders, answer: int) -> None:
    make_private(where.run)
    where.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.umask(0o022)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _log_to(where.data / "engine.log")
    lock = os.open(where.run / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        _join_family(where, answer)
        return
    if os.environ.get("COMPOSE_LITE_USERNS_REMAP"):
        from compose_lite.subordinate import remapping

        remapping(os.environ, root=os.geteuid() == 0)  # what cannot be is said here, where somebody hears it
    _settle(where)
    engine_end, zygote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inner = _fork_zygote(where, zygote_end, (lock, answer, engine_end.fileno()))
    zygote_end.close()
    import compose_lite.api.protocol  # noqa: F401  what engine and template share is imported before the fork

    gc.collect()
    gc.freeze()  # a later collection would touch all of it, and so copy it, in both
    alive, engine_alive = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(answer)
        os.close(alive)
        try:
            from compose_lite.engine import main as engine

            engine.run(where, engine_end, _enter(inner) if inner else None, keep=(lock, engine_alive))
        except BaseException:
            traceback.print_exc()  # to the engine's log: nobody else can be told any more
            os._exit(1)
        cgroups.leave(*cgroups.OURS)
        os._exit(0)
    os.close(lock)
    os.close(engine_alive)
    engine_end.close()
    _template(where, answer, alive)


def _join_family(where: Folders, answer: int) -> None:
    """Somebody else starts or is the engine: wait for its template, or replace a killed one."""
    for _ in range(100):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(where.worker_socket))
            os.write(answer, READY)
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(where.engine_socket))
            break
        time.sleep(0.05)
    _settle(where)
    _template(where, answer, None)


def _settle(where: Folders) -> None:
    """Out of the caller's group, into one of ours; what that cannot give is said."""
    ordinary, problem = os.geteuid() != 0, ""
    if os.path.isdir("/run/systemd/system"):
        from compose_lite import delegation

        problem = delegation.enter(where)
    cgroups.settle_in(cgroups.ENGINE)
    if problem:
        print(problem, file=sys.stderr)  # to the engine's log
    if ordinary:
        from compose_lite import rootless

        rootless.note_groups(where, problem)


def _template(where: Folders, answer: int, alive: int | None) -> None:
    from compose_lite.cli import worker

    def ready() -> None:
        os.write(answer, READY)
        os.close(answer)

    worker.serve(where, alive, ready=ready)
    cgroups.leave(*cgroups.OURS)


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(log).st_size > 8 << 20:
        os.ftruncate(log, 0)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for fd in (null, log):
        if fd > 2:
            os.close(fd)


def _enter(zygote: int) -> int:
    from compose_lite import rootless

    return rootless.enter(zygote, network=False)


def _fork_zygote(where: Folders, sock: socket.socket, unwanted: tuple[int, ...]) -> int:
    """Starts the zygote; as an ordinary user inside new (or a living family's) namespaces. Its pid when there are namespaces to join."""
    ordinary = os.geteuid() != 0
    if ordinary:
        from compose_lite import rootless
    old = rootless.living_namespaces(where) if ordinary else 0
    ready, born = os.pipe()
    mapped, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in (*unwanted, ready, go):
            os.close(fd)
        if old:
            rootless.enter(old, network=True)
        elif ordinary:
            rootless.make_namespaces(born, mapped)
        os.close(born)
        os.close(mapped)
        os.set_inheritable(sock.fileno(), True)
        os.execve(sys.executable, zygote_command("stay", sock.fileno(), where.run), dict(os.environ))
    os.close(born)
    os.close(mapped)
    try:
        if ordinary and not old:
            said = os.read(ready, 4096)
            if said != READY:
                raise Error(
                    "user-namespaces",
                    f"cannot make a user namespace: {said.decode() or 'the process ended'}",
                    remedy="Allow them (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0; on Ubuntu "
                    "kernel.apparmor_restrict_unprivileged_userns=0), or run compose-lite as root.",
                )
            rootless.map_ids(pid, where)
            os.write(go, READY)
            rootless.note_namespaces(where, pid)
            rootless.open_uplink(pid, where)
    finally:
        os.close(ready)
        os.close(go)
    return pid if ordinary else 0


if __name__ == "__main__":
    main()
