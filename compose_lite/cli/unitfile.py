"""The systemd unit that starts the engine with the machine (or the user's session), and with it the containers whose policy wants it.

Pure but for `enable` and `disable`. The unit only starts the engine: containers stand in groups of their own, and stopping the unit
leaves them alone. Spec: systemd.service(5).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from compose_lite.disk import write_atomic
from compose_lite.errors import Error

NAME = "compose-lite.service"
KEPT = ("COMPOSE_LITE_RUN_DIR", "COMPOSE_LITE_DATA_DIR", "XDG_DATA_HOME")


def path_of(uid: int, environ: Mapping[str, str]) -> Path:
    if uid == 0:
        return Path("/etc/systemd/system", NAME)
    return Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/", ".config"), "systemd/user", NAME)


def text(command: Sequence[str], environ: Mapping[str, str], uid: int) -> str:
    """command: what starts compose-lite."""
    settings = "".join(f"Environment={_quoted(f'{key}={environ[key]}')}\n" for key in KEPT if environ.get(key))
    network = "Wants=network-online.target\nAfter=network-online.target\n" if uid == 0 else ""
    return f"""\
[Unit]
Description=compose-lite: the engine, and the containers that are to be started with it
{network}
[Service]
Type=oneshot
RemainAfterExit=yes
Delegate=yes
KillMode=process
{settings}ExecStart={" ".join(_quoted(word) for word in [*command, "engine", "start"])}

[Install]
WantedBy={"multi-user.target" if uid == 0 else "default.target"}
"""


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or not word or set(word) & set(" '\t") else word


def enable(path: Path, content: str, uid: int) -> str:
    """What is to be told: that it is done, or what is left to do where systemd does not run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content.encode())
    except OSError as error:
        raise Error("unit-file", f"{path} cannot be written: {error.strerror}") from error
    linger = "" if uid == 0 else "\nWithout `loginctl enable-linger` it starts with your first login, not with the machine."
    return f"{path}\n{_systemctl(uid, ('daemon-reload',), ('enable', NAME))}{linger}"


def disable(path: Path, uid: int) -> str:
    told = _systemctl(uid, ("disable", NAME))
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Error("unit-file", f"{path} cannot be removed: {error.strerror}") from error
    return told


def _systemctl(uid: int, *calls: Sequence[str]) -> str:
    program = ["systemctl", *(["--user"] if uid else [])]
    if not shutil.which("systemctl") or not Path("/run/systemd/system").is_dir():
        return "systemd does not run here. Where it does: " + " && ".join(" ".join([*program, *call]) for call in calls)
    for call in calls:
        done = subprocess.run([*program, *call], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Error("unit-file", f"{' '.join([*program, *call])}: {done.stderr.strip()}")
    return "Done."
