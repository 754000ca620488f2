"""What a build has to do to files, as values: one type an operation. No I/O, nothing to expand any more.

stages.py makes them, solve.py gives them keys, execute.py does them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compose_lite.build.dockerfile.lines import Span

Number = tuple[int, int]
"""Which operation it is: the stage's index and the place in it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where files come from: a stage by its index, an image or a named context by its name, the context, nothing."""

    kind: Literal["stage", "image", "named", "context", "scratch"]
    name: str = ""
    index: int = -1
    platform: str = ""


CONTEXT, SCRATCH = Source("context"), Source("scratch")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of one RUN: its texts expanded, the target absolute."""

    kind: str
    target: str
    source: Source | None = None
    path: str = "/"
    readonly: bool = False
    id: str = ""
    sharing: str = "shared"
    size: int = 0
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    required: bool = False
    env: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """proxies: variables that the process gets but that make no difference to its result. script: a file to run (name, text)."""

    number: Number
    span: Span
    title: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    user: str
    cwd: str
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    insecure: bool = False
    proxies: tuple[str, ...] = ()
    script: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and ADD. target: absolute; a slash at its end means a folder. texts: files given in the Dockerfile (name, content)."""

    number: Number
    span: Span
    title: str
    source: Source
    sources: tuple[str, ...]
    target: str
    texts: tuple[tuple[str, str], ...] = ()
    add: bool = False
    chown: str = ""
    chmod: str = ""
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git: bool = False
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """WORKDIR: the folder with its parents, owned by the user in force."""

    number: Number
    span: Span
    title: str
    path: str
    user: str


Operation = Run | Copy | MakeFolder
