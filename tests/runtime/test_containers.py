"""Containers on the real kernel: what the runtime promises the engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from compose_lite.linux import pidfd
from compose_lite.runtime.answers import StartFailed
from compose_lite.runtime.client import UNKNOWN, Runtime
from compose_lite.runtime.lines import open_zygote
from tests.runtime.bundles import Rig, rig

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def on_kernel(test: Callable[[Rig], Awaitable[None]], folder: Path) -> None:
    async def whole() -> None:
        async with rig(folder) as made:
            await test(made)

    asyncio.run(whole())


def text(log: bytes, stream: str = "stdout") -> str:
    return "".join(one["log"] for one in map(json.loads, log.splitlines()) if one["stream"] == stream)


def test_runs_logs_and_ends(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        status, log = await r.run_to_end(r.launch("sh", "-c", "echo out; echo err >&2; hostname; exit 3"))
        assert (status, text(log), text(log, "stderr")) == (3, "out\nbox\n", "err\n")
        status, _ = await r.run_to_end(r.launch("sh", "-c", "kill -9 $$; sleep 1; exit 1"))
        assert status == 1  # a signal from inside does not reach pid 1
        assert not list((r.run / "c").iterdir())
        assert not [one for one in Path("/sys/fs/cgroup").glob("*/compose-lite-test/*") if one.is_dir()]

    on_kernel(test, tmp_path)


def test_nothing_of_ours_is_inside(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        script = (
            "ls /proc/self/fd | busybox wc -l; cat /proc/1/environ | busybox wc -c; "
            "grep -E '^(Sig(Blk|Ign)|Cap...|NoNewPrivs)' /proc/self/status; umask"
        )
        (r.root / "bin/grep").symlink_to("busybox")
        status, log = await r.run_to_end(r.launch("sh", "-c", script))
        lines = text(log).split("\n")
        assert lines[0].strip() == "4"  # 0, 1, 2 and ls's own
        assert lines[1].strip() == str(len("PATH=/bin") + len("HOME=/root") + 2)
        found = dict(line.split(":\t") for line in lines[2:-2])
        assert found["SigBlk"] == found["SigIgn"] == "0" * 16
        assert found["CapBnd"] == found["CapEff"] == found["CapPrm"] == "00000000a80425fb"
        assert found["CapInh"] == found["CapAmb"] == "0" * 16
        assert lines[-2] == "0022"
        assert status == 0

    on_kernel(test, tmp_path)


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["nothing"], 127, 'exec: "nothing": executable file not found in $PATH'),
        (["/no/thing"], 127, 'exec: "/no/thing": stat /no/thing: no such file or directory'),
        (["/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
        (["/etc"], 126, 'exec: "/etc": is a directory: permission denied'),
    ],
)
def test_what_cannot_be_started(tmp_path: Path, args: list[str], status: int, says: str) -> None:
    async def test(r: Rig) -> None:
        launch = r.launch(*args)
        await r.runtime.create(launch)
        with pytest.raises(StartFailed) as caught:
            await r.runtime.start(launch.id)
        assert (caught.value.exit_status, caught.value.says) == (status, says)

    on_kernel(test, tmp_path)


def test_create_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        launch = r.launch("true", mounts=[{"destination": "/x", "source": "/no/such", "options": ["rbind"]}])
        with pytest.raises(StartFailed, match='error mounting "/no/such" to rootfs at "/x"'):
            await r.runtime.create(launch)
        inside_proc = r.launch("true", mounts=[{"destination": "/proc/1", "source": "/etc", "options": ["rbind"]}])
        with pytest.raises(StartFailed, match="inside /proc"):
            await r.runtime.create(inside_proc)
        assert not [one for one in Path("/sys/fs/cgroup").glob("*/compose-lite-test/*") if one.is_dir()]

    on_kernel(test, tmp_path)


def test_exec(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        launch = r.launch("sleep", "60")
        await r.runtime.create(launch)
        await r.runtime.start(launch.id)
        reading, writing = os.pipe()
        process = {**launch.config["process"], "args": ["sh", "-c", "echo $0 $$; hostname; ps | head -2; exit 5"]}
        null = os.open("/dev/null", os.O_RDONLY)
        started = await r.runtime.exec(launch.id, "e1", process, fds=(null, writing, writing))
        os.close(writing)
        os.close(null)
        assert started.pid > 0 and started.tty is None
        assert (await r.ended(launch.id, "e1")).status == 5
        output = os.read(reading, 4096).decode()
        os.close(reading)
        assert "box" in output and "sleep 60" in output
        with pytest.raises(StartFailed) as caught:
            await r.runtime.exec(launch.id, "e2", {**process, "args": ["nothing"]})
        assert caught.value.exit_status == 127
        groups = r.runtime.group(launch.id)
        assert groups.processes()
        groups.freeze(True)
        async with asyncio.timeout(10):
            while not groups.frozen():
                await asyncio.sleep(0.002)
        groups.freeze(False)
        r.runtime.kill(launch.id, signal.SIGKILL)
        assert (await r.ended(launch.id)).status == 137

    on_kernel(test, tmp_path)


def test_terminals(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        (r.root / "bin/[").symlink_to("busybox")
        script = "tty; stty size; [ -c /dev/console ] && read a && echo got $a"
        launch = r.launch("sh", "-c", script, tty=True, console=(33, 99), stdin="open")
        await r.runtime.create(launch)
        attached = await r.runtime.attach(launch.id)
        await r.runtime.start(launch.id)
        seen = b""
        while b"33 99" not in seen:
            piece = await attached.read()
            assert piece is not None
            seen += piece[1]
        assert b"/dev/pts/0\r\n" in seen
        await attached.write(b"word\n")
        while piece := await attached.read():
            seen += piece[1]
        assert b"got word\r\n" in seen
        attached.close()
        assert (await r.ended(launch.id)).status == 0
        second = r.launch("sleep", "60")
        await r.runtime.create(second)
        await r.runtime.start(second.id)
        process = {**second.config["process"], "args": ["sh", "-c", "tty; stty size"]}
        started = await r.runtime.exec(second.id, "t", process, tty=True, console=(12, 34))
        await r.ended(second.id, "t")
        assert started.tty is not None
        assert os.read(started.tty, 100) == b"/dev/pts/0\r\n12 34\r\n"
        os.close(started.tty)

    on_kernel(test, tmp_path)


def test_an_end_does_not_wait_for_a_slow_client(tmp_path: Path) -> None:
    """With more in socket and pipe than the socket holds alone: the end is told, all of it is in the log, then the client gets it."""

    async def test(r: Rig) -> None:
        launch = r.launch("busybox", "dd", "if=/dev/zero", "bs=240000", "count=1", "status=none")
        await r.runtime.create(launch)
        attached = await r.runtime.attach(launch.id)
        await r.runtime.start(launch.id)
        await r.ended(launch.id, seconds=4)
        assert len(text(r.log(launch.id))) == 240_000
        got = 0
        while piece := await attached.read():
            got += len(piece[1])
        assert got == 240_000
        attached.close()
        await r.runtime.delete(launch.id)

    on_kernel(test, tmp_path)


def test_stdin_and_back_pressure(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        launch = r.launch("cat", stdin="once")
        await r.runtime.create(launch)
        attached = await r.runtime.attach(launch.id)
        await r.runtime.start(launch.id)
        sent = bytes(range(256)) * 4096

        async def feed() -> None:
            await attached.write(sent)
            await attached.close_stdin()

        feeding = asyncio.create_task(feed())
        await asyncio.sleep(0.1)  # everything is full by now
        got = b""
        while piece := await attached.read():
            got += piece[1]
        await feeding
        attached.close()
        assert got == sent
        assert (await r.ended(launch.id)).status == 0

    on_kernel(test, tmp_path)


def test_init_reaps_and_forwards(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        launch = r.launch("sh", "-c", "trap 'exit 7' TERM; (true &) ; echo up; while :; do sleep 0.05; done", init=True)
        await r.runtime.create(launch)
        await r.runtime.start(launch.id)
        while b"up" not in r.log(launch.id):
            await asyncio.sleep(0.01)
        r.runtime.kill(launch.id, signal.SIGTERM)
        assert (await r.ended(launch.id)).status == 7
        status, _ = await r.run_to_end(r.launch("sh", "-c", "kill -9 $$", init=True))
        assert status == 137

    on_kernel(test, tmp_path)


def test_limits_and_oom(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        resources = {"memory": {"limit": 16 << 20}, "pids": {"limit": 20}, "cpu": {"quota": 50_000, "period": 100_000, "shares": 512}}
        launch = r.launch("sh", "-c", "x=$(yes | head -c 100000000); echo survived", linux={"resources": resources})
        created = await r.runtime.create(launch)
        assert not [one for one in created.unmet if "swap" not in one]
        await r.runtime.start(launch.id)
        stats = r.runtime.group(launch.id).stats()
        assert stats["memory"]["limit"] == 16 << 20 and stats["pids"]["limit"] == 20
        notice = await r.ended(launch.id)
        assert notice.status == 137 and notice.oom_killed

    on_kernel(test, tmp_path)


def test_late_mounts_and_hidden_paths(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        volume = tmp_path / "volume"
        launch = r.launch(
            "sh", "-c", "cat /v/file; ls /etc /tmp; cat /home/file; cat /root/x /tmp/x",
            mounts=[{"destination": place, "source": str(volume), "options": ["rbind", "ro"]} for place in ("/v", "/home")],
            mounts_at_create=7,
            hide=["/home", "/root", "/tmp", "/etc/passwd", "/none"],
        )  # fmt: skip
        (r.root / "root/x").write_text("secret")
        (r.root / "home").mkdir()
        await r.runtime.create(launch)
        volume.mkdir()
        (volume / "file").write_text("late\n")
        await r.runtime.start(launch.id)
        assert (await r.ended(launch.id)).status == 1
        said = text(r.log(launch.id))
        assert said.startswith("late\n") and said.count("late\n") == 2, "what is mounted late lies above what is hidden"
        assert "secret" not in text(r.log(launch.id))

    on_kernel(test, tmp_path)


def test_user_namespace(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        for path in (tmp_path.parent.parent, tmp_path.parent, tmp_path, r.root, *r.root.rglob("*")):
            os.chmod(path, 0o755, follow_symlinks=True)
        maps = [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
        kinds = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network", "user")]
        linux = {"namespaces": kinds, "uidMappings": maps, "gidMappings": maps}
        launch = r.launch("sh", "-c", "id; cat /proc/self/uid_map; echo x > /dev/null", linux=linux)
        for part in ("upper", "work"):
            os.chown(tmp_path / launch.id / part, 100_000, 100_000)
        os.chmod(tmp_path / launch.id, 0o755)
        os.chmod(r.run, 0o755)
        status, log = await r.run_to_end(launch)
        assert status == 0, log
        assert text(log).split()[:1] == ["uid=0(root)"] and "100000" in text(log)

    on_kernel(test, tmp_path)


def test_the_engine_dies_and_comes_back(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        launch = r.launch("sleep", "60")
        await r.runtime.create(launch, {"keep:dns": theirs.fileno()})
        theirs.close()
        await r.runtime.start(launch.id)
        short = r.launch("sh", "-c", "sleep 0.2; exit 9")
        await r.runtime.create(short)
        await r.runtime.start(short.id)
        r.runtime.close()
        await asyncio.sleep(0.5)
        r.connect()
        found = {one.id: one for one in await r.runtime.adopt(sorted((r.run / "c").iterdir()))}
        assert found[short.id].state == "exited" and found[short.id].exit is not None and found[short.id].exit.status == 9
        assert found[launch.id].state == "running" and found[launch.id].monitor_pid > 0
        ours.send(b"still there")
        kept = socket.socket(fileno=found[launch.id].keep["dns"])
        assert kept.recv(100) == b"still there"
        kept.close()
        ours.close()
        r.runtime.kill(launch.id, signal.SIGTERM)
        r.runtime.kill(launch.id, signal.SIGKILL)
        assert (await r.ended(launch.id)).status == 137

    on_kernel(test, tmp_path)


def test_a_killed_monitor_is_replaced(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        launch = r.launch("sh", "-c", "i=0; while [ $i -lt 15 ]; do echo $i; i=$((i+1)); sleep 0.1; done; exit 4")
        (r.root / "bin/[").symlink_to("busybox")
        created = await r.runtime.create(launch)
        await r.runtime.start(launch.id)
        await asyncio.sleep(0.3)
        os.kill(created.monitor_pid, signal.SIGKILL)
        notice = await r.ended(launch.id)
        assert notice.status == 4
        assert text(r.log(launch.id)) == "".join(f"{n}\n" for n in range(15))

    on_kernel(test, tmp_path)


def test_the_zygote_dies(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        go = tmp_path / "go"
        wait = f"while ! [ -e {go} ]; do sleep 0.05; done"
        bind = {"destination": str(tmp_path), "type": "bind", "source": str(tmp_path), "options": ["rbind"]}
        launch = r.launch("sh", "-c", f"{wait}; echo late; exit 6", mounts=[bind])
        await r.runtime.create(launch)
        await r.runtime.start(launch.id)
        lost = asyncio.Event()
        r.runtime.on_lost = lost.set
        sock = open_zygote(r.run)
        sock.send(b'{"op":"hello","v":1,"n":0,"names":[]}\n')
        zygote = json.loads(sock.recv(1000))["pid"]
        sock.close()
        assert pidfd.start_time(zygote)
        process = {"args": ["sh", "-c", wait], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        await r.runtime.exec(launch.id, "an exec", process)
        os.kill(zygote, signal.SIGKILL)
        await asyncio.wait_for(lost.wait(), 5)
        r.runtime.reconnect(open_zygote(r.run))
        status, _ = await r.run_to_end(r.launch("true"))
        assert status == 0
        go.touch()
        assert (await r.ended(launch.id)).status == 6
        assert text(r.log(launch.id)) == "late\n"
        notice = await r.ended(launch.id, "an exec")  # nobody could see how
        assert (notice.status, notice.seen) == (UNKNOWN, False)

    on_kernel(test, tmp_path)


@pytest.mark.parametrize("monitor_first", [True, False])
def test_a_monitor_and_its_container_are_killed_at_once(tmp_path: Path, monitor_first: bool) -> None:
    async def test(r: Rig) -> None:
        for pause in (0, 0, 0.0003, 0.002):
            launch = r.launch("sh", "-c", "echo words; exec sleep 60")
            made = await r.runtime.create(launch)
            await r.runtime.start(launch.id)
            pids = [made.monitor_pid, made.pid] if monitor_first else [made.pid, made.monitor_pid]
            os.kill(pids[0], signal.SIGKILL)
            await asyncio.sleep(pause)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[1], signal.SIGKILL)
            notice = await r.ended(launch.id)
            assert notice.status == 137 or not notice.seen  # the monitor may have reaped it and not have told
            await r.runtime.delete(launch.id)

    on_kernel(test, tmp_path)


def test_spawn_and_connect(tmp_path: Path) -> None:
    async def test(r: Rig) -> None:
        ours, theirs = socket.socketpair()
        ended: list[tuple[int, int]] = []
        r.runtime.on_spawn_exit = lambda pid, status: ended.append((pid, status))
        pid = await r.runtime.spawn("compose_lite.ids", [theirs.fileno()])  # has no main: ends with an error, and says so
        theirs.close()
        ours.close()
        for _ in range(500):
            if ended:
                break
            await asyncio.sleep(0.01)
        assert ended and ended[0][0] == pid
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        await r.runtime.connect(other)
        other.close()
        second = Runtime(one, r.run / "second.sock")
        launch = r.launch("true")
        await second.create(launch)
        await second.start(launch.id)
        await second.delete(launch.id)
        second.close()

    on_kernel(test, tmp_path)


@pytest.mark.parametrize("place", ["proc", "sys"])
def test_an_image_cannot_lead_proc_or_sys_elsewhere(tmp_path: Path, place: str) -> None:
    async def test(r: Rig) -> None:
        (r.root / place).symlink_to("/tmp")
        with pytest.raises(StartFailed, match=f"must be mounted on an ordinary folder: /{place} is a link"):
            await r.run_to_end(r.launch("true"))

    on_kernel(test, tmp_path)
