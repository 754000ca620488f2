"""The state of an engine or of the machine in which an example of docs/errors gives its error (test_error_pages.py).

Nothing here is faked: what is killed is killed, what is full is full. Where the engine itself has to stand in a certain place (a small
disk, a network of its own, an ordinary user's rights), it is an engine for that example alone.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.system.engines import Engine, eventually

UID = 23456
"""An ordinary user whom nobody is."""
FAR = ("network create --internal --subnet 10.213.9.0/24 far",)


@dataclass(frozen=True, slots=True)
class Situation:
    """before: command lines that are run first. around: what else is done, and undone. own: an engine for this example alone.

    meanwhile: the command goes on; this makes it say the error. ends_well: the error is a warning.
    """

    before: tuple[str, ...] = ()
    around: Callable[[Engine], AbstractContextManager[None]] | None = None
    own: Callable[[], AbstractContextManager[Engine]] | None = None
    meanwhile: Callable[[Engine], None] | None = None
    ends_well: bool = False


# --- files


def half_an_archive(engine: Engine) -> Iterator[None]:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        entry = tarfile.TarInfo("data")
        entry.size = 100_000
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    (engine.project / "files.tar.gz").write_bytes(gzip.compress(whole.getvalue()[:50_000], mtime=0))
    yield


def large_file(engine: Engine) -> Iterator[None]:
    with (engine.project / "app.bin").open("wb") as file:
        file.truncate(1)
        for _ in range(16):
            file.write(os.urandom(1 << 20))
    yield


def other_files_in_the_layer(engine: Engine) -> Iterator[None]:
    for layer in (engine.base / "data/layers").glob("*/diff"):
        (layer / "compose.yaml").write_text("changed\n")
    yield


def archive(folder: Path, member: str) -> str:
    """web.tar, an image of one layer with one file, as `docker save` writes it; the layer's digest without sha256:."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(member))
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer.getvalue()}
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": ["web:latest"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(folder / "web.tar", "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return digest


def strange_folder(engine: Engine) -> Iterator[None]:
    place = engine.base / "data/layers" / archive(engine.project, "file")[:24]
    (place / "mine").mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(place)


def archive_with_a_whiteout(engine: Engine) -> Iterator[None]:
    archive(engine.project, ".wh.file")
    yield


def repository(engine: Engine) -> Iterator[None]:
    """github.com/me is a folder of this machine, by Git's own configuration."""
    folder = engine.base / "me"
    folder.mkdir()
    names = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    work = "-C work commit -q --allow-empty -m x"
    for words in ("init -q work", work, "clone -q --bare work parts.git", "-C parts.git update-server-info"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True, env={**os.environ, **names, "HOME": str(folder)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / ".gitconfig").write_text(f'[url "http://127.0.0.1:{server.server_port}/"]\n  insteadOf = https://github.com/me/\n')
    engine.env["HOME"] = str(folder)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder)


# --- processes


def zygotes_that_die(engine: Engine) -> Iterator[None]:
    """One after the other, each as soon as it is asked for something."""
    engine.run("engine", "start")
    done = threading.Event()

    def kill() -> None:
        while not done.is_set():
            for pid in engine.zygotes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            done.wait(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        done.set()
        killer.join()


def forwarder_without_room(engine: Engine) -> Iterator[None]:
    """It may have no more open files than it has."""
    path = f"{engine.base}/run/forward.sock"
    held = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines() if line.endswith(path)}
    pid = next(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid != engine.engine() and _holds(pid, held))
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), old[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)


def watched(engine: Engine) -> Iterator[None]:
    other = engine.start("watch")
    try:
        assert other.stdout
        next(line for line in other.stdout if "Watch enabled" in line)
        yield
    finally:
        other.send_signal(signal.SIGINT)
        other.communicate(timeout=30)


def change_a_file(engine: Engine) -> None:
    (engine.project / "src/app.js").write_text("changed\n")


def remove_a_file(engine: Engine) -> None:
    (engine.project / "etc/passwd").unlink()


# --- engines in certain places


def _holds(pid: int, inodes: set[str]) -> bool:
    """Whether the process has one of these sockets open."""
    found = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}").removeprefix("socket:[").rstrip("]"))
    return bool(found & inodes)


@contextmanager
def engine_in(wrap: tuple[str, ...] = (), uid: int = 0, **env: str) -> Iterator[Engine]:
    """An engine whose commands all run behind these words."""
    if missing := [name for name in ("setpriv", "unshare", "nsenter") if not shutil.which(name)]:
        pytest.skip(f"no {missing[0]}")
    # by a shell: what setpriv(1) starts itself is still found with root's rights
    reading = [*_ORDINARY, "sh", "-c", f"{sys.executable} -c 'import compose_lite.cli.main'"]
    if uid and subprocess.run(reading, cwd="/", check=False).returncode:
        pytest.skip("an ordinary user cannot read the program")
    top = Path(tempfile.mkdtemp(prefix="compose-lite-pages-"))  # where an ordinary user gets to
    top.chmod(0o755)
    made = Engine(top / "shop", idle=30)
    made.wrap = tuple(word.replace("TOP", str(top)) for word in wrap)
    with_runtime(made)
    made.env |= {"COMPOSE_PROJECT_NAME": "shop", "HOME": str(top), **{k: v.replace("TOP", str(top)) for k, v in env.items()}}
    if uid:
        for path in (made.base, made.project):
            os.chown(path, uid, uid)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(top)


def with_runtime(engine: Engine) -> None:
    """A program called runsc, which nobody gets as far as to run."""
    folder = engine.base / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "runsc").write_text("#!/bin/false\n")
    (folder / "runsc").chmod(0o755)
    engine.env["PATH"] = f"{folder}:{os.environ['PATH']}"


@contextmanager
def small_disk() -> Iterator[Engine]:
    with engine_in() as made:
        data = made.base / "data"
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(data)], check=True)
        try:
            yield made
        finally:
            made.run("engine", "stop", code=None)
            eventually(lambda: not made.processes())
            subprocess.run(["umount", str(data)], check=True)


@contextmanager
def two_ports() -> Iterator[Engine]:
    """A network with two ephemeral ports, whose IPv6 half is taken."""
    holder = subprocess.Popen(
        ["unshare", "-n", sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert holder.stdout
    assert holder.stdout.readline() == "ready\n"
    try:
        with engine_in(("nsenter", f"--net=/proc/{holder.pid}/ns/net")) as made:
            yield made
    finally:
        holder.communicate()


_HOLDER = """
import socket
from compose_lite.linux.netlink import Route
with Route() as route:
    route.set_link(1, up=True)
open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("40000 40001")
held = []
for port in (40000, 40001):
    held.append(socket.socket(socket.AF_INET6))
    held[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    held[-1].bind(("::", port))
    held[-1].listen()
print("ready", flush=True)
input()
"""


def no_low_ports() -> AbstractContextManager[Engine]:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("everybody may listen at port 80 here")
    return engine_in(("setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"))


_ORDINARY = ("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups")


def ordinary_user() -> AbstractContextManager[Engine]:
    return engine_in(_ORDINARY, UID)


@contextmanager
def unfit_newuidmap() -> Iterator[Engine]:
    """A newuidmap that is not set-user-ID, and an entry for the user that lets it be asked."""
    if not shutil.which("newuidmap"):
        pytest.skip("no newuidmap")
    steps = [
        "echo me:100000:65536 > TOP/ids",
        "(cat /etc/passwd; echo me:x:UID:UID::/:/bin/sh) > TOP/passwd",
        *(f"mount --bind TOP/{file} /etc/{name}" for file, name in (("ids", "subuid"), ("ids", "subgid"), ("passwd", "passwd"))),
        'exec "$@"',
    ]
    script = " && ".join(steps)
    with engine_in(("unshare", "-m", "sh", "-c", script.replace("UID", str(UID)), "sh", *_ORDINARY), UID) as made:
        for tool in ("newuidmap", "newgidmap"):
            shutil.copy(shutil.which(tool) or tool, made.base / "bin" / tool)
            (made.base / "bin" / tool).chmod(0o755)
        yield made


def no_user_namespaces() -> AbstractContextManager[Engine]:
    return engine_in((sys.executable, "-c", _WITHOUT, str(UID)), UID)


_WITHOUT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if not pid:
    assert libc.unshare(0x10000000) == 0
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.setgroups([])
    os.setresgid(*[int(sys.argv[1])] * 3)
    os.setresuid(*[int(sys.argv[1])] * 3)
    os.execvp(sys.argv[2], sys.argv[2:])
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{pid}/{name}", "w").write("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def no_device_nodes() -> AbstractContextManager[Engine]:
    """As on a kernel before 5.8: mknod(2) is refused (seccomp)."""
    return engine_in((sys.executable, "-c", _NO_MKNOD))


_NO_MKNOD = """
import ctypes, os, sys
from compose_lite.linux import seccomp
calls = {"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
program = seccomp.compile_filter({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [calls]})
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]
found = Filter(len(program) // 8, program)
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(found), 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""


def around(steps: Callable[[Engine], Iterator[None]]) -> Callable[[Engine], AbstractContextManager[None]]:
    return contextmanager(steps)


SITUATIONS: dict[str, Situation] = {
    "build-archive": Situation(around=around(half_an_archive)),
    "build-copy": Situation(around=around(large_file), own=small_disk),
    "build-dockerfile": Situation(),
    "build-image": Situation(),
    "build-secret": Situation(),
    "build-source": Situation(),
    "build-step": Situation(),
    "build-tag": Situation(),
    "build-target-path": Situation(),
    "build-user": Situation(),
    "container-start": Situation(),
    "container-unknown": Situation(),
    "endpoint-exists": Situation(("up -d", *FAR, "network connect far shop-web-1")),
    "endpoint-unknown": Situation(("up -d", *FAR)),
    "exec-start": Situation(("up -d",)),
    "forwarder": Situation(("-p first -f first.yaml up -d",), around(forwarder_without_room)),
    "layer-changed": Situation(("build",), around(other_files_in_the_layer)),
    "layer-clash": Situation(around=around(strange_folder)),
    "network-attach": Situation(),
    "network-bridge": Situation(),
    "network-in-use": Situation(("up -d",)),
    "network-owner-stopped": Situation(("create",)),
    "no-free-port": Situation(own=two_ports),
    "port-bind": Situation(),
    "port-in-use": Situation(("-p first up -d",)),
    "port-not-allowed": Situation(own=no_low_ports),
    "pre-start-failed": Situation(),
    "remote-fetch": Situation(around=around(repository)),
    "run-failed": Situation(),
    "runtime-idmap": Situation(),
    "runtime-rootless": Situation(own=ordinary_user),
    "stop-ignored": Situation(("up -d",), ends_well=True),
    "subordinate-ids": Situation(own=unfit_newuidmap),
    "update-failed": Situation(("up -d",)),
    "user-namespaces": Situation(own=no_user_namespaces),
    "wait-failed": Situation(),
    "wait-timeout": Situation(),
    "watch-exec": Situation(("up -d",), meanwhile=change_a_file),
    "watch-remove": Situation(("up -d",), meanwhile=remove_a_file),
    "watch-twice": Situation(("up -d",), around(watched)),
    "whiteout": Situation(around=around(archive_with_a_whiteout), own=no_device_nodes),
    "zygote-lost": Situation(around=around(zygotes_that_die)),
}
