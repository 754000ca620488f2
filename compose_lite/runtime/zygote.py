"""The zygote: a small, single-threaded process that forks monitors, execs and helpers, and reaps what falls to it.

Forked (or started) before anything heavy is imported; it must never start a thread nor import asyncio. It is the subreaper and
outlives the engine: when a monitor is killed, its container's first process becomes our child, a second monitor takes over its
output (we hold the descriptors too), and we record the exit status. It ends when no client and no container is left.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import ctypes
import gc
import os
import select
import sys
import time

from compose_lite.linux import cgroups, pidfd, unix
from compose_lite.linux.syscall import call, prctl, set_name, syscall
from compose_lite.runtime import child, container, execin, messages, midwife, monitor, mould

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

_SOCKET_NAME = "zygote.sock"
_SET_CHILD_SUBREAPER = 36
_SFD_FLAGS = 0o2004000  # SFD_CLOEXEC | SFD_NONBLOCK
_MOST_STRAYS, _STRAY_NS = 1024, 5 * 10**9


class _Held:
    """What the zygote knows of one container: enough to replace its monitor."""

    __slots__ = ("bundle", "id", "monitor", "outputs", "pid", "seen", "status")

    def __init__(self, id: str, bundle: str, monitor_pid: int) -> None:
        self.id, self.bundle, self.monitor = id, bundle, monitor_pid
        self.pid = 0
        self.outputs: list[int] = []
        self.status: int | None = None  # of the first process, once it fell to us and ended
        self.seen = True  # whether that status is known


class _Asked:
    """A fork that still owes a client an answer."""

    __slots__ = ("client", "exec_id", "id", "number")

    def __init__(self, client: _socket.socket, number: int, id: str, exec_id: str = "") -> None:
        self.client, self.number, self.id, self.exec_id = client, number, id, exec_id


class Zygote:
    def __init__(self, sock: _socket.socket, run: str) -> None:
        self.run = run
        self.mould = mould.Mould(_monitor, _repair_fork)
        self.epoll = select.epoll()
        self.clients: dict[int, _socket.socket] = {}
        self.held: dict[int, _Held] = {}  # by the monitor's pid
        self.orphans: dict[int, _Held] = {}  # by the first process's pid, its monitor having been killed
        self.asked: dict[int, _Asked] = {}  # by the fork's pid
        self.running: dict[int, _Asked] = {}  # execs and spawned helpers, by pid
        self.strays: dict[int, tuple[int, int]] = {}  # statuses and when of children that nobody has told us of yet
        self.report, self.report_end = unix.socketpair()
        self.report.setblocking(False)  # its end for the children stays blocking
        self.signals = _child_signals()
        self.listener = unix.listen(f"{run}/{_SOCKET_NAME}")
        self.socket_inode = os.stat(f"{run}/{_SOCKET_NAME}").st_ino
        for fd in (self.report.fileno(), self.signals, self.listener.fileno()):
            self.epoll.register(fd, select.EPOLLIN)
        self._add(sock)

    def _add(self, sock: _socket.socket) -> None:
        sock.setblocking(True)
        self.clients[sock.fileno()] = sock
        self.epoll.register(sock.fileno(), select.EPOLLIN)

    def serve(self) -> None:
        while self.clients or self.held or self.orphans:
            for fd, _ in self.epoll.poll():
                if fd in self.clients:
                    self._hear(self.clients[fd])
                elif fd == self.report.fileno():
                    self._hear_report()
                elif fd == self.signals:
                    os.read(fd, 128 * 32)
                    self._reap()
                elif fd == self.listener.fileno():
                    self._add(unix.accept(self.listener))
        try:  # unless a later zygote has its own there
            if os.stat(f"{self.run}/{_SOCKET_NAME}").st_ino == self.socket_inode:
                os.unlink(f"{self.run}/{_SOCKET_NAME}")
        except OSError:
            pass

    # Requests

    def _hear(self, client: _socket.socket) -> None:
        try:
            data, fds = unix.receive(client)
            if data == messages.LONG:
                data = messages.whole_file(fds.pop(0))
        except OSError:
            data, fds = b"", []
        if not data:
            self.epoll.unregister(client.fileno())
            del self.clients[client.fileno()]
            client.close()
            return
        try:
            header, body = messages.split(data)
            self._do(client, header, body, dict(zip(header.get("names") or (), fds, strict=True)), data)
        except (ValueError, KeyError, OSError) as error:
            _answer(client, {"re": _number(data), "error": {"status": 128, "says": f"the zygote cannot do that: {error}"}})
        finally:
            for fd in fds:
                os.close(fd)

    def _do(self, client: _socket.socket, header: dict[str, Any], body: bytes, fds: dict[str, int], data: bytes) -> None:
        operation, number = header["op"], header["n"]
        if operation == "hello":
            _answer(client, {"v": messages.VERSION, "pid": os.getpid()})
        elif operation == "connect":
            self._add(_socket.socket(fileno=os.dup(fds["client"])))
            _answer(client, {"re": number})
        elif operation == "create":
            self._displace(header["bundle"])
            pid = self.mould.fork(data, [client.fileno(), self.report_end.fileno(), *fds.values()])
            self.held[pid] = _Held(header["id"], header["bundle"], pid)
            self.asked[pid] = _Asked(client, number, header["id"])
        elif operation == "exec":
            pid = self._fork(client, fds)
            if pid == 0:
                _exec(header, body, fds, client, self.report_end)
            self.asked[pid] = _Asked(client, number, header["id"], header["exec"])
        elif operation == "spawn":
            pid = self._fork(client, fds)
            if pid == 0:
                _helper(header, list(fds.values()), client, self.report_end)
            self.running[pid] = _Asked(client, number, "")
        else:
            raise ValueError(f"unknown request {operation!r}")

    def _fork(self, client: _socket.socket, fds: dict[str, int]) -> int:
        pid = os.fork()
        if pid == 0:
            _repair_fork([*fds.values(), client.fileno(), self.report_end.fileno()])
        return pid

    def _displace(self, bundle: str) -> None:
        """The container is started anew: a monitor that still comes up for its last run would take the new one's place in the bundle."""
        for held in {*self.held.values(), *self.orphans.values()}:
            if held.bundle == bundle:
                if self.held.pop(held.monitor, None):
                    os.kill(held.monitor, _signal.SIGKILL)
                    os.waitpid(held.monitor, 0)
                self.orphans.pop(held.pid, None)
                _close_all(held)

    def _hear_report(self) -> None:
        """A monitor or exec child says which process it has started, before it could end unknown to us."""
        try:
            data, fds = unix.receive(self.report)
        except BlockingIOError:
            return  # read already, while a child's end was looked at in the same round of epoll
        found = messages.decode(data)
        asked = self.asked.pop(found["by"], None)
        if found["report"] == "container":
            held = self.held.get(found["by"])
            if held is None:
                for fd in fds:
                    os.close(fd)
                return
            held.pid, held.outputs = found["pid"], fds
        elif found["report"] == "exec" and asked is not None:
            self.running[found["pid"]] = asked
            status = self._stray(found["pid"])
            if status is not None:
                self._ended(found["pid"], status)

    # Ends

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            while self._report_waits():
                self._hear_report()
            self._ended(pid, os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))

    def _report_waits(self) -> bool:
        return bool(select.select([self.report.fileno()], [], [], 0)[0])

    def _ended(self, pid: int, status: int) -> None:
        asked = self.asked.pop(pid, None)
        if pid in self.held:
            self._monitor_ended(self.held.pop(pid), status, asked)
        elif pid in self.orphans:
            held = self.orphans[pid]
            held.status = status
            self._finish(held)
        elif asked is not None:
            if status != 0:  # else it has answered itself
                says = f"the process that was to enter the container ended with status {status}"
                _answer(asked.client, {"re": asked.number, "error": {"status": 128, "says": says}})
        elif pid in self.running:
            self._helper_ended(pid, self.running.pop(pid), status)
        else:
            if len(self.strays) >= _MOST_STRAYS:
                self.strays.pop(next(iter(self.strays)))
            self.strays[pid] = (status, _now())

    def _stray(self, pid: int) -> int | None:
        """The status of a child that ended just before we were told of it; an old one is another process of that number."""
        status, at = self.strays.pop(pid, (0, 0))
        return status if _now() - at < _STRAY_NS else None

    def _helper_ended(self, pid: int, asked: _Asked, status: int) -> None:
        if asked.exec_id:
            found = {"id": asked.id, "exec": asked.exec_id, "status": status, "oom": False, "at": _now()}
            _answer(asked.client, {"exit": found})
        else:
            if status > 128:  # maybe before it could answer; if it has, this is heard by nobody
                says = f"the process ended with status {status}"
                _answer(asked.client, {"re": asked.number, "error": {"status": 128, "says": says, "killed": True}})
            _answer(asked.client, {"spawn_exit": pid, "status": status})

    def _monitor_ended(self, held: _Held, status: int, asked: _Asked | None) -> None:
        if asked is not None and status != 0:
            says = f"the container's monitor ended with status {status} before the container was ready"
            _answer(asked.client, {"re": asked.number, "error": {"status": 128, "says": says, "killed": status > 128}})
        if held.pid and held.pid in self.orphans:  # a second monitor
            held.monitor = 0
            if status > 128 and held.status is None:
                self._replace_monitor(held)  # killed as well
            else:
                self._finish(held)
            return
        if status == 0 or not held.pid or os.path.exists(f"{held.bundle}/exit.json"):
            _close_all(held)
            return
        # It was killed; the container goes on.
        self.orphans[held.pid] = held
        held.status = self._stray(held.pid)
        if held.status is None and not pidfd.start_time(held.pid):
            held.status, held.seen = monitor.UNKNOWN, False  # the monitor reaped it and was killed before it could say
        self._replace_monitor(held)

    def _replace_monitor(self, held: _Held) -> None:
        """Another one for its output. The pidfd is opened here, where the process cannot be reaped meanwhile; -1: it has ended."""
        process = pidfd.open_pidfd(held.pid) if held.status is None else -1
        pid = os.fork()
        if pid == 0:
            _repair_fork([*held.outputs, *([process] if process >= 0 else [])])
            _second_monitor(held, process)
        if process >= 0:
            os.close(process)
        held.monitor = pid
        self.held[pid] = held

    def _finish(self, held: _Held) -> None:
        """Once the status is known and the second monitor has drained the output."""
        if held.status is None or held.monitor:
            return
        del self.orphans[held.pid]
        _close_all(held)
        try:
            state = messages.decode(container.read_state(held.bundle))
            monitor.record_exit(held.bundle, state, held.status, seen=held.seen)
        except (OSError, ValueError, KeyError):
            pass  # the bundle was deleted meanwhile


def _now() -> int:
    return time.time_ns()


def _close_all(held: _Held) -> None:
    for fd in held.outputs:
        os.close(fd)
    held.outputs = []


def _number(data: bytes) -> int:
    try:
        return int(messages.split(data)[0]["n"])
    except (ValueError, KeyError):
        return 0


def _answer(client: _socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    try:
        unix.send(client, messages.encode(message), fds or ())
    except OSError:
        pass  # the client is gone; what was asked for is found by the next engine


def _child_signals() -> int:
    """signalfd(2) for SIGCHLD."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
    mask = ctypes.c_uint64(1 << (_signal.SIGCHLD - 1))
    return call("signalfd", -1, ctypes.byref(mask), _SFD_FLAGS)


def _repair_fork(kept: list[int]) -> None:
    """All that a fork of the zygote has to put right, in one place.

    Descriptors: other clients, other containers' output, the zygote's own. Session: a signal to the zygote's group is not
    meant for it. SIGCHLD is no longer read from a signalfd. Memory: nothing that was there before is looked at by the collector.
    """
    low = 3
    for fd in sorted(set(kept)):
        if fd > low:
            syscall("close_range", low, fd - 1, 0)
        low = max(low, fd + 1)
    syscall("close_range", low, 0xFFFFFFFF, 0)
    os.setsid()
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _monitor(request: int, fds: list[int]) -> NoReturn:
    """A monitor from its fork to its end. fds: the client, the report, then those of the request."""
    status = 1
    try:
        set_name(b"cl-monitor")
        client, report = _socket.socket(fileno=fds[0]), _socket.socket(fileno=fds[1])
        born, answer, status = midwife.call(request, client, report, fds[2:])
        if born is not None:
            state = born.state
            unix.send(report, messages.encode({"report": "container", "by": os.getpid(), "pid": born.pid}), list(born.outputs))
            loop = monitor.Monitor(born, answer.pop("bundle"), pidfd.open_pidfd(born.pid), parent=True)
            _answer(client, answer)
            client.close()
            report.close()
            monitor.record_exit(loop.bundle, state, loop.serve())
            if state.get("runtime"):
                from compose_lite.runtime import foreign

                foreign.delete(state["runtime"], loop.bundle, state["id"])
            loop.linger()
    finally:
        _end(status)


def _exec(header: dict[str, Any], body: bytes, fds: dict[str, int], client: _socket.socket, report: _socket.socket) -> NoReturn:
    status = 1
    try:
        number = header["n"]
        try:
            pid, started, master = execin.enter(header, messages.decode(body), fds)
        except child.StartError as error:
            _answer(client, {"re": number, "error": {"status": error.status, "says": error.says}})
        except (OSError, ValueError, KeyError) as error:
            _answer(client, {"re": number, "error": {"status": 128, "says": str(error)}})
        else:
            _answer(client, {"re": number, "pid": pid, "start": started}, [master] if master >= 0 else None)
            unix.send(report, messages.encode({"report": "exec", "by": os.getpid(), "pid": pid}))
        status = 0
    finally:
        _end(status)


def _second_monitor(held: _Held, process: int) -> NoReturn:
    status = 1
    try:
        set_name(b"cl-monitor")
        monitor.take_over(held.bundle, messages.decode(container.read_state(held.bundle)), held.outputs, process)
        status = 0
    finally:
        _end(status)


def _helper(header: dict[str, Any], fds: list[int], client: _socket.socket, report: _socket.socket) -> NoReturn:
    """A clean process for a module's `main(fds, args)`. It answers itself: else one of a killed zygote would be asked for again."""
    status = 1
    try:
        _answer(client, {"re": header["n"], "pid": os.getpid()})
        client.close()
        report.close()
        gc.enable()
        module = header["module"]
        __import__(module)
        status = int(sys.modules[module].main(fds, header["args"]) or 0)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    finally:
        _end(status)


def _end(status: int) -> NoReturn:
    """A fork ends here and never goes back into the zygote's loop."""
    if sys.exc_info()[0] is not None and status:
        sys.excepthook(*sys.exc_info())
    try:
        sys.stderr.flush()
    finally:
        os._exit(status)


def main(sock: socket.socket | _socket.socket, run: str) -> NoReturn:
    """Serves the clients from `sock` on."""
    own = _socket.socket(fileno=os.dup(sock.fileno()))
    os.set_inheritable(own.fileno(), False)
    os.chdir("/")
    keep = own.fileno()
    if keep > 3:
        syscall("close_range", 3, keep - 1, 0)
    syscall("close_range", max(keep + 1, 3), 0xFFFFFFFF, 0)
    for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT):
        _signal.signal(number, _signal.SIG_IGN)
    prctl(_SET_CHILD_SUBREAPER, 1)
    set_name(b"cl-zygote")
    cgroups.layout()
    gc.collect()
    gc.freeze()
    gc.disable()
    status = 1
    try:
        Zygote(own, run).serve()
        cgroups.leave(*cgroups.OURS)
        status = 0
    finally:
        _end(status)


def stay() -> NoReturn:
    """A fresh interpreter's start, in the namespaces of its caller: `... <descriptor> <run folder>`."""
    main(_socket.socket(fileno=int(sys.argv[1])), sys.argv[2])


def serve() -> NoReturn:
    """The same for an engine's: `... <descriptor> <run folder> [<network namespace>]`. The caller waits for its fork only."""
    if os.fork():
        os._exit(0)
    if len(sys.argv) > 3:
        from compose_lite.linux import namespaces

        namespaces.setns(int(sys.argv[3]), namespaces.NEWNET)
    main(_socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
