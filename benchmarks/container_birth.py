"""Milliseconds of a container's life (create, start, exit, delete) and of an exec, from a warm zygote.

`python -m benchmarks.container_birth [count]`, as root, with a static busybox. Medians.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.runtime.bundles import Rig, rig

PHASES = ("create", "start", "exit", "delete", "all")


async def one_life(r: Rig) -> list[float]:
    launch = r.launch("true")
    at = [time.perf_counter()]
    await r.runtime.create(launch)
    at.append(time.perf_counter())
    await r.runtime.start(launch.id)
    at.append(time.perf_counter())
    await r.ended(launch.id)
    at.append(time.perf_counter())
    await r.runtime.delete(launch.id)
    at.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(at)] + [at[-1] - at[0]]


async def execs(r: Rig, count: int) -> list[float]:
    launch = r.launch("sleep", "1000")
    await r.runtime.create(launch)
    await r.runtime.start(launch.id)
    took = []
    for number in range(count):
        before = time.perf_counter()
        await r.runtime.exec(launch.id, str(number), {**launch.config["process"], "args": ["true"]})
        await r.ended(launch.id, str(number))
        took.append(time.perf_counter() - before)
    return took


def memory() -> str:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == "cl-monitor":
                found.append(int((process / "smaps_rollup").read_text().split("Pss:")[1].split()[0]))
        except OSError:
            continue
    return f"{statistics.mean(found):.0f} kB (mean of {len(found)})" if found else "-"


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder)) as r:
            lives = [await one_life(r) for _ in range(count)]
            for name, times in zip(PHASES, zip(*lives, strict=True), strict=True):
                print(f"{name:8} {statistics.median(times) * 1000:6.2f} ms")
            print(f"{'exec':8} {statistics.median(await execs(r, count)) * 1000:6.2f} ms")
            for _ in range(10):
                launch = r.launch("sleep", "1000")
                await r.runtime.create(launch)
                await r.runtime.start(launch.id)
            print(f"monitor  {memory()} PSS")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
