"""Well-known ways out of a container, tried from inside (escape_probe.py), as root and as an ordinary user: none leads anywhere.

What may work is named here; it is what works with Docker's defaults as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.root, pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("escape_probe.py").read_text()
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")  # one that `rootfs:/` shows
NOBODY = 65534

CALLS = {"landlock_create_ruleset", "modify_ldt", "process_vm_readv"}  # of one's own processes
WRITES = {"write /proc/timer_list", "write /proc/keys", "write /proc/1/oom_score_adj"}  # masked by /dev/null; raised, of one's own
READS = {"read /proc/sys/kernel/randomize_va_space", "read /sys/kernel/notes"}
SURROUNDINGS = {
    "abstract sockets": 0,
    "cloexec environment": [],
    "environment of 1": [],
    "loop": "ENOENT",
    "processes": 1,
    "same root": "True",
    "setuid root again": "refused",
    "tun": "ENOENT",
    "vsock": "EPERM",
}


def probed(base: Path, uid: int, *options: str, remap: str = "") -> dict[str, Any]:
    """What the probe says in a container of an engine of that user's; remap: the ids that root's engine gives it."""
    assert PYTHON
    base.mkdir()
    os.chown(base, uid, uid)
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(base), "COMPOSE_LITE_IDLE": "2",
        "COMPOSE_LITE_RUN_DIR": f"{base}/run", "COMPOSE_LITE_DATA_DIR": f"{base}/data",
        "COMPOSE_LITE_USERNS_REMAP": remap,
    }  # fmt: skip

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, cwd="/", user=uid, group=uid, extra_groups=[], capture_output=True, text=True, timeout=120
        )

    try:
        closed = run(sys.executable, "-c", "import compose_lite.__main__, pydantic").returncode != 0
    except PermissionError:  # an interpreter in somebody's home
        closed = True
    if closed:
        pytest.skip("this tree or its interpreter is closed to that user")
    command = [sys.executable, "-m", "compose_lite", "container", "run", "--rm", "--network", "none", *options, "rootfs:/"]
    done = run(*command, PYTHON, "-c", PROBE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(PYTHON is None, reason="needs a Python with ctypes in /usr")
@pytest.mark.parametrize("options", [(), ("--user", "1000"), ("--security-opt", "no-new-privileges"), ("--init",)])
@pytest.mark.parametrize(("uid", "remap"), [(0, ""), (NOBODY, ""), (0, "700000-765535")], ids=["root", "user", "remapped"])
def test_no_way_out(tmp_path_factory: pytest.TempPathFactory, uid: int, remap: str, options: tuple[str, ...]) -> None:
    if uid and "--user" in options:
        pytest.skip("one id only without subordinate ids")
    base = tmp_path_factory.mktemp("escape")
    for folder in (base, *base.parents[:2]):
        folder.chmod(0o755)
    found = probed(base / "engine", uid, *options, remap=remap)
    assert {name for name, result in found["calls"].items() if result == "done"} <= CALLS
    assert {name for name, result in found["files"].items() if name.startswith("write") and result == "done"} <= WRITES
    assert {
        name for name, result in found["files"].items() if name.startswith("read") and result.endswith("bytes") and result[0] != "0"
    } <= READS
    assert found["files"]["disk node"] in ("EPERM", "EACCES", "ENXIO")
    assert found["files"]["lower oom_score_adj"] == "EACCES"
    around = found["surroundings"]
    wanted = SURROUNDINGS | ({"processes": 2, "environment of 1": []} if "--init" in options else {})
    assert {name: around[name] for name in wanted} == wanted
    for kind in ("descriptors", "descriptors of 1"):
        assert set(around[kind]) <= {"/dev/null", "pipe", "ENOENT"}, kind
