"""In the guest, with systemd as PID 1: the group that it gives us, the limits in it, and what comes again after a reboot.

    python tests/vm/suite.py --part systemd

Each case by root and by `person`, an ordinary user who logs in by PAM and lingers (inside.sh made them). The machine is booted twice;
GUEST_BOOT is the number of the boot, and a case says with `boot` in which one it runs.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

BOOT = int(os.environ.get("GUEST_BOOT") or 0)
WHO = ("root", "person")
SCOPE = {
    "root": "/system.slice/compose-lite.scope",
    "person": "/user.slice/user-1000.slice/user@1000.service/app.slice/compose-lite.scope",
}
LIMITS = "for f in memory.max cpu.max pids.max; do cat /sys/fs/cgroup/$f; done"
GIVEN = "--memory 64m --cpus 0.5 --pids-limit 50"
pytestmark = pytest.mark.skipif(not BOOT, reason="runs in the guest: tests/vm/suite.py --part systemd")


def boot(number: int) -> pytest.MarkDecorator:
    return pytest.mark.skipif(number != BOOT, reason=f"of boot {number}")


def as_one(who: str, command: str, *, check: bool = True, login: bool = True) -> subprocess.CompletedProcess[str]:
    """The command by a shell of a login (su(1), PAM), or of nobody's session."""
    if who == "root":
        argv = ["sh", "-c", command]
    elif login:
        argv = ["su", "-l", "-c", command, who]
    else:
        uid = subprocess.run(["id", "-u", who], capture_output=True, text=True, check=True).stdout.strip()
        argv = ["setpriv", "--reuid", uid, "--regid", uid, "--init-groups", "--reset-env", "sh", "-c", command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    if check and done.returncode:
        pytest.fail(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def run(who: str, options: str, command: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return as_one(who, f"compose-lite container run --rm {options} busybox sh -c {shlex.quote(command)}", **how)


def inspect(who: str, name: str) -> Any:
    return json.loads(as_one(who, f"compose-lite container inspect {name}").stdout)[0]


def own_group(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


def engine_pid(who: str) -> int:
    return int(json.loads(as_one(who, "compose-lite engine status --format json").stdout)["Pid"])


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_limits_are_kept(who: str) -> None:
    done = run(who, GIVEN, LIMITS)
    assert done.stdout.split("\n")[:3] == [str(64 << 20), "50000 100000", "50"]
    assert done.stderr == ""


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_engine_and_containers_stand_in_a_scope_of_ours(who: str) -> None:
    as_one(who, "compose-lite container run -d --name placed busybox sleep 600")
    found = inspect(who, "placed")
    assert own_group(found["State"]["Pid"]) == f"{SCOPE[who]}/compose-lite/{found['Id']}"
    assert own_group(engine_pid(who)) == f"{SCOPE[who]}/compose-lite-engine"
    as_one(who, "compose-lite container rm -f placed")


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_an_oom_kill_is_seen(who: str) -> None:
    eat = "x=a; while :; do x=$x$x; done"
    done = as_one(who, f"compose-lite container run --name greedy --memory 16m busybox sh -c {shlex.quote(eat)}", check=False)
    state = inspect(who, "greedy")["State"]
    as_one(who, "compose-lite container rm -f greedy")
    assert (done.returncode, state["ExitCode"], state["OOMKilled"]) == (137, 137, True)


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_a_pids_limit_holds(who: str) -> None:
    done = run(who, "--pids-limit 5", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all", check=False)
    assert "can't fork" in done.stderr and "all" not in done.stdout


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_a_cpu_limit_holds(who: str) -> None:
    """The kernel says that the group was held back."""
    done = run(who, "--cpus 0.2", "timeout 3 sh -c 'while :; do :; done'; grep nr_throttled /sys/fs/cgroup/cpu.stat", check=False)
    assert int(done.stdout.split()[1]) > 0


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_a_cpuset_is_kept_or_said_once(who: str) -> None:
    """systemd hands cpuset to no user by itself."""
    done = run(who, "--cpuset-cpus 0 --memory 64m", "cat /sys/fs/cgroup/cpuset.cpus /sys/fs/cgroup/memory.max", check=False)
    assert str(64 << 20) in done.stdout
    assert done.stderr.lower().count("cpuset discarded") == (who == "person")


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_pause_uses_the_freezer(who: str) -> None:
    as_one(who, "compose-lite container run -d --name frozen busybox sleep 600")
    as_one(who, "compose-lite container pause frozen")
    found = inspect(who, "frozen")
    events = Path(f"/sys/fs/cgroup{own_group(found['State']['Pid'])}/cgroup.events").read_text()
    as_one(who, "compose-lite container rm -f frozen")
    assert "frozen 1" in events and found["State"]["Paused"]


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_a_reload_of_systemd_takes_no_limit_away(who: str) -> None:
    as_one(who, f"compose-lite container run -d --name kept {GIVEN} busybox sleep 600")
    as_one("root", "systemctl daemon-reload")
    if who != "root":
        as_one(who, "systemctl --user daemon-reload")
    after = as_one(who, f"compose-lite container exec kept sh -c {shlex.quote(LIMITS)}").stdout.split("\n")
    as_one(who, "compose-lite container rm -f kept")
    assert after[:3] == [str(64 << 20), "50000 100000", "50"]
    assert run(who, GIVEN, LIMITS).stdout.split("\n")[:3] == after[:3]


@boot(1)
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_the_next_engine_joins_the_scope_of_its_containers(who: str, end: str) -> None:
    as_one(who, "compose-lite container run -d --name stays busybox sleep 600")
    before = inspect(who, "stays")["State"]["Pid"]
    if end == "killed":
        os.kill(engine_pid(who), 9)
    else:
        as_one(who, "compose-lite engine stop")
    assert inspect(who, "stays")["State"]["Pid"] == before
    assert own_group(engine_pid(who)) == f"{SCOPE[who]}/compose-lite-engine"
    limits = run(who, GIVEN, LIMITS).stdout.split("\n")[:3]
    as_one(who, "compose-lite container rm -f stays")
    assert limits == [str(64 << 20), "50000 100000", "50"]


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_after_the_last_process_the_scope_is_gone(who: str) -> None:
    as_one(who, "compose-lite engine stop")
    for _ in range(100):
        if not Path(f"/sys/fs/cgroup{SCOPE[who]}").exists():
            break
        time.sleep(0.2)
    assert not Path(f"/sys/fs/cgroup{SCOPE[who]}").exists()
    assert not [path for path in Path("/sys/fs/cgroup").iterdir() if path.name.startswith("compose-lite")]
    run(who, "", "true")
    assert Path(f"/sys/fs/cgroup{SCOPE[who]}").exists()


@boot(1)
def test_without_a_systemd_of_the_user_limits_are_said_to_be_lost() -> None:
    """`other` has no session and does not linger."""
    done = run("other", "--memory 64m", "true", login=False)
    assert done.stderr.count("memory limit") == 1
    status = as_one("other", "compose-lite engine status", login=False).stdout
    as_one("other", "compose-lite engine stop", login=False)
    assert "limits of containers cannot be kept: the user's systemd does not run" in status


@boot(1)
def test_without_lingering_a_login_is_said_to_end_containers() -> None:
    status = as_one("other", "compose-lite container run --rm busybox true && compose-lite engine status; compose-lite engine stop").stdout
    assert "containers end with your last login" in status
    assert "containers end with your last login" not in as_one("person", "compose-lite engine status").stdout


PROJECT = """\
name: lasting
services:
  always: {image: busybox, restart: always, command: sleep infinity, stop_grace_period: 1s}
  unless: {image: busybox, restart: unless-stopped, command: sleep infinity, stop_grace_period: 1s}
  always-by-hand: {image: busybox, restart: always, command: sleep infinity, stop_grace_period: 1s}
  unless-by-hand: {image: busybox, restart: unless-stopped, command: sleep infinity, stop_grace_period: 1s}
  never: {image: busybox, command: sleep infinity, stop_grace_period: 1s}
  failure: {image: busybox, restart: on-failure, command: sleep infinity, stop_grace_period: 1s}
  orderly:
    image: busybox
    restart: always
    stop_grace_period: 20s
    command: ["sh", "-c", "trap 'echo in order >>/seen/end; exit 0' TERM; while :; do sleep 0.1; done"]
    volumes: [seen:/seen]
volumes: {seen: {}}
"""


def states(who: str) -> dict[str, str]:
    listed = as_one(who, "compose-lite -p lasting ps -a --format json").stdout
    return {one["Service"]: one["State"] for one in map(json.loads, listed.splitlines())}


@boot(1)
@pytest.mark.parametrize("who", WHO)
def test_an_enabled_engine_and_its_project(who: str) -> None:
    """The last case of boot 1: the next boot looks what came of it."""
    home = as_one(who, "echo $HOME").stdout.strip()
    Path(home, "lasting.yaml").write_text(PROJECT)
    told = as_one(who, "compose-lite engine enable").stdout
    assert "Done." in told
    as_one(who, f"compose-lite -f {home}/lasting.yaml up -d && compose-lite -f {home}/lasting.yaml stop -t 0 always-by-hand unless-by-hand")
    assert sorted(name for name, state in states(who).items() if state != "running") == ["always-by-hand", "unless-by-hand"]


@boot(2)
@pytest.mark.parametrize("who", WHO)
def test_after_a_reboot_runs_what_is_to_run(who: str) -> None:
    """Nobody has given a command yet: the unit has started the engine. A look into the run folder starts none either."""
    engine = Path("/run/compose-lite" if who == "root" else "/run/user/1000/compose-lite", "engine.sock")
    for _ in range(600):
        if engine.exists():
            break
        time.sleep(0.2)
    assert engine.exists(), as_one(who, f"systemctl {'' if who == 'root' else '--user'} status compose-lite", check=False).stdout
    found = states(who)
    running = {name for name, state in found.items() if state == "running"}
    assert running == {"always", "unless", "always-by-hand", "failure", "orderly"}, found


@boot(2)
@pytest.mark.parametrize("who", WHO)
def test_the_machine_went_down_in_order(who: str) -> None:
    """SIGTERM, its grace, and time to write: not the kill at the end of all."""
    home = as_one(who, "echo $HOME").stdout.strip()
    seen = as_one(who, f"compose-lite -f {home}/lasting.yaml exec orderly cat /seen/end", check=False).stdout
    assert seen == "in order\n"


@boot(2)
@pytest.mark.parametrize("who", WHO)
def test_the_unit_stopped_leaves_containers_alone(who: str) -> None:
    systemctl = "systemctl" if who == "root" else "systemctl --user"
    before = inspect(who, "lasting-always-1")["State"]["Pid"]
    as_one(who, f"{systemctl} restart compose-lite.service")
    assert inspect(who, "lasting-always-1")["State"]["Pid"] == before
    as_one(who, f"{systemctl} stop compose-lite.service")
    assert inspect(who, "lasting-always-1")["State"]["Pid"] == before


@boot(2)
@pytest.mark.parametrize("who", WHO)
def test_disable_takes_it_back(who: str) -> None:
    told = as_one(who, "compose-lite engine disable").stdout
    systemctl = "systemctl" if who == "root" else "systemctl --user"
    listed = as_one(who, f"{systemctl} list-unit-files compose-lite.service", check=False).stdout
    home = as_one(who, "echo $HOME").stdout.strip()
    as_one(who, f"compose-lite -f {home}/lasting.yaml down -v -t 0")
    assert "Done." in told and "compose-lite.service" not in listed
