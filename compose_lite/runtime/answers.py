"""What the runtime tells: of a container that was made, started, has ended or was found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from compose_lite.errors import ContainerError


class StartFailed(ContainerError):
    """The container's or exec's program could not be started: 127 not found, 126 not executable, 128 anything else."""

    def __init__(self, exit_status: int, says: str, *, killed: bool = False) -> None:
        super().__init__("container-start", says)
        self.exit_status = exit_status
        self.killed = killed  # not it, but who was about to start it


@dataclass(frozen=True, slots=True)
class Created:
    """A container that waits at the gate before its execve."""

    id: str
    pid: int
    start_time: int
    monitor_pid: int
    monitor_start_time: int
    unmet: tuple[str, ...] = ()  # limits that could not be kept, as words: "memory limit: ..."


@dataclass(frozen=True, slots=True)
class ExecStarted:
    """A running exec. `tty` is the terminal's master end, the caller's to close."""

    exec_id: str
    pid: int
    start_time: int
    tty: int | None = None


@dataclass(frozen=True, slots=True)
class ExitNotice:
    """A container (exec_id None) or an exec has ended; status is 128+n for signal n."""

    id: str
    exec_id: str | None
    status: int
    oom_killed: bool
    at_ns: int
    seen: bool = True  # False: nobody saw the status, who would have was killed; it is UNKNOWN then
    pid: int = 0  # of a container's process; 0: not said


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of a container of an earlier engine."""

    id: str
    bundle: Path
    state: Literal["created", "running", "exited", "lost"]  # lost: gone, and nobody knows the status
    pid: int = 0
    start_time: int = 0
    monitor_pid: int = 0  # 0: the monitor was killed; the container runs on, its output is not recorded any more
    keep: Mapping[str, int] = field(default_factory=dict)  # descriptors named `keep:<name>` at create, now the caller's
    exit: ExitNotice | None = None
