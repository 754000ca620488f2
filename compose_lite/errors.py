"""What every error of compose-lite is: a code, a place, what is wrong, what to do.

One root class, one subclass a package, no deeper. A foreign exception is translated once, at a package's
door, with `from`. The code names the page `docs/errors/<code>.md`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands: line and column count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


class Error(Exception):
    """The root of all errors that a user is told about, in one paragraph and without a traceback.

    code: kebab-case, names the page in docs/errors/. says: what is wrong and why. remedy: what to do.
    status: the command's exit status.
    """

    def __init__(self, code: str, says: str, *, place: Place | None = None, remedy: str | None = None, status: int = 1) -> None:
        super().__init__(says)
        self.code = code
        self.says = says
        self.place = place
        self.remedy = remedy
        self.status = status

    def __str__(self) -> str:
        """`compose.yaml:14:9: service 'web' needs 'db', which does not exist. Did you mean 'database'? [code]`"""
        text = f"{self.place}: {self.says}" if self.place else self.says
        if self.remedy:
            text += ("" if text.endswith((".", "!", "?", "\n")) else ".") + f" {self.remedy}"
        return f"{text} [{self.code}]"


class SpecError(Error):
    """A Compose file, or a file it names, cannot be loaded."""


class GraphError(Error):
    """The services' dependencies cannot be ordered."""


class ProjectError(Error):
    """A project cannot be brought to where it is asked to be."""


class ApiError(Error):
    """An engine answered with an error, or could not be reached. http_status: 0 when there was no answer.

    reason: the code of an error of our own engine, "" from another one.
    """

    reason = ""

    def __init__(self, says: str, *, http_status: int = 0, code: str = "engine-answer", remedy: str | None = None, status: int = 1) -> None:
        super().__init__(code, says, remedy=remedy, status=status)
        self.http_status = http_status

    def __str__(self) -> str:
        return super().__str__() if self.code != "engine-answer" else f"Error response from daemon: {self.says}"


class EngineError(Error):
    """The engine refuses a request. http_status is what its API answers with."""

    def __init__(self, says: str, *, http_status: int = 500, code: str = "engine", remedy: str | None = None) -> None:
        super().__init__(code, says, remedy=remedy)
        self.http_status = http_status


class ImageError(Error):
    """An image, a layer, an archive or a registry is not what it has to be."""


class BuildError(Error):
    """A Dockerfile cannot be parsed or a step of it fails. lines: the first and last line of the instruction, 0 if unknown."""

    def __init__(
        self,
        code: str,
        says: str,
        *,
        place: Place | None = None,
        remedy: str | None = None,
        status: int = 1,
        lines: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(code, says, place=place, remedy=remedy, status=status)
        self.lines = lines


class NetworkError(Error):
    """A network, an address or a port cannot be had."""


class ContainerError(Error):
    """The runtime cannot make, start or enter a container."""


class UsageError(Error):
    """A command line that cannot be understood."""


def first_error(group: BaseException) -> BaseException:
    """The error that a task group has wrapped: our own before anything else."""
    if not isinstance(group, BaseExceptionGroup):
        return group
    leaves = [first_error(e) for e in group.exceptions]
    return next((e for e in leaves if isinstance(e, Error)), next((e for e in leaves if isinstance(e, KeyboardInterrupt)), leaves[0]))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """`Did you mean 'database'?` for a word that looks like a known one, else None."""
    hits = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {hits[0]!r}?" if hits else None
