"""A worker whose front was killed before it could be told anything: it ends, and says nothing."""

from __future__ import annotations

import array
import os
import socket
import sys

import pytest

from compose_lite import handoff
from compose_lite.cli.worker import _begin

REQUEST = handoff.pack({"v": handoff.STAMP, "mnt": "m", "argv": ["ps"], "prog": "x", "cwd": "/", "env": {}, "umask": 0o22, "rlimits": []})


@pytest.mark.parametrize("sent", [0, 3, len(REQUEST) - 1, len(REQUEST)])
def test_a_front_that_is_gone(sent: int) -> None:
    front, worker = socket.socketpair()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            front.close()
            os.dup2(writing, 2)
            os.close(writing)
            os.set_inheritable(2, True)
            _begin(worker, "m", stale=False)
        finally:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(1)
    os.close(writing)
    worker.close()
    if sent:
        fds = array.array("i", [0, 1, 2])
        front.sendmsg([REQUEST[:sent]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    front.close()
    with open(reading) as said:
        assert said.read() == ""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 137
