"""Compose files from elsewhere: asks whether they may be used, fetches them with `git` or from a registry, and keeps a copy.

A copy of a branch or tag is looked up anew after five minutes; one of a commit or digest never. Nothing is fetched before
the user has agreed: on the terminal once for each name, else by --allow-remote. Fetching runs programs of their own, no hooks, and
asks for no password.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from compose_lite.errors import Place, SpecError
from compose_lite.spec.discover import NAMES
from compose_lite.spec.remote import Remote

FRESH = 300.0
"""Seconds for which a branch or tag is not looked up again."""
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(slots=True)
class Remotes:
    """allowed: by flag or variable. ask: where there is a terminal; None in a pipe. now: the time of day."""

    folder: Path
    environ: Mapping[str, str]
    allowed: bool
    ask: Callable[[str], bool] | None
    warn: Callable[[str], None]
    now: Callable[[], float] = time.time
    known: dict[Remote, str] = field(default_factory=dict)

    def fetch(self, remote: Remote, place: Place | None) -> str:
        """The local copy's Compose file. Raises SpecError."""
        if remote not in self.known:
            own = self.folder / hashlib.sha256(f"{remote.kind} {remote.url} {remote.ref}".encode()).hexdigest()[:24]
            try:
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._agree(remote, own, place)
                self.known[remote] = str(_compose_file(self._copy(remote, own, place), remote, place))
            except OSError as error:
                raise SpecError("remote-fetch", f"{remote} cannot be kept in {own}: {error.strerror}", place=place) from error
        return self.known[remote]

    def _agree(self, remote: Remote, own: Path, place: Place | None) -> None:
        note = own / "agreed"
        if self.allowed or note.exists():
            return
        if self.ask is None:
            remedy = "Look at it, then agree on a terminal, or by --allow-remote or COMPOSE_LITE_ALLOW_REMOTE=1."
            raise SpecError("remote-refused", f"{remote} would be fetched, and nobody is here to agree", place=place, remedy=remedy)
        where = f"{place}: " if place else ""
        if not self.ask(f"{where}what {remote} holds can start anything on this machine. Fetch and use it? [y/N] "):
            raise SpecError("remote-refused", f"{remote} is not used: you did not agree", place=place)
        note.write_text(f"{remote}\n")

    def _copy(self, remote: Remote, own: Path, place: Place | None) -> Path:
        at = own / "at"
        current = own / at.read_text().strip() if at.exists() else None
        if current is not None and current.is_dir() and (remote.pinned or self.now() - at.stat().st_mtime < FRESH):
            return current
        bring = bring_git if remote.kind == "git" else bring_artifact
        try:
            found = own / bring(remote, own, self.environ)
        except RemoteError as problem:
            if current is not None and current.is_dir():
                self.warn(f"{remote} cannot be looked up, the copy of {current.name[:12]} is used: {problem}")
                return current
            raise SpecError("remote-fetch", f"{remote} cannot be fetched: {problem}", place=place, remedy=problem.remedy) from None
        at.write_text(found.name)
        return found


class RemoteError(Exception):
    """Why nothing was fetched, in the words of who was asked."""

    def __init__(self, says: str, remedy: str | None = None) -> None:
        super().__init__(says)
        self.remedy = remedy


def _compose_file(copy: Path, remote: Remote, place: Place | None) -> Path:
    """The file that is named, or the one with a usual name in the folder that is named. Links may not lead out of the copy."""
    found = copy / remote.path
    if found.is_dir():
        found = next((found / name for name in NAMES if (found / name).is_file()), found / NAMES[0])
    if not found.is_file() or not found.resolve().is_relative_to(copy.resolve()):
        says = f"{remote} has no {found.relative_to(copy)}"
        raise SpecError("remote-fetch", says, place=place, remedy="Name the file after a colon: repo.git#branch:folder/compose.yaml.")
    return found


# --- git -------------------------------------------------------------------------------------------------------


def bring_git(remote: Remote, own: Path, environ: Mapping[str, str]) -> str:
    """The commit, which is checked out in a folder of that name then."""
    commit = remote.ref if remote.pinned else _looked_up(remote, environ)
    if (own / commit).is_dir():
        return commit
    scratch = Path(tempfile.mkdtemp(dir=own))
    try:
        _git(environ, scratch, "init", "-q")
        try:
            _git(environ, scratch, "fetch", "-q", "--depth=1", "--no-tags", "--", remote.url, commit)
        except RemoteError:  # some servers give no single commits, or no part of a history
            _git(environ, scratch, "fetch", "-q", "--", remote.url, "+refs/*:refs/remote/*")
        _git(environ, scratch, "checkout", "-q", "--detach", commit)
        scratch.rename(own / commit)
    except OSError:
        if not (own / commit).is_dir():  # else somebody was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return commit


def _looked_up(remote: Remote, environ: Mapping[str, str]) -> str:
    name = remote.ref or "HEAD"
    lines = _git(environ, Path("/"), "ls-remote", "--", remote.url, name, f"{name}^{{}}").splitlines()
    refs = {ref: commit for commit, _, ref in (line.partition("\t") for line in lines)}
    for ref in (name, f"refs/{name}", f"refs/tags/{name}^{{}}", f"refs/tags/{name}", f"refs/heads/{name}"):
        if _COMMIT.fullmatch(refs.get(ref, "")):
            return refs[ref]
    raise RemoteError(f"there is no {name}", "Name a branch, a tag or a whole commit after #.")


def _git(environ: Mapping[str, str], folder: Path, *arguments: str) -> str:
    program = shutil.which("git", path=environ.get("PATH"))
    if program is None:
        raise RemoteError("there is no git program", "Install git.")
    # what git hooks are given (GIT_DIR, ...) would make it work on the caller's repository
    kept = {
        key: value for key, value in environ.items() if not key.startswith("GIT_") or key in ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS")
    }
    own = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git"}
    if not {"GIT_SSH", "GIT_SSH_COMMAND"} & kept.keys():
        own["GIT_SSH_COMMAND"] = "ssh -o ControlMaster=no -o BatchMode=yes"
    command = [program, "-c", "core.hooksPath=/dev/null", "-c", "init.defaultBranch=main", *arguments]
    done = subprocess.run(command, cwd=folder, env={**kept, **own}, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RemoteError(f"git {arguments[0]}: {done.stderr.strip() or f'status {done.returncode}'}")
    return done.stdout.strip()


# --- registries ------------------------------------------------------------------------------------------------


def bring_artifact(remote: Remote, own: Path, environ: Mapping[str, str]) -> str:
    """The digest, whose files are in a folder of that name then (image/artifact.py, which knows registries)."""
    command = [sys.executable, "-m", "compose_lite.image.artifact", remote.url, str(own)]
    done = subprocess.run(command, cwd="/", env=dict(environ), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise RemoteError(f"status {done.returncode}: {done.stderr.strip()[-200:]}") from None
    if "error" in answer:
        raise RemoteError(answer["error"]["says"], answer["error"]["remedy"])
    return str(answer["digest"])


# --- the terminal ----------------------------------------------------------------------------------------------


def asking(err: TextIO) -> Callable[[str], bool] | None:
    """Asks on the terminal; None where there is none."""
    if not (sys.stdin.isatty() and err.isatty()):
        return None

    def ask(question: str) -> bool:
        err.write(question)
        err.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


def allowed_by(environ: Mapping[str, str]) -> bool:
    return environ.get("COMPOSE_LITE_ALLOW_REMOTE", "").lower() in ("1", "t", "true", "yes")
