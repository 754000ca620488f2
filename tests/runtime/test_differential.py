"""The same bundle by the built-in runtime, crun and runc: a process inside must see and get the same.

Configs are those that the engine makes of a HostConfig. What differs between crun and runc themselves is left out, with the reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compose_lite.engine import ociconfig
from compose_lite.engine.users import User
from compose_lite.linux import capabilities
from compose_lite.runtime.config import Launch
from tests.engine.made import around, container
from tests.runtime.bundles import Rig, rig

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
OTHERS = [program for name in ("runc", "crun") if (program := shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"))]
HELD = capabilities.names(capabilities.own())

PROBE = """
say() { echo "== $1"; shift; "$@" 2>&1; }
say id id
say umask umask
say cwd pwd
say env env
say hostname hostname
say names cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname
say status grep -E '^(Cap...|NoNewPrivs|Seccomp|Groups|Uid|Gid|Sig(Blk|Ign)|Umask|Speculation_Store_Bypass):' /proc/self/status
say limits cat /proc/self/limits
say oom cat /proc/self/oom_score_adj
say mounts awk '{ o = ""; for (i = 7; i <= NF; i++) if ($i == "-") { k = $(i + 1); s = $(i + 2); o = $(i + 3); break } else p = p " " $i
  if (k == "overlay") { s = ""; o = substr(o, 1, 2) } print $5, $6, k, s, o, p; p = "" }' /proc/self/mountinfo
say dev sh -c 'ls -lnR /dev | sed -E "s/ +/ /g; s/^([^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+) .{12}/\\1/; s/^total .*//"'
say masks sh -c 'for p in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do echo "$p $(head -c 9 $p 2>&1 | wc -c)"; done'
say emptied sh -c 'ls -A /proc/acpi /proc/scsi /sys/firmware'
say readonly sh -c 'for p in /proc/sys/kernel/shmmax /proc/sysrq-trigger /proc/irq/x /sys/x /etc/x /x; do
  echo 1 >$p && echo "$p written"; done'
say cgroup sed -E 's/[0-9a-f]{64}/ID/; s/^[0-9]+://' /proc/self/cgroup
say namespaces sh -c 'for n in /proc/self/ns/*; do
  case " $OUTSIDE " in *" $(readlink $n) "*) echo "$n outside";; *) echo "$n own";; esac; done'
say fds ls /proc/self/fd
say denied sh -c 'unshare -n true; umount /proc; dmesg | head -c 1 | wc -c; chroot / true && echo chroot; mknod /tmp/n b 8 0 && cat /tmp/n'
say sysctl sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/core/somaxconn'
say files stat -c '%n %F %a %u %g %s' /etc/hosts /etc/hostname /etc/resolv.conf /tmp/made /tmp/made/here
say memory sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max
  cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max'
say devices sh -c 'sort /sys/fs/cgroup/devices/devices.list'
say tty tty
"""
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "user": {"user": User(1000, 1001, (1001, 5, 2000)), "config": {"WorkingDir": "/tmp/made/here"}},
    "capabilities": {"host": {"CapDrop": ["ALL"], "CapAdd": ["NET_ADMIN", "SYS_PTRACE"], "SecurityOpt": ["no-new-privileges"]}},
    "administrator": {"host": {"CapAdd": ["SYS_ADMIN"]}},
    "unconfined": {"host": {"SecurityOpt": ["seccomp=unconfined"], "MaskedPaths": [], "ReadonlyPaths": []}},
    "read-only": {"host": {"ReadonlyRootfs": True, "Tmpfs": {"/run": ""}}},
    "privileged": {"host": {"Privileged": True, "CgroupnsMode": "host"}},
    "limits": {
        "host": {
            "Memory": 64 << 20, "PidsLimit": 50, "CpuShares": 512, "CpuQuota": 50_000, "CpuPeriod": 100_000, "OomScoreAdj": 500,
            "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}, {"Name": "core", "Soft": 0, "Hard": -1}],
        }
    },
    "sysctls": {"host": {"Sysctls": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000", "net.core.somaxconn": "99"}}},
    "devices": {
        "devices": [ociconfig.Device("/dev/one", "c", 1, 3, 0o640, 5, 6, "rm"), ociconfig.Device("/dev/sub/two", "b", 7, 0, 0o600, 0, 0),
                    ociconfig.Device("/dev/full", "c", 1, 3, 0o600, 0, 0, "r")],
        "host": {"DeviceCgroupRules": ["c 10:* rwm"]},
    },
    "namespaces": {"host": {"IpcMode": "host", "PidMode": "host", "UTSMode": "host"}},
    "own-cgroup": {"host": {"CgroupnsMode": "private"}},
    "profile": {
        "host": {
            "SecurityOpt": [
                'seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["sethostname","chmod"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}'
            ]
        }
    },
    "home": {"user": User(5, 6), "config": {"Env": ["HOME=", "A=1"]}, "passwd": "root:x:0:0::/\nx:x:5:6::/home/x:\ny:x:5:6::/y:\n"},
    "homeless": {"user": User(7, 0), "passwd": "five:x:5:6::/five:\n"},
    "domain": {"config": {"Domainname": "example.test"}},
    "terminal": {"config": {"Tty": True}},
}  # fmt: skip


def launch(r: Rig, case: dict[str, Any], runtime: str) -> Launch:
    """What the engine would ask for, on the rig's busybox root."""
    shared = case.get("host", {}).get("UTSMode") == "host"
    config = {"Hostname": "" if shared else "box", "Env": ["LONG=a b", f"OUTSIDE={' '.join(outside())}"], **case.get("config", {})}
    record = container(case.get("host"), Cmd=["sh", "-c", PROBE], **config)
    record.config["Env"].append("PATH=/bin")
    given = {key: case[key] for key in ("user", "devices") if key in case}
    state = r.folder / "state"
    state.mkdir(exist_ok=True)
    for name in ("hosts", "hostname", "resolv.conf"):
        (state / name).write_text(f"{name}\n")
    if "passwd" in case:
        (state / "passwd").write_text(case["passwd"])
        point = {"Type": "bind", "Destination": "/etc/passwd", "RW": True}
        given["mounts"] = [ociconfig.user_mount(point, str(state / "passwd"))]
    document, _ = ociconfig.oci_config(
        record, around(state=str(state), network=False, held=HELD, mqueue=os.path.isdir("/dev/mqueue"), **given)
    )
    document["linux"]["namespaces"].append({"type": "network"})
    template = r.launch("sh", tty=record.tty)
    return replace(template, config=document, runtime=runtime)


def outside() -> list[str]:
    return [os.readlink(f"/proc/self/ns/{name}") for name in sorted(os.listdir("/proc/self/ns"))]


def as_crun(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """What crun does otherwise than runc: flags and sources of its own mounts, a link /dev/core always, the owner of /dev/null as stdin,
    no HOME for a user without a line in passwd."""
    mounts = [" ".join([one.split()[0], *(part.split(",")[0] for part in one.split()[1:3])]) for one in found["mounts"]]
    dev = [re.sub(r"^(crw-rw-rw- 1) \d+ \d+ ", r"\1 ", one) for one in found["dev"] if "/proc/kcore" not in one]
    return {**found, "mounts": mounts, "dev": sorted(dev), "env": [one for one in found["env"] if one != "HOME=/"]}


def sections(log: bytes) -> dict[str, list[str]]:
    text = "".join(one["log"] for one in map(json.loads, log.splitlines()))
    found = dict(re.findall(r"== (\w+)\r?\n(.*?)(?=== |\Z)", text, re.S))
    return {name: normal(name, body.replace("\r", "").splitlines()) for name, body in found.items()}


def normal(name: str, lines: list[str]) -> list[str]:
    if name == "mounts":
        lines = [re.sub(r"(size|nr_inodes|nr_blocks|inode64|mode=755),?[=\w]*", r"\1", line).rstrip() for line in lines]
        lines = [line.replace(" cgroup systemd ", " cgroup cgroup ") for line in lines]
        # masks: crun covers a folder by an empty one that it binds, runc and ours by a tmpfs; where a mask lies is the same
        lines = [" ".join(line.split()[:1]) if line.split()[0] in COVERED else line for line in lines]
        return sorted(line for line in lines if "/sys/fs/cgroup/unified" not in line and "/sys/fs/cgroup " not in line)
    if name == "dev":
        # pts and console: the terminal's time-dependent owner is the tty section's business
        return sorted({line for line in lines if line and "console" not in line})
    if name in ("env", "devices"):
        return sorted(lines)
    if name == "cgroup":
        return sorted(line for line in lines if not line.startswith((":", "name=", "misc")))
    return lines


COVERED = {
    "/proc/asound", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap", "/proc/interrupts", "/proc/kcore",
    "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
}  # fmt: skip


@pytest.mark.skipif(not OTHERS, reason="needs crun or runc")
@pytest.mark.parametrize("case", CASES)
def test_the_same_inside(tmp_path: Path, case: str) -> None:
    async def test() -> dict[str, dict[str, list[str]]]:
        async with rig(tmp_path) as r:
            for applet in "env grep awk sed wc umask unshare umount dmesg chroot mknod readlink sort stat".split():
                if not (r.root / "bin" / applet).exists():
                    (r.root / "bin" / applet).symlink_to("busybox")
            found = {}
            for runtime in ("", *OTHERS):
                status, log = await r.run_to_end(launch(r, CASES[case], runtime))
                found[os.path.basename(runtime) or "ours"] = sections(log) | {"exit": [str(status)]}
            return found

    found = asyncio.run(test())
    ours = found.pop("ours")
    for name, theirs in found.items():
        mine, theirs = (as_crun(ours), as_crun(theirs)) if name == "crun" else (ours, theirs)
        different = {key: (mine[key], theirs.get(key)) for key in mine if mine[key] != theirs.get(key)}
        assert not different, f"{name}:\n" + "\n".join(_told(key, *pair) for key, pair in different.items())


def _told(key: str, ours: list[str], theirs: list[str] | None) -> str:
    mine, yours = set(ours), set(theirs or ())
    return f"{key}: only ours {sorted(mine - yours)}; only theirs {sorted(yours - mine)}; or in another order"
