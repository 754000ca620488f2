"""What a container uses: Docker's `stats` document from its cgroup, and `top` from /proc. Reads, never changes."""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compose_lite.engine.containers import Containers
from compose_lite.engine.lifecycle import Event
from compose_lite.engine.record import Container
from compose_lite.linux import namespaces
from compose_lite.units import rfc3339

Document = dict[str, Any]
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_sample(found: Mapping[str, Any]) -> Document:
    cpu = found["cpu"]
    return {
        "cpu_usage": {
            "total_usage": cpu["total_ns"],
            "percpu_usage": cpu.get("per_cpu_ns") or None,
            "usage_in_kernelmode": cpu["system_ns"],
            "usage_in_usermode": cpu["user_ns"],
        },
        "system_cpu_usage": _machine_cpu(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": cpu["periods"],
            "throttled_periods": cpu["throttled_periods"],
            "throttled_time": cpu["throttled_ns"],
        },
    }


def _machine_cpu() -> int:
    with open("/proc/stat") as file:
        return sum(int(n) for n in file.readline().split()[1:9]) * (10**9 // _TICKS)


def stats(containers: Containers, container: Container, before: Document | None) -> tuple[Document, Document]:
    """One `stats` document, and the sample that the next one counts from."""
    head = {"name": f"/{container.name}", "id": container.id, "read": rfc3339(time.time_ns())}
    nothing: Document = {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}, "throttling_data": {}}
    if not container.running:
        return {**head, "preread": "0001-01-01T00:00:00Z", "cpu_stats": nothing, "precpu_stats": nothing, "memory_stats": {}}, nothing
    found = containers.runtime.group(container.id).stats()
    sample = cpu_sample(found) | {"x-read": head["read"]}
    memory, machine = found["memory"], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = memory["limit"] if 0 < memory["limit"] < machine else machine
    blocks = {
        f"io_{key}_recursive": [{"major": a, "minor": b, "op": op, "value": n} for a, b, op, n in found["block_io"][source]]
        for key, source in (("service_bytes", "bytes"), ("serviced", "operations"))
    }
    return {
        **head,
        "preread": (before or {}).get("x-read", "0001-01-01T00:00:00Z"),
        "num_procs": 0,
        "pids_stats": {
            "current": found["pids"]["current"] or len(processes(containers, container)),
            **({"limit": found["pids"]["limit"]} if found["pids"]["limit"] else {}),
        },
        "cpu_stats": {k: v for k, v in sample.items() if k != "x-read"},
        "precpu_stats": {k: v for k, v in (before or nothing).items() if k != "x-read"},
        "memory_stats": {"usage": memory["usage"], "stats": memory["stat"], "limit": limit},
        "blkio_stats": blocks,
        "networks": interfaces(container.pid),
    }, sample


def interfaces(pid: int) -> Document:
    found = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/dev") as file:
        for line in list(file)[2:]:
            name, _, numbers = line.partition(":")
            n = [int(value) for value in numbers.split()]
            if name.strip() != "lo":
                found[name.strip()] = {
                    "rx_bytes": n[0],
                    "rx_packets": n[1],
                    "rx_errors": n[2],
                    "rx_dropped": n[3],
                    "tx_bytes": n[8],
                    "tx_packets": n[9],
                    "tx_errors": n[10],
                    "tx_dropped": n[11],
                }
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _is_ours(name: str, argv: str) -> bool:
    """A fork of the zygote on its way into the container, which is in its cgroup until the execve of an exec's program."""
    return name == "cl-zygote" and (not argv or "compose_lite.runtime.zygote" in argv)


def _process(pid: int) -> dict[str, str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    if _is_ours(name, argv):
        return None
    fields = rest.split()
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    began = boot + int(fields[19]) / _TICKS
    spent = (int(fields[11]) + int(fields[12])) // _TICKS
    alive = max(0.001, time.time() - began)
    total = os.sysconf("SC_PHYS_PAGES")
    return {
        "UID": _user(uid),
        "USER": _user(uid),
        "PID": str(pid),
        "PPID": fields[1],
        "C": str(min(99, int(spent * 100 / alive))),
        "%CPU": f"{spent * 100 / alive:.1f}",
        "%MEM": f"{int(fields[21]) * 100 / total:.1f}",
        "VSZ": str(int(fields[20]) // 1024),
        "RSS": str(int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024),
        "STIME": time.strftime("%H:%M", time.localtime(began)),
        "START": time.strftime("%H:%M", time.localtime(began)),
        "STAT": fields[0],
        "TTY": "?" if fields[4] == "0" else f"pts/{int(fields[4]) & 0xFF}",
        "TIME": f"{spent // 3600:02}:{spent // 60 % 60:02}:{spent % 60:02}",
        "CMD": argv or f"[{name}]",
        "COMMAND": argv or f"[{name}]",
        "COMM": name,
    }


_EF = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_AUX = ("USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND")
_COLUMNS = {"pcpu": "%CPU", "pmem": "%MEM", "args": "COMMAND", "cmd": "CMD", "user": "USER", "uid": "UID", "etime": "TIME", "state": "STAT"}


def processes(containers: Containers, container: Container) -> list[int]:
    """Its processes: those of its cgroup; where it has none (rootless without delegation), those of its pid namespace."""
    found = containers.runtime.group(container.id).processes()
    if found or container.host_config.get("PidMode"):
        return found or [container.pid]
    return namespaces.members(container.pid)


def top(containers: Containers, container: Container, arguments: str) -> Document:
    container.after(Event.LOOK)
    titles: Sequence[str] = _AUX if "aux" in arguments else _EF
    if "-o" in arguments.split():
        words = arguments.split("-o", 1)[1].replace(",", " ").split()
        titles = [_COLUMNS.get(word.lower(), word.upper()) for word in words]
    rows = []
    for pid in processes(containers, container):
        found = _process(pid)
        if found:
            rows.append([found.get(title, "-") for title in titles])
    return {"Titles": list(titles), "Processes": rows}
