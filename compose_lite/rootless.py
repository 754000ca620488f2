"""What an ordinary user's engine stands on: one user, mount and network namespace, subordinate ids, and a way out.

Asked by family.py when it forks the zygote, and by the engine at its end. What this machine cannot give is written to a note in
the run folder (`limit-ids`, `limit-uplink`, ...) that the engine tells to whom it concerns (GET /info, Warnings).
user_namespaces(7), newuidmap(1), subuid(5), pasta(1), slirp4netns(1).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from compose_lite.disk import Folders
from compose_lite.errors import Error
from compose_lite.handoff import READY
from compose_lite.linux import cgroups, mount, namespaces
from compose_lite.linux.netlink import Route
from compose_lite.subordinate import ranges_of

_UPLINK_MTU = "1500"  # as the bridges': of a larger one pasta sends packets that no bridge passes on, and hears no ICMP about it
_UPLINKS = ("pasta", "passt", "slirp4netns")  # as proc_pid_comm(5) has them: `passt.avx2` is pasta


def make_namespaces(born: int, mapped: int) -> None:
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
    with Route() as route:
        route.set_link(1, up=True)


def enter(pid: int, *, network: bool) -> int:
    """Joins the namespaces of the process: user first, for the right to join the others. Returns its network namespace.

    The engine stays in the machine's network: it binds published ports there, pulls images and asks name servers.
    """
    net, user, mount = (os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("net", "user", "mnt"))
    for fd, kind in ((user, namespaces.NEWUSER), (mount, namespaces.NEWNS)):
        namespaces.setns(fd, kind)
        os.close(fd)
    if network:
        namespaces.setns(net, namespaces.NEWNET)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return net


def map_ids(pid: int, where: Folders) -> None:
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
        _note_limit(where, "ids", "")
        return
    missing = "newuidmap and newgidmap (Debian: uidmap)" if not all(tools) else "entries for this user in /etc/subuid and /etc/subgid"
    _note_limit(where, "ids", f"only one user id can be used in containers: {missing} missing")
    Path(f"/proc/{pid}/setgroups").write_text("deny")
    Path(f"/proc/{pid}/uid_map").write_text(f"0 {uid} 1\n")
    Path(f"/proc/{pid}/gid_map").write_text(f"0 {gid} 1\n")


def _subordinate(path: str, uid: int) -> tuple[int, int] | None:
    """The first range of subuid(5) for the user, by name or number."""
    import pwd

    names = [str(uid)]
    with contextlib.suppress(KeyError):
        names.append(pwd.getpwuid(uid).pw_name)
    with contextlib.suppress(OSError):
        return next(iter(ranges_of(Path(path).read_text(), names)), None)
    return None


def open_uplink(pid: int, where: Folders) -> None:
    """The way out of the network namespace: pasta(1), else slirp4netns(1), else none, and a note that says so."""
    close_uplink(where)  # of a family that was killed
    pasta, slirp = shutil.which("pasta"), shutil.which("slirp4netns")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        _note_limit(where, "uplink", "containers have no way out: /dev/net/tun cannot be opened")
    elif pasta:
        none = [word for option in ("-t", "-u", "-T", "-U") for word in (option, "none")]  # the forwarder publishes ports
        command = [pasta, "--quiet", "--config-net", "--no-map-gw", "--mtu", _UPLINK_MTU, *none, "--pid", str(where.run / "uplink.pid")]
        command += ["--userns", f"/proc/{pid}/ns/user", "--netns", f"/proc/{pid}/ns/net"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        _note_limit(where, "uplink", f"containers have no way out: pasta failed: {done.stderr.strip()}" if done.returncode else "")
    elif slirp:
        process = subprocess.Popen(
            [slirp, "-c", f"--mtu={_UPLINK_MTU}", "--disable-host-loopback", f"--userns-path=/proc/{pid}/ns/user", str(pid), "tap0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        (where.run / "uplink.pid").write_text(str(process.pid))
        _note_limit(where, "uplink", "")
    else:
        _note_limit(where, "uplink", "containers have no way out: install pasta (Debian: passt) or slirp4netns")


def close_uplink(where: Folders) -> None:
    """Ends the way out, which does not notice that its namespace is no longer used."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((where.run / "uplink.pid").read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip().partition(".")[0] in _UPLINKS:
            os.kill(pid, signal.SIGTERM)
        (where.run / "uplink.pid").unlink()


def _note_limit(where: Folders, topic: str, text: str) -> None:
    """A limit of this machine that the engine tells to whom it concerns (GET /info, Warnings)."""
    note = where.run / f"limit-{topic}"
    if text:
        note.write_text(text)
    else:
        note.unlink(missing_ok=True)


def note_groups(where: Folders, problem: str) -> None:
    """problem: why systemd has given no group. Without lingering, the one it gives ends with the user's last login."""
    _note_limit(where, "groups", f"limits of containers cannot be kept: {problem}" if problem and not cgroups.are_ours() else "")
    ends = not problem and cgroups.in_scope() and not _lingers(os.geteuid())
    _note_limit(where, "login", "containers end with your last login; `loginctl enable-linger` lets them stay" if ends else "")


def _lingers(uid: int) -> bool:
    """Whether logind keeps the user's systemd without a login (loginctl(1), enable-linger)."""
    import pwd

    with contextlib.suppress(KeyError):
        return Path("/var/lib/systemd/linger", pwd.getpwuid(uid).pw_name).exists()
    return False


def limits(where: Folders, topics: Sequence[str] = ("*",)) -> list[str]:
    """What this machine cannot give to an ordinary user's containers, as sentences' cores; none for root."""
    return [note.read_text() for topic in topics for note in sorted(where.run.glob(f"limit-{topic}"))]


def note_namespaces(where: Folders, pid: int) -> None:
    (where.run / "namespaces").write_text(f"{pid} {_start_time(pid)}")


def living_namespaces(where: Folders) -> int:
    """A process of an earlier family that still holds the namespaces (its zygote or a monitor), else 0."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = (int(n) for n in (where.run / "namespaces").read_text().split())
        if _holds(pid, started):
            return pid
    uid = os.geteuid()
    with contextlib.suppress(OSError, ValueError, KeyError):
        import json

        for state in (where.run / "c").glob("*/state.json"):
            found = json.loads(state.read_bytes())
            monitor = int(found["monitor"])
            if _holds(monitor, found["monitor_start"]) and Path(f"/proc/{monitor}").stat().st_uid == uid:
                note_namespaces(where, monitor)
                return monitor
    return 0


def _holds(pid: int, started: int) -> bool:
    """Still that process, and not a dead one that nobody reaps, which has no namespaces any more."""
    return _start_time(pid) == started and os.path.exists(f"/proc/{pid}/ns/net")


def _start_time(pid: int) -> int:
    """Field 22 of /proc/<pid>/stat, in clock ticks since the boot."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
