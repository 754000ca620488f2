"""The birth of a container, in a process of its own: what reading the request and making the container writes into memory ends with it.

The monitor calls it before it has looked at anything, and gets what it needs for the rest of its life: the first process, which is its own
child all the same (CLONE_PARENT), the ends of its stdio and the state. By another OCI runtime a container is born in the monitor itself,
since that has to be the subreaper of what the runtime starts.

    monitor ──fork──▶ midwife ──clone──▶ init, the monitor's child
       ◀── {"state", "answer", "fds": what each descriptor is} + descriptors; nothing: it has told the client why not
"""

from __future__ import annotations

import _socket
import os
import sys

from compose_lite.linux import unix
from compose_lite.linux.syscall import prctl
from compose_lite.runtime import child, container, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Found = tuple[container.Born | None, dict[str, Any], int]
_SET_PDEATHSIG = 1
_OURSELVES = b"!"  # another runtime's
_OF_THE_STATE = ("id", "pid", "log", "tty", "stdin", "notify", "cgroup")  # what the monitor needs of it


def call(request: int, client: _socket.socket, report: _socket.socket, fds: list[int]) -> Found:
    """The container, the answer that the client waits for (with the `bundle`), and the exit status of a monitor that has none."""
    ours, theirs = unix.socketpair()
    monitor = os.getpid()
    pid = os.fork()
    if pid == 0:
        prctl(_SET_PDEATHSIG, 9)  # a birth without its monitor would go on in the bundle that the next attempt has
        if os.getppid() != monitor:
            os._exit(1)
        _deliver(request, client, report, fds, theirs)
    theirs.close()
    data, got = unix.receive(ours)
    ours.close()
    _, status = os.waitpid(pid, 0)
    if data == _OURSELVES:
        born, answer = _bear(*_read(request, fds), client, report)
        return born, answer, 0
    kept = _take(data, got) if data else None
    for fd in (request, *(fd for fd in fds if kept is None or fd not in kept[0].keep.values())):
        os.close(fd)
    if kept is None:
        return None, {}, 0 if status == 0 else 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else 1
    return *kept, 0


def _deliver(request: int, client: _socket.socket, report: _socket.socket, fds: list[int], sync: _socket.socket) -> None:
    """In the fork, to its end."""
    status = 1
    try:
        header, launch, named = _read(request, fds)
        if launch.get("runtime"):
            sync.send(_OURSELVES)
        else:
            born, answer = _bear(header, launch, named, client, report, os.getppid())
            if born is not None:
                _hand_over(sync, born, answer)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _read(request: int, fds: list[int]) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """The header of the request, the launch, and the descriptors by name."""
    header, body = messages.split(messages.whole_file(request))
    return header, messages.decode(body), dict(zip(header.get("names") or (), fds, strict=True))


def _bear(
    header: dict[str, Any], launch: dict[str, Any], fds: dict[str, int], client: _socket.socket, report: _socket.socket, monitor: int = 0
) -> tuple[container.Born | None, dict[str, Any]]:
    """monitor: its pid when we are not it. None: the client has been told why not."""
    number, bundle = header["n"], header["bundle"]
    try:
        born = _birth(launch)(launch, bundle, fds, monitor)
        container.write_json(bundle, "state.json", born.state)
    except child.StartError as error:
        _refuse(client, report, monitor, number, error.status, error.says)
    except (OSError, ValueError, KeyError) as error:
        says = error.strerror or str(error) if isinstance(error, OSError) else f"{error!r}"
        _refuse(client, report, monitor, number, 128, says)
    else:
        told = {key: born.state[key] for key in ("pid", "start", "monitor", "monitor_start")}
        return born, {**told, "re": number, "unmet": born.unmet, "bundle": bundle}
    return None, {}


def _birth(launch: dict[str, Any]) -> Callable[[dict[str, Any], str, dict[str, int], int], container.Born]:
    """The built-in runtime, or what runs another one; that is imported where it is needed only."""
    if not launch.get("runtime"):
        return container.give_birth
    from compose_lite.runtime import foreign

    return foreign.give_birth


def _refuse(client: _socket.socket, report: _socket.socket, monitor: int, number: int, status: int, says: str) -> None:
    """The zygote first, so that it does not answer for a monitor that ends."""
    unix.send(report, messages.encode({"report": "nothing", "by": monitor or os.getpid(), "pid": 0}))
    try:
        unix.send(client, messages.encode({"re": number, "error": {"status": status, "says": says}}))
    except OSError:
        pass  # the client is gone


def _hand_over(sync: _socket.socket, born: container.Born, answer: dict[str, Any]) -> None:
    found = {
        "state": {key: born.state[key] for key in _OF_THE_STATE},
        "answer": answer,
        "pid": born.pid,
        "helpers": born.helpers,
        "keep": born.keep,  # numbers that are the same in the monitor
        "outputs": list(born.outputs.values()),
        "input": born.inputs >= 0 and born.inputs not in born.outputs,
    }
    unix.send(sync, messages.encode(found), [born.sync.fileno(), *born.outputs, *([born.inputs] if found["input"] else [])])


def _take(data: bytes, fds: list[int]) -> tuple[container.Born, dict[str, Any]]:
    found = messages.decode(data)
    born = container.Born()
    born.state, born.pid, born.keep = found["state"], found["pid"], found["keep"]
    born.sync = _socket.socket(fileno=fds[0])
    born.outputs = dict(zip(fds[1:], found["outputs"], strict=False))
    if found["input"]:
        born.inputs = fds[-1]
    elif born.state["tty"]:
        born.inputs = fds[1]
    for pid in found["helpers"]:
        os.waitpid(pid, 0)
    return born, found["answer"]
