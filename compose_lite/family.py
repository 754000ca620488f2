"""Starts one user's family of processes: zygote, engine and template, forks of one start (shared pages).

    front ──exec──▶ family (session leader) ──fork──▶ zygote      first, before anything heavy; rootless: makes the namespaces
                          │ imports what both share
                          ├──fork──▶ engine      rootless: joins the user and mount namespace, its one namespace thread the network
                          └ becomes the template (cli/worker.py)

It must never leave half a family: one lock (run/engine.lock), held by the engine alone for as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from compose_lite.disk import Folders, folders, make_private
from compose_lite.errors import Error
from compose_lite.linux import cgroups

READY = b"ready"
START_SECONDS = 20.0


def start(env: dict[str, str] | None = None) -> str | None:
    """Starts the family unless it runs, and waits until it serves; the reason when it does not. For fronts and clients."""
    here = dict(os.environ) if env is None else env
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        subprocess.Popen(
            [sys.executable, "-m", "compose_lite.family", str(writer)],
            pass_fds=(writer,),
            env=_clean_environment(here),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(writer)
    with open(reader, "rb") as answers:
        if not select.select([answers], [], [], START_SECONDS)[0]:
            return "the engine did not start in time; see engine.log in its data folder"
        said = os.read(answers.fileno(), 65536)
    if said.startswith(READY):
        return None
    return said.decode("utf-8", "replace") or "the engine ended while it was starting; see engine.log in its data folder"


def _clean_environment(env: dict[str, str]) -> dict[str, str]:
    """What the engine needs of the caller's environment: never the caller's secrets."""
    kept = ("HOME", "PATH", "LANG", "TZ", "PYTHONPATH", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    prefixes = ("XDG_", "COMPOSE_LITE_", "LC_", "PYTHON", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy", "COVERAGE_")
    return {k: v for k, v in env.items() if k in kept or k.startswith(prefixes)}


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
    cgroups.settle_in(cgroups.ENGINE)
    engine_end, zygote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inner = _fork_zygote(where, zygote_end, (lock, answer, engine_end.fileno()))
    zygote_end.close()
    import compose_lite.engine.main as engine  # what engine and template share is imported before the fork

    alive, engine_alive = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(answer)
        os.close(alive)
        bridges = _enter(inner, network=False) if inner else None
        engine.run(where, engine_end, bridges, keep=(lock, engine_alive))
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
    _template(where, answer, None)


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


# Rootless: one user namespace for the family, with the network namespace in which the bridges stand


def _fork_zygote(where: Folders, sock: socket.socket, unwanted: tuple[int, ...]) -> int:
    """Forks the zygote; as an ordinary user inside new (or a living family's) namespaces. Its pid when there are namespaces to join."""
    rootless = os.geteuid() != 0
    old = _living_namespaces(where) if rootless else 0
    ready, born = os.pipe()
    mapped, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in (*unwanted, ready, go):
            os.close(fd)
        if old:
            _enter(old, network=True)
        elif rootless:
            _make_namespaces(born, mapped)
        os.close(born)
        os.close(mapped)
        from compose_lite.runtime import zygote

        zygote.main(sock, str(where.run))
        os._exit(0)
    os.close(born)
    os.close(mapped)
    try:
        if rootless and not old:
            said = os.read(ready, 4096)
            if said != READY:
                raise Error(
                    "user-namespaces",
                    f"cannot make a user namespace: {said.decode() or 'the process ended'}",
                    remedy="Allow them (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0; on Ubuntu "
                    "kernel.apparmor_restrict_unprivileged_userns=0), or run compose-lite as root.",
                )
            _map_ids(pid, where)
            os.write(go, READY)
            _note_namespaces(where, pid)
            _open_uplink(pid, where)
    finally:
        os.close(ready)
        os.close(go)
    return pid if rootless else 0


def _make_namespaces(born: int, mapped: int) -> None:
    from compose_lite.linux import mount, namespaces

    try:
        namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS | namespaces.NEWNET)
    except OSError as error:
        os.write(born, str(error).encode())
        os._exit(1)
    os.write(born, READY)
    if os.read(mapped, 16) != READY:
        os._exit(1)
    mount.mount(None, "/", None, mount.REC | mount.SLAVE)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    from compose_lite.linux.netlink import Route

    with Route() as route:
        route.set_link(1, up=True)


def _enter(pid: int, *, network: bool) -> int:
    """Joins the namespaces of the process: user first, for the right to join the others. Returns its network namespace.

    The engine stays in the machine's network: it binds published ports there, pulls images and asks name servers.
    """
    from compose_lite.linux import namespaces

    net, user, mount = (os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("net", "user", "mnt"))
    for fd, kind in ((user, namespaces.NEWUSER), (mount, namespaces.NEWNS)):
        namespaces.setns(fd, kind)
        os.close(fd)
    if network:
        namespaces.setns(net, namespaces.NEWNET)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return net


def _map_ids(pid: int, where: Folders) -> None:
    """Subordinate ids by newuidmap(1) where the user has them, else this one id as root."""
    uid, gid = os.geteuid(), os.getegid()
    ranges = [_subordinate(path, uid) for path in ("/etc/subuid", "/etc/subgid")]
    tools = [shutil.which(tool) for tool in ("newuidmap", "newgidmap")]
    if all(ranges) and all(tools):
        for tool, own, found in zip(tools, (uid, gid), ranges, strict=True):
            assert tool and found
            command = [tool, str(pid), "0", str(own), "1", "1", str(found[0]), str(found[1])]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Error("subordinate-ids", f"{tool} failed: {done.stderr.strip()}", remedy="Check /etc/subuid and /etc/subgid.")
        _say_uplink(where, "ids", "")
        return
    missing = "newuidmap and newgidmap (Debian: uidmap)" if not all(tools) else "entries for this user in /etc/subuid and /etc/subgid"
    _say_uplink(where, "ids", f"only one user id can be used in containers: {missing} missing")
    Path(f"/proc/{pid}/setgroups").write_text("deny")
    Path(f"/proc/{pid}/uid_map").write_text(f"0 {uid} 1\n")
    Path(f"/proc/{pid}/gid_map").write_text(f"0 {gid} 1\n")


def _subordinate(path: str, uid: int) -> tuple[int, int] | None:
    """The first range of subuid(5) for the user, by name or number."""
    import pwd

    names = {str(uid)}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    with contextlib.suppress(OSError):
        for line in Path(path).read_text().splitlines():
            parts = line.split(":")
            if len(parts) == 3 and parts[0] in names and parts[1].isdigit() and parts[2].isdigit():
                return int(parts[1]), int(parts[2])
    return None


def _open_uplink(pid: int, where: Folders) -> None:
    """The way out of the network namespace: pasta(1), else slirp4netns(1), else none, and a note that says so."""
    pasta, slirp = shutil.which("pasta"), shutil.which("slirp4netns")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        _say_uplink(where, "uplink", "containers have no way out: /dev/net/tun cannot be opened")
    elif pasta:
        flags = ["--quiet", "--config-net", "--no-map-gw", "-t", "none", "-u", "none", "-T", "none", "-U", "none"]
        command = [
            pasta,
            *flags,
            "--pid",
            str(where.run / "uplink.pid"),
            "--userns",
            f"/proc/{pid}/ns/user",
            "--netns",
            f"/proc/{pid}/ns/net",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        _say_uplink(where, "uplink", f"containers have no way out: pasta failed: {done.stderr.strip()}" if done.returncode else "")
    elif slirp:
        process = subprocess.Popen(
            [slirp, "--configure", "--mtu=65520", "--disable-host-loopback", f"--userns-path=/proc/{pid}/ns/user", str(pid), "tap0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        (where.run / "uplink.pid").write_text(str(process.pid))
        _say_uplink(where, "uplink", "")
    else:
        _say_uplink(where, "uplink", "containers have no way out: install pasta (Debian: passt) or slirp4netns")


def _say_uplink(where: Folders, topic: str, text: str) -> None:
    """A limit of this machine that the engine tells to whom it concerns (GET /info, Warnings)."""
    note = where.run / f"limit-{topic}"
    if text:
        note.write_text(text)
    else:
        note.unlink(missing_ok=True)


def _note_namespaces(where: Folders, pid: int) -> None:
    (where.run / "namespaces").write_text(f"{pid} {_start_time(pid)}")


def _living_namespaces(where: Folders) -> int:
    """A process of an earlier family that still holds the namespaces (its zygote or a monitor), else 0."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = (int(n) for n in (where.run / "namespaces").read_text().split())
        if _start_time(pid) == started:
            return pid
    uid = os.geteuid()
    with contextlib.suppress(OSError, ValueError, KeyError):
        import json

        for state in (where.run / "c").glob("*/state.json"):
            found = json.loads(state.read_bytes())
            monitor = int(found["monitor"])
            if _start_time(monitor) == found["monitor_start"] and Path(f"/proc/{monitor}").stat().st_uid == uid:
                _note_namespaces(where, monitor)
                return monitor
    return 0


def _start_time(pid: int) -> int:
    """Field 22 of /proc/<pid>/stat, in clock ticks since the boot."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


if __name__ == "__main__":
    main()
