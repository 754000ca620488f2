"""The zygote's loop on made-up children: what it must survive."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.linux import unix
from compose_lite.runtime import messages
from compose_lite.runtime.zygote import Zygote, _Asked


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made = Zygote(theirs, str(tmp_path))  # type: ignore[arg-type]
    yield made
    made.epoll.close()
    os.close(made.signals)
    for sock in (ours, theirs, made.report, made.report_end, made.listener):
        sock.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_report_that_was_read_while_reaping_does_not_block(zygote: Zygote) -> None:
    """epoll names report and signalfd in one round; the report is taken by the reaping, and what epoll said of it is stale then."""
    child = os.fork()
    if child == 0:
        unix.send(zygote.report_end, messages.encode({"report": "nothing", "by": os.getpid(), "pid": 0}))
        os._exit(0)
    (client,) = zygote.clients.values()
    zygote.asked[child] = _Asked(client, 1, "c")
    for _ in range(200):
        ready = {fd for fd, _ in zygote.epoll.poll(1)}
        if {zygote.report.fileno(), zygote.signals} <= ready:
            break
        time.sleep(0.005)
    os.read(zygote.signals, 128)
    zygote._reap()
    assert child not in zygote.asked
    assert not select.select([zygote.report], [], [], 0)[0]
    signal.alarm(5)
    try:
        zygote._hear_report()  # used to wait for ever
    finally:
        signal.alarm(0)


def test_a_later_zygotes_socket_is_left_alone(zygote: Zygote, tmp_path: Path) -> None:
    path = tmp_path / "zygote.sock"
    path.unlink()
    path.write_text("another's")
    for sock in list(zygote.clients.values()):
        zygote.epoll.unregister(sock.fileno())
        sock.close()
    zygote.clients.clear()
    zygote.serve()
    assert path.exists()
