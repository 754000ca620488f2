"""What names a Compose file elsewhere: `https://host/repo.git#ref:path`, `git@host:repo`, `github.com/me/repo`, `oci://registry/name`.

Pure: only reads the name. Who fetches it, and asks whether it may be fetched, is the caller of load (LoadOptions.fetch).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

_GIT = re.compile(r"(git@[\w.-]+:|git://|ssh://|github\.com/)|https?://[^#]*\.git(#|$)")
_ELSEWHERE = ("oci://", "https://", "http://", "git://", "ssh://", "github.com/", "git@")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Remote:
    """kind: `git` or `oci`. ref: branch, tag or commit, empty for the default branch. path: file or folder in the repository."""

    kind: str
    url: str
    ref: str = ""
    path: str = ""

    @property
    def pinned(self) -> bool:
        """Whether it can never be something else."""
        return bool(_COMMIT.fullmatch(self.ref)) if self.kind == "git" else "@sha256:" in self.url

    def __str__(self) -> str:
        end = f"#{self.ref}" + (f":{self.path}" if self.path else "") if self.ref or self.path else ""
        return f"{'oci://' if self.kind == 'oci' else ''}{self.url}{end}"


def is_elsewhere(text: str) -> bool:
    """Whether the text is no path here, be it understood or not."""
    return text.startswith(_ELSEWHERE)


def parse(text: str) -> Remote | None:
    """None for what is no repository and no artifact (`https://host/compose.yaml` too)."""
    if text.startswith("oci://"):
        return Remote("oci", text.removeprefix("oci://"))
    if not _GIT.match(text):
        return None
    url, _, fragment = text.partition("#")
    ref, _, path = fragment.partition(":")
    return Remote("git", f"https://{url}" if url.startswith("github.com/") else url, ref, posixpath.normpath("/" + path).strip("/"))
