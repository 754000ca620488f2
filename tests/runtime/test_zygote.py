"""The zygote's loop on made-up children: what it must survive."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from compose_lite.linux import unix
from compose_lite.runtime import messages
from compose_lite.runtime.answers import ExitNotice
from compose_lite.runtime.client import Runtime, _Known
from compose_lite.runtime.mould import Mould
from compose_lite.runtime.zygote import Zygote, _Asked, _Held


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made = Zygote(theirs, str(tmp_path))  # type: ignore[arg-type]
    yield made
    made.mould.close()
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


def test_a_start_anew_ends_the_monitors_of_the_last_run(zygote: Zygote) -> None:
    """One that came up late read the new run's state and took its control socket: the new process waited at its gate for ever."""
    child = os.fork()
    if child == 0:
        signal.pause()
    late, other = _Held("c", "/bundles/c", child), _Held("d", "/bundles/d", 999_999_999)
    late.pid, late.outputs = 5, [os.open("/dev/null", os.O_RDONLY)]
    zygote.held, zygote.orphans = {child: late, other.monitor: other}, {5: late}
    zygote._displace("/bundles/c")
    assert zygote.held == {other.monitor: other} and not zygote.orphans and not late.outputs
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_a_spawned_process_that_is_killed_before_it_could_answer(zygote: Zygote) -> None:
    (client,) = zygote.clients.values()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        zygote.running[77] = _Asked(theirs, 4, "")  # type: ignore[arg-type]
        zygote._ended(77, 137)
        told = [messages.decode(ours.recv(4096)) for _ in range(2)]
    assert told[0]["re"] == 4 and told[0]["error"]["killed"] and told[1] == {"spawn_exit": 77, "status": 137}
    assert client.fileno() >= 0


def test_the_end_of_an_earlier_process_is_not_this_ones(tmp_path: Path) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        heard: list[ExitNotice] = []
        with theirs:
            runtime = Runtime(ours, tmp_path / "exits.sock")
            runtime.on_exit = heard.append
            runtime._known["c"] = _Known(tmp_path)
            earlier, own = (ExitNotice("c", None, 0, False, 1, pid=pid) for pid in (2, os.getpid()))
            runtime._tell(own)  # before the answer that says which process it is
            assert not heard
            runtime._learn("c", os.getpid(), 1, 1, 1)
            await asyncio.sleep(0)
            assert heard == [own]
            runtime._known["c"] = _Known(tmp_path)
            runtime._learn("c", os.getpid(), 1, 1, 1)
            runtime._tell(earlier)
            assert heard == [own]
            runtime._tell(own)
            runtime._tell(own)
            assert heard == [own, own]
            runtime.close()

    asyncio.run(scenario())


def test_a_process_that_is_gone_before_it_is_looked_at_ends_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its watchers were killed with it: nobody would tell, and a stop would wait for ever."""
    monkeypatch.setattr("compose_lite.runtime.client._NOTICE_SECONDS", 0.01)

    async def scenario() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        heard: asyncio.Queue[ExitNotice] = asyncio.Queue()
        with theirs:
            runtime = Runtime(ours, tmp_path / "exits.sock")
            runtime.on_exit = heard.put_nowait
            runtime._known["c"] = _Known(tmp_path)
            runtime._learn("c", os.getpid(), 1, 1, 1)  # another process of that number
            notice = await asyncio.wait_for(heard.get(), 10)
            assert (notice.id, notice.status, notice.seen) == ("c", 255, False)
            runtime.close()

    asyncio.run(scenario())


def test_a_mould_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """Its children are ours, and each says itself that it is there."""

    def become(request: int, fds: list[int]) -> NoReturn:
        os.write(fds[0], messages.whole_file(request))
        os._exit(7)

    others = moulds()
    mould = Mould(become, lambda kept: None)
    reading, writing = os.pipe()
    try:
        for word in (b"one", b"two"):
            pid = mould.fork(word, [writing])
            assert os.read(reading, 10) == word
            assert os.waitpid(pid, 0)[1] == 7 << 8
            (alive,) = moulds() - others
            os.kill(alive, signal.SIGKILL)
            os.waitpid(alive, 0)
    finally:
        mould.close()
        os.close(reading)
        os.close(writing)


def moulds() -> set[int]:
    """Our children of that name, dead ones too."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "cl-mould"}
