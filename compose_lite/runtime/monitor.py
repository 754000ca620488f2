"""The monitor of one container: parent of its first process; moves its stdio, writes its log, records how it ended.

It must never need the engine to make progress, nor import anything after the fork. Output waits (the container blocks) while an
attached client does not read; a client that is gone is forgotten. When the container has ended, its last output is in the log and its end
recorded at once, and then slow clients get what they have not taken.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import select
import struct
import termios
import time

from compose_lite.linux import cgroups, pidfd, unix
from compose_lite.runtime import container, messages
from compose_lite.runtime.jsonlog import LogWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CHUNK = 32 * 1024
_DRAIN_SECONDS = _LINGER_SECONDS = 5.0
_TELL_SECONDS = 10
UNKNOWN = 255  # a status that nobody saw


class _Client:
    """One connection to <bundle>/ctl; attached ones get frames."""

    __slots__ = ("pending", "sock", "wants_output", "writes")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self.wants_output = self.writes = False
        self.pending: list[bytes] = []  # frames that it has not taken yet; more than one only when the container has ended


class Monitor:
    """The loop around one container. `parent`: the first process is our child; else (a second monitor) the zygote reaps it.

    process: its pidfd, -1 when it has ended already and only its output is left.
    """

    def __init__(self, born: container.Born, bundle: str, process: int, *, parent: bool) -> None:
        self.born, self.bundle, self.parent = born, bundle, parent
        self.id: str = born.state["id"]
        self.started = not parent
        self.ended = process < 0
        self.log = LogWriter(born.state["log"])
        self.epoll = select.epoll()
        self.clients: dict[int, _Client] = {}
        self.starter: _Client | None = None
        self.once = born.state["stdin"] == "once" and not born.state["tty"]
        self.waiting_input: list[tuple[int, bytes]] = []
        self.pidfd = process
        self.listener = unix.listen(f"{bundle}/ctl")
        self.listener.setblocking(False)
        for fd in (*(() if self.ended else (process,)), self.listener.fileno(), *born.outputs):
            self.epoll.register(fd, select.EPOLLIN)
        if parent:
            self.epoll.register(born.sync.fileno(), select.EPOLLIN)

    def serve(self) -> int:
        """Until the container has ended and its output is drained; returns its status."""
        while not self.ended:
            for fd, event in self.epoll.poll():
                self._handle(fd, event)
        if self.starter is not None and self.born.sync.fileno() >= 0:
            self._hear_init()  # it has started and ended before we were told so
        self._drain()
        self.log.close()
        return self._reap() if self.parent else 0

    def linger(self) -> None:
        """After the end is recorded: what clients have not taken yet."""
        if self.pidfd >= 0:
            self.epoll.unregister(self.pidfd)
        for fd in list(self.born.outputs):
            self._forget_output(fd)
        until = time.monotonic() + _LINGER_SECONDS
        while any(client.pending for client in self.clients.values()) and (left := until - time.monotonic()) > 0:
            for fd, event in self.epoll.poll(left):
                self._handle(fd, event)

    def _handle(self, fd: int, event: int) -> None:
        if fd in self.born.outputs:
            self._read_output(fd)
        elif fd == self.pidfd:
            self.ended = True
        elif fd == self.listener.fileno():
            self._accept()
        elif fd in self.clients:
            self._hear(self.clients[fd], event)
        elif fd == self.born.inputs:
            self._flush_input()
        elif self.parent and fd == self.born.sync.fileno():
            self._hear_init()

    # Output

    def _read_output(self, fd: int) -> bool:
        """One piece to the log and the clients; False when there is nothing (more)."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that nobody has open any more
                raise
            data = b""
        if not data:
            # EIO of a terminal may end when a process opens it again; a pipe has ended for good
            self._forget_output(fd)
            return False
        stream = self.born.outputs[fd]
        self.log.write(stream, data)
        framed = messages.frame(messages.STDOUT if stream == "stdout" else messages.STDERR, data)
        for client in list(self.clients.values()):
            if client.wants_output:
                self._send(client, framed)
        return True

    def _forget_output(self, fd: int) -> None:
        self.epoll.unregister(fd)
        del self.born.outputs[fd]
        if fd != self.born.inputs:
            os.close(fd)

    def _send(self, client: _Client, framed: bytes) -> None:
        if client.pending:
            client.pending.append(framed)
            return
        try:
            client.sock.send(framed, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            client.pending.append(framed)
            self.epoll.modify(client.sock.fileno(), select.EPOLLOUT)
            for fd in self.born.outputs:
                self.epoll.modify(fd, 0)
        except OSError:
            self._drop(client)

    def _resume(self, client: _Client) -> None:
        self.epoll.modify(client.sock.fileno(), select.EPOLLIN)
        pending, client.pending = client.pending, []
        for framed in pending:
            self._send(client, framed)
        self._reopen_outputs()

    def _reopen_outputs(self) -> None:
        if not any(client.pending for client in self.clients.values()):
            for fd in self.born.outputs:
                self.epoll.modify(fd, select.EPOLLIN)

    # Clients

    def _accept(self) -> None:
        try:
            sock = unix.accept(self.listener)
        except OSError:
            return
        self.clients[sock.fileno()] = _Client(sock)
        self.epoll.register(sock.fileno(), select.EPOLLIN)

    def _drop(self, client: _Client) -> None:
        fd = client.sock.fileno()
        if self.clients.pop(fd, None) is None:
            return
        self.epoll.unregister(fd)
        client.sock.close()
        self.waiting_input = [one for one in self.waiting_input if one[0] != fd] if not client.writes else self.waiting_input
        if client.writes and self.once:
            self._end_input()
        self._reopen_outputs()

    def _hear(self, client: _Client, event: int) -> None:
        if client.pending and event & select.EPOLLOUT:
            self._resume(client)
            return
        if event & (select.EPOLLERR | select.EPOLLHUP) and not event & select.EPOLLIN:
            self._drop(client)
            return
        try:
            data, fds = unix.receive(client.sock)
        except OSError:
            data, fds = b"", []
        for fd in fds:
            os.close(fd)
        if not data:
            self._drop(client)
        elif client.wants_output or client.writes:
            self._frame(client, data)
        else:
            self._command(client, data)

    def _frame(self, client: _Client, data: bytes) -> None:
        kind, payload = data[0], data[1:]
        if kind == messages.STDIN and client.writes:
            self._input(client, payload)
        elif kind == messages.STDIN_END and self.once:
            self._end_input()
        elif kind == messages.RESIZE:
            self._resize(*messages.parse_window(payload))

    def _command(self, client: _Client, data: bytes) -> None:
        try:
            message = messages.decode(data)
            operation = message["op"]
        except (ValueError, KeyError):
            self._drop(client)
            return
        if operation == "start":
            self._start(client, message.get("mounts"))
        elif operation == "attach":
            client.wants_output, client.writes = bool(message.get("output")), bool(message.get("stdin"))
            self._answer(client, {"attached": True})
        elif operation == "adopt":
            keep = self.born.keep
            answer = {"v": messages.VERSION, "state": "running" if self.started else "created", "keep": list(keep), "monitor": os.getpid()}
            self._answer(client, answer, list(keep.values()))
        elif operation == "note":
            self.log.note("stderr" if message.get("stream") == "stderr" else "stdout", str(message.get("text") or "").encode())
            self._answer(client, {})
        elif operation == "resize":
            self._resize(message["rows"], message["columns"])
            self._answer(client, {})
        else:
            self._answer(client, {"error": {"status": 128, "says": f"the monitor does not know {operation!r}"}})

    def _answer(self, client: _Client, message: dict[str, Any], fds: list[int] | None = None) -> None:
        try:
            unix.send(client.sock, messages.encode(message), fds or ())
        except OSError:
            self._drop(client)

    def _resize(self, rows: int, columns: int) -> None:
        if self.born.state["tty"] and self.born.inputs >= 0:
            fcntl.ioctl(self.born.inputs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # Input

    def _input(self, client: _Client, payload: bytes) -> None:
        """Written at once, or kept while the container does not read; its client is not heard meanwhile."""
        if self.born.inputs < 0 or not payload:
            return
        rest = self._write_input(payload) if not self.waiting_input else payload
        if rest:
            self.waiting_input.append((client.sock.fileno(), rest))
            self._listen_to_writers(False)
            self._watch_input(True)

    def _write_input(self, data: bytes) -> bytes:
        try:
            return data[os.write(self.born.inputs, data) :]
        except BlockingIOError:
            return data
        except OSError:
            self.once = False
            self._close_input()
            return b""

    def _flush_input(self) -> None:
        while self.waiting_input:
            fd, data = self.waiting_input[0]
            rest = self._write_input(data)
            if rest and self.born.inputs >= 0:
                self.waiting_input[0] = (fd, rest)
                return
            if self.waiting_input:
                self.waiting_input.pop(0)
        self._watch_input(False)
        self._listen_to_writers(True)

    def _listen_to_writers(self, on: bool) -> None:
        for client in self.clients.values():
            if client.writes and not client.pending:
                self.epoll.modify(client.sock.fileno(), select.EPOLLIN if on else 0)

    def _watch_input(self, on: bool) -> None:
        fd = self.born.inputs
        if fd < 0:
            return
        if self.born.state["tty"]:
            self.epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if on else 0))
            return
        try:
            self.epoll.register(fd, select.EPOLLOUT) if on else self.epoll.unregister(fd)
        except (FileExistsError, FileNotFoundError):
            pass

    def _end_input(self) -> None:
        """The end of stdin, after what is still waiting."""
        if self.waiting_input and self.born.inputs >= 0:
            os.set_blocking(self.born.inputs, False)
            self._flush_input()
        if not self.waiting_input:
            self._close_input()

    def _close_input(self) -> None:
        if self.born.inputs >= 0 and not self.born.state["tty"]:
            self._watch_input(False)
            os.close(self.born.inputs)
            self.born.inputs = -1
        self.waiting_input = []

    # Start and end

    def _start(self, client: _Client, mounts: list[dict[str, Any]] | None) -> None:
        if self.started:
            self._answer(client, {"started": True})
            return
        self.started, self.starter = True, client
        container.let_go(self.born, mounts)

    def _hear_init(self) -> None:
        """The hand-shake's end: closed by execve, or the reason why there was none."""
        answer: dict[str, Any] = {"started": True}
        try:
            data, _ = unix.receive(self.born.sync)
            if data:
                answer = {"error": messages.decode(data)["error"]}
        except OSError:
            pass
        self.epoll.unregister(self.born.sync.fileno())
        self.born.sync.close()
        if self.starter is not None:
            self._answer(self.starter, answer)

    def _drain(self) -> None:
        """What is still in the pipes. Its writers are dead, but for a shared pid namespace: there the rest is not waited for."""
        until = time.monotonic() + _DRAIN_SECONDS
        for fd in list(self.born.outputs):
            while fd in self.born.outputs and time.monotonic() < until and self._read_output(fd):
                pass

    def _reap(self) -> int:
        _, status = os.waitpid(self.born.pid, 0)
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def record_exit(bundle: str, state: Mapping[str, Any], status: int, *, seen: bool = True) -> None:
    """exit.json first, then the notice: whoever is told finds it on disk."""
    oom = cgroups.Group.of(state["cgroup"]).oom_kills() > 0
    document = {"id": state["id"], "pid": state["pid"], "status": status, "oom": oom, "at": time.time_ns()}
    document |= {} if seen else {"seen": False}
    container.write_json(bundle, "exit.json", document)
    try:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        # The kernel waits where the engine has many to hear; poll(2), by which Python would, calls an unconnected socket writable.
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, struct.pack("ll", _TELL_SECONDS, 0))
        with unix.ShortPath(state["notify"]) as path:
            sock.sendto(messages.encode(document), path)
        sock.close()
    except OSError:
        pass  # no engine: the next one reads the file


def take_over(bundle: str, state: dict[str, Any], outputs: list[int], process: int) -> None:
    """A second monitor for a container whose first one was killed: log and attach go on; the zygote records the end."""
    born = container.Born()
    born.state = state
    born.pid = state["pid"]
    born.group = cgroups.Group.of(state["cgroup"])
    if state["tty"]:
        born.inputs = outputs[0]
        born.outputs = {outputs[0]: "stdout"}
    else:
        born.outputs = dict(zip(outputs, ("stdout", "stderr"), strict=False))
    state["monitor"], state["monitor_start"] = os.getpid(), pidfd.start_time(os.getpid())
    container.write_json(bundle, "state.json", state)
    loop = Monitor(born, bundle, process, parent=False)
    loop.serve()
    loop.linger()
