"""A group of our own from systemd, on cgroup v2: a transient scope with `Delegate=yes`, of the user's systemd or the machine's.

systemd is the one writer of the tree (systemd.io/CGROUP_DELEGATION): what others make beside its units may lose its controllers, or its
processes, with the next reload. In a delegated scope all below is ours. The family asks for it at its start, whoever called: a login
session, a service, cron. The scope lives as long as a process is in it, so containers keep it over a new engine, which joins it.
org.freedesktop.systemd1(5), systemd.scope(5), user@.service(5).
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

from jeepney import DBusAddress, message_bus, new_method_call

from compose_lite.disk import Folders, folders
from compose_lite.linux import cgroups, dbus

_SERVICE = "org.freedesktop.systemd1"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", bus_name=_SERVICE, interface=f"{_SERVICE}.Manager")
_JOB_REMOVED = "JobRemoved"
_SECONDS, _TRIES = 10.0, 5
_GRACE_USEC = 10_000_000  # of processes that nobody has stopped when systemd goes down; Docker's 10 s
_UNLIMITED = 2**64 - 1
UNIT = "compose-lite.service"


def scope_name(where: Folders, environ: dict[str, str], uid: int) -> str:
    """One a run folder: `compose-lite.scope` for the usual one, `compose-lite-<hash>.scope` for any other."""
    usual = folders({key: value for key, value in environ.items() if not key.startswith("COMPOSE_LITE_")}, uid).run
    mark = "" if where.run == usual else f"-{hashlib.sha256(str(where.run).encode()).hexdigest()[:8]}"
    return f"compose-lite{mark}.scope"


def enter(where: Folders) -> str:
    """Moves this process into the scope; why not, or "". Nothing is asked where systemd does not run or the groups are of version 1."""
    if not os.path.isdir("/run/systemd/system") or not cgroups.is_unified():
        return ""
    uid = os.geteuid()
    name = scope_name(where, dict(os.environ), uid)
    problem = "the user's systemd does not run (log in by a session of PAM's, or `loginctl enable-linger`)"
    for path, peer in _sockets(uid, os.environ.get("XDG_RUNTIME_DIR", "")):
        try:
            with dbus.Connection(path, peer=peer, seconds=_SECONDS) as systemd:
                _enter(systemd, name, os.getpid(), peer=peer)
            return ""
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = f"systemd gives no group: {error}"
    return problem


def _sockets(uid: int, runtime: str) -> list[tuple[str, bool]]:
    """(path, whether it is systemd itself that listens): the bus, else systemd's own socket, which is there without a bus too."""
    if uid == 0:
        return [("/run/dbus/system_bus_socket", False), ("/run/systemd/private", True)]
    folders = dict.fromkeys([*([runtime] if runtime else []), f"/run/user/{uid}"])  # su(1) may leave another user's in the environment
    return [socket for folder in folders for socket in ((f"{folder}/bus", False), (f"{folder}/systemd/private", True))]


def _enter(systemd: dbus.Connection, name: str, pid: int, *, peer: bool) -> None:
    if not peer:
        systemd.ask(message_bus.AddMatch(f"type='signal',interface='{_MANAGER.interface}',member='{_JOB_REMOVED}'"))
    systemd.call(_MANAGER, "Subscribe")
    for attempt in range(_TRIES):
        try:
            _start(systemd, name, pid)
            return
        except dbus.Refused as error:
            if error.name != f"{_SERVICE}.UnitExists":
                raise
        try:  # containers of an earlier family are in it
            systemd.call(_MANAGER, "AttachProcessesToUnit", "ssau", (name, cgroups.ENGINE, [pid]))
            return
        except dbus.Refused:
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.1)  # it is about to go, with its last process


def properties(pid: int) -> list[tuple[str, tuple[str, Any]]]:
    """Of the scope. It ends after the unit of `engine enable`, whose end stops the containers in order."""
    return [
        ("Description", ("s", "compose-lite: engine and containers")),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("TasksMax", ("t", _UNLIMITED)),
        ("TimeoutStopUSec", ("t", _GRACE_USEC)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("Before", ("as", [UNIT])),
    ]


def _start(systemd: dbus.Connection, name: str, pid: int) -> None:
    """StartTransientUnit, and the end of its job: only then the process has been moved."""
    asked: tuple[Any, ...] = (name, "fail", properties(pid), [])
    (job,), heard = systemd.ask(new_method_call(_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", asked), _JOB_REMOVED)
    deadline = time.monotonic() + _SECONDS
    while True:
        for message in heard:
            if dbus.member(message) == _JOB_REMOVED and message.body[1] == job:
                if message.body[3] != "done":
                    raise ConnectionError(f"{name}: {message.body[3]}")
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} was not started within {_SECONDS:.0f} s")
        heard = [systemd.receive()]
