"""The engine's side of the runtime: asks the zygote for containers and execs, talks to their monitors, hears of their ends.

Never blocks the event loop and never owns a container: everything here can be made again after the engine was killed
(`adopt`). Identity is (boot id, pid, start time), held by a pidfd.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal as signals
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose_lite.errors import ContainerError
from compose_lite.linux import cgroups, pidfd, unix
from compose_lite.runtime import messages
from compose_lite.runtime.answers import Adopted, Created, ExecStarted, ExitNotice
from compose_lite.runtime.attachment import Attachment
from compose_lite.runtime.config import Launch
from compose_lite.runtime.lines import ZygoteLine, hear, talk
from compose_lite.runtime.removing import command, kill_and_wait, remove_bundle, remove_group
from compose_lite.runtime.waiting import ended

NOTE = 10_000  # letters of a log line for a monitor that go in one message
UNKNOWN = 255
_NOTICE_SECONDS = 1.0  # a process is gone: so long its monitor may take to tell


@dataclass(slots=True)
class _Known:
    bundle: Path
    pid: int = 0
    start_time: int = 0
    monitor_pid: int = 0
    monitor_start_time: int = 0
    pidfd: int = -1
    told: bool = False  # its end was reported
    early: ExitNotice | None = None  # heard before we knew its process
    runtime: str = ""


class Runtime:
    """All calls of one engine (or build process) to one zygote; made inside a running event loop.

    exits: the path of the datagram socket on which monitors report; a fixed one for the engine, so that they still find
    the next engine, and one of its own for any other process.
    """

    def __init__(self, sock: socket.socket, exits: Path) -> None:
        self.on_exit: Callable[[ExitNotice], None] = lambda notice: None
        self.on_spawn_exit: Callable[[int, int], None] = lambda pid, status: None
        self.on_lost: Callable[[], None] | None = None  # the zygote is dead; containers run on: `reconnect`
        self._loop = asyncio.get_running_loop()
        self._zygote = ZygoteLine(sock, self._hear_zygote, self._lose_zygote, lambda: self.on_lost is not None)
        self._exits_path = exits
        self._exits = socket.socket(fileno=unix.listen(str(exits), socket.SOCK_DGRAM).detach())
        self._known: dict[str, _Known] = {}
        self._execs: dict[str, tuple[str, int, int]] = {}  # running execs: container, pid, start time
        self._watches: set[asyncio.Task[None]] = set()
        self._filters: list[tuple[Mapping[str, Any], str]] = []
        self._exits.setblocking(False)
        self._loop.add_reader(self._exits.fileno(), self._hear_exits)

    def close(self) -> None:
        """Leaves zygote, monitors and containers alone."""
        self._zygote.close()
        if self._exits.fileno() >= 0:
            self._loop.remove_reader(self._exits.fileno())
            self._exits.close()
            with contextlib.suppress(FileNotFoundError):
                self._exits_path.unlink()
        for watch in self._watches:
            watch.cancel()
        for known in self._known.values():
            self._forget(known)

    def reconnect(self, sock: socket.socket) -> None:
        """Goes on with another zygote (`open_zygote`) after `on_lost`; all that is known of containers stays."""
        self._zygote.reconnect(sock)

    async def reconnected(self) -> bool:
        """After a loss: whether there is another zygote; waits for it."""
        return await self._zygote.reconnected()

    # Containers

    async def create(self, launch: Launch, fds: Mapping[str, int] | None = None) -> Created:
        """Namespaces, cgroup, root file system and the first mounts; the process then waits for `start`.

        fds: descriptors that the config names as `fd:<name>`, and `keep:<name>` ones that the monitor holds for `adopt`.
        Raises StartFailed; nothing but the bundle folder is left then.
        """
        bundle = Path(launch.bundle)
        own_users = any(one["type"] == "user" for one in (launch.config.get("linux") or {}).get("namespaces") or ())
        bundle.mkdir(mode=0o711 if own_users else 0o700, parents=True, exist_ok=True)  # another user's root has to pass through
        self._known[launch.id] = _Known(bundle)
        document = launch.document() | {"notify": str(self._exits_path)}
        if not launch.runtime:  # another one compiles its filter itself
            document["config"], document["seccomp"] = self._compiled(launch.config)
        names = list(fds or {})
        header = {"op": "create", "id": launch.id, "bundle": launch.bundle, "names": names}
        answer, _ = await self._zygote.ask(header, json.dumps(document).encode(), [fds[name] for name in names] if fds else [])
        made = Created(launch.id, answer["pid"], answer["start"], answer["monitor"], answer["monitor_start"], tuple(answer["unmet"]))
        self._learn(launch.id, made.pid, made.start_time, made.monitor_pid, made.monitor_start_time)
        self._known[launch.id].runtime = launch.runtime
        return made

    def is_waiting(self, created: Created) -> bool:
        """Whether its first process still stands before its gate, as far as can be seen."""
        return pidfd.is_alive(created.pid, created.start_time)

    async def start(self, id: str, mounts: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Lets it go: the late mounts, then execve. Raises StartFailed; the container has then exited (with a notice).

        mounts: in place of the config's late ones; as JSON at most messages.LONGEST bytes. Not for another OCI runtime's containers.
        """
        await self._ask_monitor(id, {"op": "start"} if mounts is None else {"op": "start", "mounts": mounts})

    async def attach(self, id: str, *, stdin: bool = True, output: bool = True) -> Attachment:
        """A stream to the container; made between create and start it misses nothing."""
        sock = await self._connect_monitor(id)
        try:
            await talk(sock, {"op": "attach", "stdin": stdin, "output": output})
        except BaseException:
            sock.close()
            raise
        return Attachment(sock)

    async def note(self, id: str, stream: str, text: str) -> None:
        """Lines of somebody else for the container's log; StartFailed of a monitor that is too old to know this."""
        for start in range(0, len(text), NOTE):
            await self._ask_monitor(id, {"op": "note", "stream": stream, "text": text[start : start + NOTE]})

    async def resize(self, id: str, rows: int, columns: int) -> None:
        """The window size of a container's terminal."""
        await self._ask_monitor(id, {"op": "resize", "rows": rows, "columns": columns})

    def kill(self, id: str, signal: int = signals.SIGKILL) -> None:
        """A signal to the container's first process, and only to that one. ProcessLookupError when it is gone."""
        known = self._known.get(id)
        if known is None or known.pidfd < 0:
            raise ProcessLookupError(3, f"container {id} is not running")
        if known.runtime and signal != signals.SIGKILL:  # the process that we know may stand for others inside
            self._background(command(known.runtime, known.bundle, "kill", id, str(int(signal))))
        else:
            pidfd.send_signal(known.pidfd, signal)

    def group(self, id: str) -> cgroups.Group:
        """The container's cgroup: pause, stats, update, processes."""
        return cgroups.Group.of(_state(self._bundle(id))["cgroup"])

    async def exec(
        self,
        id: str,
        exec_id: str,
        process: Mapping[str, Any],
        *,
        fds: tuple[int, int, int] | None = None,
        tty: bool = False,
        console: tuple[int, int] | None = None,
    ) -> ExecStarted:
        """One more process in a running container: an OCI `process` document.

        fds: its stdin, stdout, stderr (the caller closes its own copies); None: /dev/null, or with `tty` a new terminal of
        the container, whose master end is returned. Raises StartFailed. The end comes by `on_exit` after this returned.
        """
        names = ["0", "1", "2"] if fds and not tty else []
        header = {"op": "exec", "id": id, "exec": exec_id, "bundle": str(self._bundle(id)), "names": names, "tty": tty, "console": console}
        self._execs[exec_id] = (id, 0, 0)  # its end may be heard before its answer is looked at
        try:
            answer, got = await self._zygote.ask_again(header, json.dumps(dict(process)).encode(), list(fds or ()) if names else [])
        except BaseException:
            self._execs.pop(exec_id, None)
            raise
        if exec_id in self._execs:
            self._execs[exec_id] = (id, answer["pid"], answer["start"])
        return ExecStarted(exec_id, answer["pid"], answer["start"], got[0] if got else None)

    async def delete(self, id: str, bundle: Path | None = None) -> None:
        """Kills what is left, removes cgroup and bundle; doing it twice is fine."""
        folder = bundle or self._bundle(id)
        if id not in self._known and not folder.exists():
            return
        with contextlib.suppress(OSError, ValueError, KeyError):
            state = _state(folder)
            await kill_and_wait(state["pid"], state["start"], kill=True)
            await kill_and_wait(state["monitor"], state["monitor_start"], kill=False)
            await remove_group(cgroups.Group.of(state["cgroup"]))
        known = self._known.pop(id, None)
        if known is not None:
            self._forget(known)
        remove_bundle(folder)

    async def adopt(self, bundles: Iterable[Path]) -> list[Adopted]:
        """What became of the containers of an earlier engine; live ones can be used by their id from here on."""
        return [await self._adopt(bundle) for bundle in bundles]

    # The zygote

    async def connect(self, sock: socket.socket) -> None:
        """Makes the other end of this SOCK_SEQPACKET socket one more client of the zygote."""
        await self._zygote.ask_again({"op": "connect", "names": ["client"]}, b"", [sock.fileno()])

    async def spawn(self, module: str, fds: Sequence[int], args: Sequence[str] = ()) -> int:
        """A clean fork of the zygote that runs `module.main(fds, args)`; returns its pid, its end comes by `on_spawn_exit`."""
        header = {"op": "spawn", "module": module, "args": list(args), "names": [str(n) for n in range(len(fds))]}
        answer, _ = await self._zygote.ask_again(header, b"", list(fds))
        return int(answer["pid"])

    async def nest(self, uids: Sequence[Mapping[str, int]], gids: Sequence[Mapping[str, int]], users: int | None = None) -> int:
        """A new network namespace that belongs to a new user namespace with these maps, or to `users`; the caller's to close."""
        ours, theirs = unix.socketpair()
        try:
            maps = json.dumps({"uids": list(uids), "gids": list(gids)})
            await self.spawn("compose_lite.runtime.nest", [theirs.fileno(), *([] if users is None else [users])], [maps])
            theirs.close()
            ours.setblocking(False)
            answer, fds = await hear(ours)
        finally:
            theirs.close()
            ours.close()
        if not fds:
            why = (answer or {}).get("error") or "its maker was killed"
            raise ContainerError("user-namespaces", f"cannot make a user namespace for a container: {why}")
        return fds[0]

    # Inside

    def _compiled(self, config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The config without its seccomp section, and that section as a program (base64), compiled once a section."""
        linux = dict(config.get("linux") or {})
        section = linux.pop("seccomp", None)
        if section is None:
            return {**config, "linux": linux}, ""
        for known, program in self._filters:
            if known == section:
                return {**config, "linux": linux}, program
        from compose_lite.linux import seccomp  # the call tables are only needed where a new filter is compiled

        program = seccomp.compile_base64(section)
        self._filters = [(section, program), *self._filters[:15]]
        return {**config, "linux": linux}, program

    def _bundle(self, id: str) -> Path:
        known = self._known.get(id)
        if known is None:
            raise ContainerError("container-unknown", f"the runtime knows no container {id}")
        return known.bundle

    def _learn(self, id: str, pid: int, start_time: int, monitor_pid: int, monitor_start_time: int) -> None:
        known = self._known[id]
        known.pid, known.start_time, known.monitor_pid, known.monitor_start_time = pid, start_time, monitor_pid, monitor_start_time
        if known.early:
            self._loop.call_soon(self._tell, known.early)
        try:
            known.pidfd = pidfd.open_same(pid, start_time)
        except ProcessLookupError:  # it has ended already
            self._loop.call_later(_NOTICE_SECONDS, self._check_end, id, known)
        else:
            self._loop.add_reader(known.pidfd, self._saw_end, id, known)

    # The end that nobody reports, as both monitor and zygote were killed

    def _saw_end(self, id: str, known: _Known) -> None:
        self._loop.remove_reader(known.pidfd)
        self._loop.call_later(_NOTICE_SECONDS, self._check_end, id, known)

    def _check_end(self, id: str, known: _Known) -> None:
        if known.told or self._known.get(id) is not known:
            return
        with contextlib.suppress(OSError, ValueError, KeyError):
            state = _state(known.bundle)
            if pidfd.start_time(state["monitor"]) == state["monitor_start"]:  # it still writes the last of the output
                self._loop.call_later(_NOTICE_SECONDS, self._check_end, id, known)
                return
        found = _exit_file(known.bundle)
        if found is None and pidfd.start_time(known.pid) == known.start_time:
            found = _unreaped(id, known.pid)
        self._tell(found or ExitNotice(id, None, UNKNOWN, False, time.time_ns(), seen=False))

    async def _watch_exec(self, exec_id: str) -> None:
        """Of an exec that a killed zygote had started: only that it has ended can be seen."""
        id, pid, start_time = self._execs.get(exec_id, ("", 0, 0))
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            fd = pidfd.open_same(pid, start_time)
            try:
                while not await ended(fd, 3600):
                    pass
            finally:
                os.close(fd)
        self._tell(ExitNotice(id, exec_id, UNKNOWN, False, time.time_ns(), seen=False))

    def _tell(self, notice: ExitNotice) -> None:
        """Once for each end, whoever reports it; the end of an earlier process of the same container is none of this one's."""
        if notice.exec_id is not None:
            self._execs.pop(notice.exec_id, None)
        elif known := self._known.get(notice.id):
            if notice.pid and not known.pid:
                known.early = notice
                return
            if known.told or (notice.pid and notice.pid != known.pid):
                return
            known.told = True
        self.on_exit(notice)

    def _forget(self, known: _Known) -> None:
        if known.pidfd >= 0:
            self._loop.remove_reader(known.pidfd)
        _close(known)

    def _hear_zygote(self, found: dict[str, Any]) -> None:
        if "exit" in found:
            self._tell(_notice(found["exit"]))
        elif "spawn_exit" in found:
            self.on_spawn_exit(found["spawn_exit"], found["status"])

    def _lose_zygote(self) -> None:
        for exec_id in self._execs:
            self._background(self._watch_exec(exec_id))
        if self.on_lost:
            self.on_lost()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    def _hear_exits(self) -> None:
        while True:
            try:
                data = self._exits.recv(1 << 16)
            except OSError:
                return
            with contextlib.suppress(ValueError, KeyError):
                self._tell(_notice(json.loads(data)))

    async def _connect_monitor(self, id: str) -> socket.socket:
        path = str(self._bundle(id) / "ctl")
        try:
            sock = socket.socket(fileno=unix.connect(path).detach())
        except OSError as error:
            raise ContainerError("monitor-gone", f"container {id} has no monitor any more: {error.strerror}") from error
        sock.setblocking(False)
        return sock

    async def _ask_monitor(self, id: str, message: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        sock = await self._connect_monitor(id)
        try:
            return await talk(sock, message)
        finally:
            sock.close()

    async def _adopt(self, bundle: Path) -> Adopted:
        id = bundle.name
        if id in self._known:
            self._forget(self._known[id])
        self._known[id] = _Known(bundle)
        try:
            state = _state(bundle)
        except (OSError, ValueError):
            return Adopted(id, bundle, "lost", exit=_exit_file(bundle))
        ended = _exit_file(bundle)
        alive = state["boot"] == pidfd.boot_id() and pidfd.start_time(state["pid"]) == state["start"]
        if ended is None and alive and pidfd.is_zombie(state["pid"]):
            alive, ended = False, _unreaped(id, state["pid"])
        if ended is not None or not alive:
            return Adopted(id, bundle, "exited" if ended else "lost", exit=ended)
        self._learn(id, state["pid"], state["start"], state["monitor"], state["monitor_start"])
        self._known[id].runtime = str(state.get("runtime") or "")
        keep: dict[str, int] = {}
        monitor, phase = state["monitor"], "running"
        try:
            answer, fds = await self._ask_monitor(id, {"op": "adopt"})
            keep, phase, monitor = dict(zip(answer["keep"], fds, strict=True)), answer["state"], answer["monitor"]
        except ContainerError:
            monitor = 0
        return Adopted(id, bundle, "created" if phase == "created" else "running", state["pid"], state["start"], monitor, keep)


def _notice(found: Mapping[str, Any]) -> ExitNotice:
    seen, pid = bool(found.get("seen", True)), int(found.get("pid") or 0)
    return ExitNotice(found["id"], found.get("exec"), found["status"], bool(found.get("oom")), found["at"], seen, pid)


def _state(bundle: Path) -> dict[str, Any]:
    return messages.decode((bundle / "state.json").read_bytes())


def _exit_file(bundle: Path) -> ExitNotice | None:
    try:
        return _notice({"id": bundle.name} | messages.decode((bundle / "exit.json").read_bytes()))
    except (OSError, ValueError, KeyError):
        return None


def _unreaped(id: str, pid: int) -> ExitNotice | None:
    """Of a process whose monitor and zygote were killed: what the kernel still knows."""
    status = pidfd.zombie_status(pid)
    return None if status is None else ExitNotice(id, None, status, False, time.time_ns())


def _close(known: _Known) -> None:
    if known.pidfd >= 0:
        os.close(known.pidfd)
        known.pidfd = -1
