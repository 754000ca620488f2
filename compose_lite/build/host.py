"""What goes between a build's steps and whoever runs it: the host's services, a RUN's sandbox, the layers made so far, a failed step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from compose_lite.build import solve
from compose_lite.build.fetch import GitPlace
from compose_lite.build.operations import Run
from compose_lite.errors import BuildError

Document = dict[str, Any]


@dataclass(slots=True)
class RunStep:
    """All that a RUN's sandbox is made of. mounts: OCI mounts, `fd:<name>` for those in `fds`. lower: bottom first."""

    id: str
    operation: Run
    lower: Sequence[str]
    upper: Path
    work: Path
    env: Sequence[str]
    mounts: list[Document] = field(default_factory=list)
    fds: dict[str, int] = field(default_factory=dict)


class Host(Protocol):
    """What the process around the build does for it."""

    def tell(self, event: Document) -> None:
        """Progress, to whoever looks on."""

    async def pull(self, name: str, platform: str, step: str) -> None:
        """Brings the image into the store, telling of it as output of the step. Raises BuildError."""

    async def run(self, step: RunStep, output: Callable[[int, bytes], None]) -> int:
        """Runs the process to its end; its status. Raises BuildError when it cannot be started."""

    def account(self, lower: Sequence[str], text: str) -> tuple[int, int]:
        """uid and gid of `user[:group]` by the files of that root. Raises BuildError for unknown names."""

    def download(self, url: str, into: Path, checksum: str = "") -> Path:
        """fetch.download through the machine's own network. Called from threads."""

    def clone(self, place: GitPlace, into: Path, *, keep_git: bool = False) -> str:
        """fetch.clone through the machine's own network. Called from threads."""

    def private_file(self, content: bytes, mode: int, uid: int, gid: int) -> str:
        """A file in memory for the time of a RUN."""


@dataclass(frozen=True, slots=True)
class State:
    """The layers up to some operation, bottom first, and the key of their contents."""

    diff_ids: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    chain: str = ""

    def above(self, diff_id: str, folder: str, key: str = "") -> State:
        return State((*self.diff_ids, diff_id), (*self.folders, folder), solve.chain(self.chain, key, diff_id))

    @property
    def lower(self) -> list[str]:
        """For overlayfs, which takes a folder once: the upper one of two equal layers hides the lower."""
        return list(dict.fromkeys(reversed(self.folders)))[::-1]


class StepFailed(BuildError):
    """An operation failed. title: the step's; output: the end of what it wrote; exit: its process's status."""

    def __init__(self, code: str, says: str, title: str, output: Sequence[str] = (), exit: int = 0) -> None:
        super().__init__(code, says)
        self.title, self.output, self.exit = title, list(output), exit
