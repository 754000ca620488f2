"""What ADD and contexts fetch from elsewhere: URLs, git repositories; and archives that are unpacked instead of copied. Blocking.

Everything lands in a private scratch folder. Git is the machine's own `git` program, told to ask nobody and to run no hooks.
"""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import http.client
import os
import posixpath
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate
from pathlib import Path
from typing import IO, cast
from urllib.parse import unquote, urlsplit

from compose_lite.errors import BuildError
from compose_lite.image import compression, layers, tarstream

_GIT_URL = re.compile(r"(git@[\w.-]+:|git://|ssh://|github\.com/)|https?://[^#]*\.git(#|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class GitPlace:
    """`url#ref:folder`"""

    url: str
    ref: str = ""
    folder: str = ""


def is_git(text: str) -> bool:
    return bool(_GIT_URL.match(text))


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def parse_git(text: str) -> GitPlace:
    url, _, fragment = text.partition("#")
    ref, _, folder = fragment.partition(":")
    return GitPlace(f"https://{url}" if url.startswith("github.com/") else url, ref, posixpath.normpath("/" + folder).strip("/"))


def clone(place: GitPlace, into: Path, *, keep_git: bool = False, proxies: Mapping[str, str] | None = None) -> str:
    """Checks out into the folder (which is made); the commit. BuildError with git's own words."""
    program = shutil.which("git")
    if program is None:
        raise BuildError("build-git", f"{place.url} cannot be fetched: there is no git program", remedy="Install git.")
    into.mkdir(mode=0o755)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "SSH_AUTH_SOCK": os.environ.get("SSH_AUTH_SOCK", ""), "GIT_ALLOW_PROTOCOL": "https:http:ssh:git", **(proxies or {}),
    }  # fmt: skip

    def git(*arguments: str) -> str:
        command = [program, "-c", "core.hooksPath=/dev/null", "-c", "init.defaultBranch=master", *arguments]
        done = subprocess.run(command, cwd=into, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise BuildError("build-git", f"failed to fetch remote {place.url}: git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    git("init", "-q")
    ref = place.ref or "HEAD"
    try:
        git("fetch", "-q", "--depth=1", "--no-tags", "--", place.url, ref)
    except BuildError:  # some servers give no single commits, or no part of a history
        git("fetch", "-q", "--no-tags", "--", place.url, *([] if _COMMIT.fullmatch(ref) else [ref]))
    git("checkout", "-q", "--detach", ref if _COMMIT.fullmatch(ref) else "FETCH_HEAD")
    git("submodule", "update", "-q", "--init", "--recursive", "--depth=1")
    commit = git("rev-parse", "HEAD")
    if not keep_git:
        shutil.rmtree(into / ".git")
    return commit


def download(url: str, into: Path, checksum: str = "", proxies: Mapping[str, str] | None = None) -> Path:
    """The answer as a file of mode 0600 with the server's time; checks the digest if one is wanted."""
    digest, name = hashlib.sha256(), file_name(url)
    request = urllib.request.Request(url, headers={"User-Agent": "compose-lite", "Accept-Encoding": "identity"})
    into.mkdir(mode=0o700, exist_ok=True)
    try:
        with _opener(url, proxies or {}).open(request, timeout=60) as answer:
            given = re.search(r'filename="?([^";/]+)', answer.headers.get("Content-Disposition") or "")
            name = given[1] if given else name or file_name(answer.geturl())
            if not name:
                raise BuildError("build-url", f"cannot tell a file name from {url}")
            path = into / name
            with path.open("xb") as file:
                while piece := answer.read(1 << 18):
                    digest.update(piece)
                    file.write(piece)
            modified = parsedate(answer.headers.get("Last-Modified") or "")
    except urllib.error.HTTPError as error:
        raise BuildError("build-url", f"invalid response status {error.code} of {url}") from error
    except (OSError, http.client.HTTPException) as error:
        raise BuildError("build-url", f"cannot get {url}: {getattr(error, 'reason', error)}") from error
    found = "sha256:" + digest.hexdigest()
    if checksum and found != checksum:
        raise BuildError("build-checksum", f"digest mismatch {found}: {checksum} ({url})")
    path.chmod(0o600)
    stamp = calendar.timegm(modified) if modified else int(time.time())
    os.utime(path, (stamp, stamp))
    return path


def file_name(url: str) -> str:
    return unquote(posixpath.basename(urlsplit(url).path))


def open_archive(path: str) -> IO[bytes] | None:
    """The tar stream inside of the file, whatever its compression; None when it is no archive."""
    raw = cast("IO[bytes]", open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb"))
    try:
        kind = compression.of_stream(raw)  # type: ignore[arg-type]
        stream = kind.reader(raw)  # type: ignore[arg-type]
        with contextlib.suppress(*compression.READ_ERRORS):
            if tarstream.is_header(stream.read(tarstream.BLOCK)):
                raw.seek(0)
                return kind.reader(raw)  # type: ignore[arg-type]
    except BaseException:
        raw.close()
        raise
    raw.close()
    return None


def unpack(stream: IO[bytes], target: str, owner: tuple[int, int] | None, note: Callable[[str], object]) -> None:
    """Unpacks an open archive into the folder."""
    for text in layers.unpack(stream, Path(target), owner=owner, whiteouts=False).notices:
        note(text)


def proxies(args: Mapping[str, str]) -> dict[str, str]:
    """Build arguments that name proxies count for what is fetched too: by their lower-case names."""
    names = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
    return {name: value for name in names if (value := args.get(name.upper(), args.get(name))) is not None}


def _opener(url: str, given: Mapping[str, str]) -> urllib.request.OpenerDirector:
    found = urllib.request.getproxies() | {name.removesuffix("_proxy"): value for name, value in given.items()}
    direct = urllib.request.proxy_bypass_environment(urlsplit(url).netloc, found)  # type: ignore[attr-defined]
    return urllib.request.build_opener(urllib.request.ProxyHandler({} if direct else {k: v for k, v in found.items() if v}))
