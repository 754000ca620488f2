"""What a monitor does at a container's end."""

import json
import socket
import threading
import time
from pathlib import Path

from compose_lite.linux import unix
from compose_lite.runtime import monitor


def test_many_ends_at_once_wait_without_a_processor(tmp_path: Path) -> None:
    """The engine's socket holds ten messages: who finds it full sleeps until there is room, as fifty containers of a `down` do."""
    engine = socket.socket(fileno=unix.listen(str(tmp_path / "exits.sock"), socket.SOCK_DGRAM).detach())
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    filled = 0
    try:
        while True:
            filler.sendto(b"another", str(tmp_path / "exits.sock"))
            filled += 1
    except BlockingIOError:
        pass
    state = {"id": "a" * 64, "pid": 7, "cgroup": {"version": 1, "paths": {}, "unified": ""}, "notify": str(tmp_path / "exits.sock")}
    used = []

    def end() -> None:
        before = time.thread_time()
        monitor.record_exit(str(tmp_path), state, 3)
        used.append(time.thread_time() - before)

    ending = threading.Thread(target=end)
    ending.start()
    time.sleep(0.5)
    assert json.loads((tmp_path / "exit.json").read_bytes())["status"] == 3
    assert ending.is_alive()
    said = [engine.recv(1 << 16) for _ in range(filled)]
    assert set(said) == {b"another"} and json.loads(engine.recv(1 << 16))["pid"] == 7
    ending.join(5)
    assert used and used[0] < 0.1
    engine.close()
    filler.close()
