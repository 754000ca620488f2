"""The systemd unit that starts the engine with the machine (or the user's session), and with it the containers whose policy wants it.

Pure but for `enable`, `disable` and `is_going_down`. The unit starts the engine, which leaves the unit's group for one of its own
(delegation.py) with the containers; so stopping the unit leaves them alone. When the machine (or the user's systemd) goes down, its end
stops them in order, before systemd would kill them. Spec: systemd.service(5).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from compose_lite.disk import write_atomic
from compose_lite.errors import Error

NAME = "compose-lite.service"
KEPT = ("COMPOSE_LITE_RUN_DIR", "COMPOSE_LITE_DATA_DIR", "COMPOSE_LITE_USERNS_REMAP", "XDG_DATA_HOME")
STOP_SECONDS = 120  # that containers' grace periods may take together; user@.service gives its units as much


def path_of(uid: int, environ: Mapping[str, str]) -> Path:
    if uid == 0:
        return Path("/etc/systemd/system", NAME)
    return Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/", ".config"), "systemd/user", NAME)


def text(command: Sequence[str], environ: Mapping[str, str], uid: int) -> str:
    """command: what starts compose-lite."""
    settings = "".join(f"Environment={_quoted(f'{key}={environ[key]}')}\n" for key in KEPT if environ.get(key))
    engine = [" ".join(_quoted(word) for word in [*command, "engine", *words]) for words in (["start"], ["stop", "--with-machine"])]
    network = "Wants=network-online.target\nAfter=network-online.target\n" if uid == 0 else ""
    return f"""\
[Unit]
Description=compose-lite: the engine, and the containers that are to be started with it
{network}
[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
TimeoutStopSec={STOP_SECONDS}
{settings}ExecStart={engine[0]}
ExecStop={engine[1]}

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
    return f"{path}\n{_systemctl(uid, ('daemon-reload',), ('enable', '--now', NAME))}{linger}"


def disable(path: Path, uid: int) -> str:
    if not path.exists():
        return f"There is no {path}."
    told = _systemctl(uid, ("disable", "--now", NAME))
    try:
        path.unlink()
    except OSError as error:
        raise Error("unit-file", f"{path} cannot be removed: {error.strerror}") from error
    if _is_running():
        _systemctl(uid, ("daemon-reload",))
    return told


def is_going_down(uid: int) -> bool:
    """Whether the machine's systemd, or this user's, is on its way out (systemctl(1), is-system-running)."""
    if not _is_running():
        return False
    program = ["systemctl", *(["--user"] if uid else []), "is-system-running"]
    return subprocess.run(program, capture_output=True, text=True, check=False).stdout.strip() == "stopping"


def _is_running() -> bool:
    return bool(shutil.which("systemctl")) and Path("/run/systemd/system").is_dir()


def _systemctl(uid: int, *calls: Sequence[str]) -> str:
    program = ["systemctl", *(["--user"] if uid else [])]
    if not _is_running():
        return "systemd does not run here. Where it does: " + " && ".join(" ".join([*program, *call]) for call in calls)
    for call in calls:
        done = subprocess.run([*program, *call], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Error("unit-file", f"{' '.join([*program, *call])}: {done.stderr.strip()}")
    return "Done."
