"""The port forwarder: a process of its own that moves bytes and datagrams from published ports to containers.

Forked from the zygote, single-threaded, one epoll loop; it outlives the engine, so ports work on while that is away.
It never binds: listening sockets come ready-made by SCM_RIGHTS, from whichever network namespace they belong to.

    engine ──SOCK_SEQPACKET run/forward.sock──▶ forwarder
      {"op": "open", "id", "protocol": "tcp|udp", "target": [address, port]} + descriptor     ▶ {"ok": true}
      {"op": "retarget", "id", "target"} · {"op": "close", "id"} · {"op": "list"}             ▶ {"ok": true, "ids": [...], "targets": {...}}

It ends when no port is left and no engine is connected. Message version: VERSION, in "list".
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time

from compose_lite.linux import cgroups

VERSION = 1
CHUNK = 1 << 18
BACKLOG = 1 << 20  # bytes waiting for a slow side before we stop reading the other
UDP_IDLE = 90.0
_RETRY = (errno.EAGAIN, errno.EINTR, errno.EINPROGRESS)


class Pump:
    """One direction of a connection: what was read and not yet written."""

    __slots__ = ("eof", "pending", "shut", "sink", "source")

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.pending = bytearray()
        self.eof = self.shut = False


class Port:
    """A published port: its listening (or datagram) socket and where it leads."""

    __slots__ = ("clients", "id", "listener", "protocol", "target")

    def __init__(self, name: str, protocol: str, listener: socket.socket, target: tuple[str, int]) -> None:
        self.id, self.protocol, self.listener, self.target = name, protocol, listener, target
        self.clients: dict[object, tuple[socket.socket, float]] = {}


class Forwarder:
    """The loop. `handlers`: descriptor -> what to call with the ready events."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        control.setblocking(False)
        self.engines: set[socket.socket] = set()
        self.ports: dict[str, Port] = {}
        self.poll = select.epoll()
        self.handlers: dict[int, object] = {}
        self.swept = time.monotonic()
        self.served = False  # an engine was connected and left
        self._watch(control, select.EPOLLIN, self._accept_engine)

    def _watch(self, sock: socket.socket, events: int, handler: object) -> None:
        if sock.fileno() in self.handlers:
            self.poll.modify(sock.fileno(), events)
        else:
            self.poll.register(sock.fileno(), events)
        self.handlers[sock.fileno()] = handler

    def _forget(self, sock: socket.socket) -> None:
        if self.handlers.pop(sock.fileno(), None):
            with contextlib.suppress(OSError):
                self.poll.unregister(sock.fileno())
        sock.close()

    def run(self) -> None:
        """Until no port and no engine is left."""
        idle_since = time.monotonic()
        while True:
            for fd, events in self.poll.poll(5.0):
                handler = self.handlers.get(fd)
                if handler:
                    handler(events)  # type: ignore[operator]
            now = time.monotonic()
            if self.ports or self.engines:
                idle_since = now
            elif self.served or now - idle_since > 5.0:  # an engine that starts it needs a moment to connect
                return
            if now - self.swept > 10:
                self.swept = now
                self._sweep_datagrams(now)

    # the engine's side

    def _accept_engine(self, _events: int) -> None:
        try:
            engine, _ = self.control.accept()
        except OSError:
            return  # gone again
        self.engines.add(engine)
        self._watch(engine, select.EPOLLIN, lambda _e: self._serve_engine(engine))

    def _serve_engine(self, engine: socket.socket) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(engine, 65536, 1)
        except OSError:
            data, fds = b"", []
        if not data:
            self.engines.discard(engine)
            self.served = True
            self._forget(engine)
            return
        try:
            reply = self._obey(json.loads(data), fds)
        except (OSError, KeyError, ValueError) as error:
            for fd in fds:
                os.close(fd)
            reply = {"ok": False, "error": str(error)}
        with contextlib.suppress(OSError):
            engine.send(json.dumps(reply).encode())

    def _obey(self, message: dict, fds: list[int]) -> dict:  # type: ignore[type-arg]
        op = message["op"]
        if op == "open":
            if not fds:  # the kernel drops descriptors that we have no room for
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            listener = socket.socket(fileno=fds[0])
            listener.setblocking(False)
            if message["id"] in self.ports:
                self._close_port(message["id"])
            port = Port(message["id"], message["protocol"], listener, (message["target"][0], message["target"][1]))
            self.ports[port.id] = port
            accept = self._accept_client if port.protocol == "tcp" else self._read_datagrams
            self._watch(listener, select.EPOLLIN, lambda _e: accept(port))
        elif op == "close":
            self._close_port(message["id"])
        elif op == "retarget":
            self.ports[message["id"]].target = (message["target"][0], message["target"][1])
        elif op != "list":
            return {"ok": False, "error": f"unknown op {op}"}
        targets = {name: list(port.target) for name, port in self.ports.items()} if op == "list" else {}
        return {"ok": True, "version": VERSION, "ids": sorted(self.ports), "targets": targets}

    def _close_port(self, name: str) -> None:
        port = self.ports.pop(name, None)
        if port:
            for upstream, _ in port.clients.values():
                self._forget(upstream)
            self._forget(port.listener)

    # TCP

    def _accept_client(self, port: Port) -> None:
        for _ in range(16):
            try:
                client, _address = port.listener.accept()
            except OSError:
                return
            client.setblocking(False)
            family = socket.AF_INET6 if ":" in port.target[0] else socket.AF_INET
            upstream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            for sock in (client, upstream):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            failed = upstream.connect_ex(port.target)
            if failed not in (0, errno.EINPROGRESS):
                client.close()
                upstream.close()
                continue
            self._couple(client, upstream)

    def _couple(self, client: socket.socket, upstream: socket.socket) -> None:
        there, back = Pump(client, upstream), Pump(upstream, client)
        connecting = [True]

        def close(abort: bool = False) -> None:
            for sock in (client, upstream):
                if abort:  # the other side broke off: pass on a reset, as without a proxy
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self._forget(sock)

        def update() -> None:
            if there.shut and back.shut:
                close()
                return
            for sock, reading, writing in ((client, there, back), (upstream, back, there)):
                events = 0
                if not reading.eof and len(reading.pending) < BACKLOG and not (sock is upstream and connecting[0]):
                    events |= select.EPOLLIN
                if writing.pending or (sock is upstream and connecting[0]):
                    events |= select.EPOLLOUT
                self._watch(sock, events, on_client if sock is client else on_upstream)

        def step(reading: Pump, writing: Pump, events: int) -> None:
            try:
                if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not reading.eof:
                    self._fill(reading)
                self._drain(reading)
                self._drain(writing)
            except OSError:
                close(abort=True)
                return
            update()

        def on_client(events: int) -> None:
            step(there, back, events)

        def on_upstream(events: int) -> None:
            if connecting[0]:
                if upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    close(abort=True)
                    return
                connecting[0] = False
            step(back, there, events)

        update()

    @staticmethod
    def _fill(pump: Pump) -> None:
        try:
            data = pump.source.recv(CHUNK)
        except OSError as error:
            if error.errno in _RETRY:
                return
            raise
        if data:
            pump.pending += data
        else:
            pump.eof = True

    @staticmethod
    def _drain(pump: Pump) -> None:
        while pump.pending:
            try:
                sent = pump.sink.send(pump.pending)
            except OSError as error:
                if error.errno in (*_RETRY, errno.ENOTCONN):
                    return
                raise
            del pump.pending[:sent]
        if pump.eof and not pump.shut:
            pump.shut = True
            with contextlib.suppress(OSError):
                pump.sink.shutdown(socket.SHUT_WR)

    # UDP: one socket towards the container for each client

    def _read_datagrams(self, port: Port) -> None:
        for _ in range(64):
            try:
                data, address = port.listener.recvfrom(65535)
            except OSError:
                return
            known = port.clients.get(address)
            if known is None:
                family = socket.AF_INET6 if ":" in port.target[0] else socket.AF_INET
                upstream = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                try:
                    upstream.connect(port.target)
                except OSError:
                    upstream.close()
                    continue
                self._watch(upstream, select.EPOLLIN, lambda _e, a=address: self._return_datagrams(port, a))
            else:
                upstream = known[0]
            port.clients[address] = (upstream, time.monotonic())
            with contextlib.suppress(OSError):
                upstream.send(data)

    def _return_datagrams(self, port: Port, address: tuple[object, ...]) -> None:
        upstream = port.clients[address][0]
        for _ in range(64):
            try:
                data = upstream.recv(65535)
            except OSError:
                return
            with contextlib.suppress(OSError):
                port.listener.sendto(data, address)

    def _sweep_datagrams(self, now: float) -> None:
        for port in self.ports.values():
            for address, (upstream, used) in list(port.clients.items()):
                if now - used > UDP_IDLE:
                    del port.clients[address]
                    self._forget(upstream)


def main(fds: list[int], _args: list[str]) -> None:
    """The body of the process. fds: the listening control socket."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    control = socket.socket(fileno=fds[0])
    path = control.getsockname()
    inode = os.stat(path).st_ino
    Forwarder(control).run()
    with contextlib.suppress(OSError):  # unless a later forwarder has its own there
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    cgroups.leave(*cgroups.OURS)
