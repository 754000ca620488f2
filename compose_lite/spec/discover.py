"""Which Compose and .env files are meant, and the environment they give. Reads folders and .env files for load.py.

Order, as Docker Compose has it: -f, COMPOSE_FILE (which a .env may set), compose.yaml and its kin in the project
directory and its parents. The environment is the caller's, then the .env beside the working directory, then the one
beside the first Compose file; what was set first stays.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compose_lite.errors import Place, SpecError
from compose_lite.spec.document import LARGEST
from compose_lite.spec.envfiles import parsed
from compose_lite.spec.remote import parse

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")
Warn = Callable[[str], None]
Local = Callable[[str, str, Place | None], str]
"""(name of a file, folder, place) -> its absolute path; a file from elsewhere is fetched."""


@dataclass(frozen=True, slots=True)
class Source:
    """files: absolute (or `-`). folder: the project directory. given_env_files: as written on the command line.

    read_env_files: those that the environment comes from, the strongest first. name: the project's, if nobody gives it one.
    """

    files: tuple[str, ...]
    folder: str
    environ: Mapping[str, str]
    given_env_files: tuple[str, ...]
    read_env_files: tuple[str, ...] = ()
    name: str = ""

    def profiles(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """Those given, else those of COMPOSE_PROFILES."""
        return given or tuple(word.strip() for word in self.environ.get("COMPOSE_PROFILES", "").split(",") if word.strip())


def discover(
    files: tuple[str, ...],
    directory: str | None,
    env_files: tuple[str, ...],
    environ: Mapping[str, str],
    cwd: str,
    warn: Warn,
    local: Local,
) -> Source:
    """Raises SpecError when there is no Compose file, or a file that was named is not there."""
    given = env_files or tuple(word for word in environ.get("COMPOSE_ENV_FILES", "").split(",") if word)
    own = absolute(directory, cwd) if directory else None
    known: dict[str, str] = {"PWD": cwd, **environ} if "PWD" not in environ else dict(environ)
    named = files
    chosen = tuple(file if file == "-" else local(file, cwd, None) for file in files)
    for_env = tuple(absolute(file, cwd) for file in given)
    first = for_env or _default(own or _folder_of(chosen, cwd), environ)
    known = with_env_files(known, first, warn)
    if not chosen:
        named = _of_variable(known)
        chosen = _from_variable(named, cwd, local) or _search(own or cwd, warn)
    if not chosen:
        says = "no configuration file provided: not found"
        remedy = f"Create {NAMES[0]} in {own or cwd} or a folder above, or name a file with -f."
        raise SpecError("no-compose-file", says, remedy=remedy)
    folder = own or _folder_of(chosen, cwd)
    second = for_env or _default(folder, environ)
    known = with_env_files(known, second, warn)
    elsewhere = parse(named[0]) if named and not own else None
    name = posixpath.basename(cwd if elsewhere else folder)
    return Source(chosen, folder, known, given, tuple(dict.fromkeys((*reversed(first), *reversed(second)))), name)


def remote_refused(file: str, place: Place | None) -> SpecError:
    says = f"{file}: a Compose file from elsewhere is named as a Git repository or as oci:// artifact"
    return SpecError("remote-file", says, place=place, remedy="Fetch it first, and name the local copy.")


def absolute(path: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def relative(path: str, folder: str) -> str:
    return posixpath.relpath(path, folder)


def _folder_of(files: tuple[str, ...], cwd: str) -> str:
    named = next((file for file in files if file != "-"), None)
    return (posixpath.dirname(named) or "/") if named else cwd


_REMOTE_OR_PATH = re.compile(r"(?:oci|https?|git|ssh)://.+?(?=:(?:\.{0,2}/|(?:oci|https?|git|ssh)://)|$)|[^:]+")


def _of_variable(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The files of COMPOSE_FILE. Colons within `oci://host:5000/name:tag` separate nothing; what follows such a name begins with / or ."""
    text, separator = environ.get("COMPOSE_FILE"), environ.get("COMPOSE_PATH_SEPARATOR")
    if text is None:
        return ()
    if not separator and "://" in text:
        return tuple(_REMOTE_OR_PATH.findall(text))
    return tuple(text.split(separator or ":"))


def _from_variable(words: tuple[str, ...], cwd: str, local: Local) -> tuple[str, ...]:
    found = tuple(word if word == "-" else local(word, cwd, None) for word in words)
    for file in found:
        if file != "-" and not os.path.exists(file):
            says = f"stat {file}: no such file or directory"
            raise SpecError("file-missing", says, remedy="COMPOSE_FILE names it.")
    return found


def _search(folder: str, warn: Warn) -> tuple[str, ...]:
    """The Compose file of the nearest folder that has one, and its override file."""
    while True:
        found = _present(folder, NAMES)
        if found:
            if len(found) > 1:
                warn(f"Found multiple config files with supported names: {', '.join(found)}")
                warn(f"Using {found[0]}")
            overrides = _present(folder, OVERRIDES)
            if len(overrides) > 1:
                warn(f"Found multiple override files with supported names: {', '.join(overrides)}")
                warn(f"Using {overrides[0]}")
            return (found[0], *overrides[:1])
        parent = posixpath.dirname(folder)
        if parent == folder:
            return ()
        folder = parent


def _present(folder: str, names: tuple[str, ...]) -> list[str]:
    paths = [posixpath.join(folder, name) for name in names]
    return [path for path in paths if os.path.exists(path)]


def _default(folder: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The folder's .env, unless COMPOSE_DISABLE_ENV_FILE says no."""
    word = environ.get("COMPOSE_DISABLE_ENV_FILE")
    if word is not None:
        if word in ("1", "t", "T", "TRUE", "true", "True"):
            return ()
        if word not in ("0", "f", "F", "FALSE", "false", "False"):
            raise SpecError("variable", f'COMPOSE_DISABLE_ENV_FILE: "{word}" is not a truth value', remedy="Say true or false.")
    return default_env_file(folder)


def default_env_file(folder: str) -> tuple[str, ...]:
    file = posixpath.join(folder, ".env")
    return (file,) if os.path.isfile(file) else ()


def with_env_files(environ: Mapping[str, str], files: tuple[str, ...], warn: Warn, place: Place | None = None) -> dict[str, str]:
    """The environment and what the files add to it; a later file wins over an earlier one, the environment over both."""
    found: dict[str, str] = {}
    for file in files:
        if not os.path.exists(file):
            raise SpecError("env-file-missing", f"couldn't find env file: {file}: no such file or directory", place=place)
        if os.path.isdir(file):
            raise SpecError("env-file", f"{file} is a directory", place=place, remedy="Name a file in it.")
        found = parsed(read_text(file) or "", file, "", environ.get, found, warn, place)
    return {**found, **environ}


def read_text(file: str) -> str | None:
    """The file's text, None when there is none. Raises SpecError when it cannot be read."""
    try:
        with open(file, "rb") as source:
            content = source.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        says = f"failed to read {file}: {getattr(error, 'strerror', error)}"
        raise SpecError("file-unreadable", says, place=Place(file)) from None
    if len(content) > LARGEST:
        says = f"{file} is larger than {LARGEST >> 20} MiB: that is no file of variables or labels"
        raise SpecError("file-too-large", says, place=Place(file), remedy="Name another file.")
    return content.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")


def near_prefix(folder: str, prefix: str) -> str:
    """What an included file's paths are relative to: its project directory, as the reference the folder around it where that is none."""
    absolute = prefix.startswith("/")
    return prefix if absolute or os.path.isdir(folder) else posixpath.dirname(prefix) or "."


def follow_link(path: str) -> str:
    """The path with its first symbolic link, if any, replaced by what that link leads to."""
    at = "/"
    parts = path.strip("/").split("/")
    for index, part in enumerate(parts):
        at = posixpath.join(at, part)
        if os.path.islink(at):
            return posixpath.join(os.path.realpath(at), *parts[index + 1 :])
    return path
