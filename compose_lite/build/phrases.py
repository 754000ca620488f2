"""Words of instructions: ports, paths, names for messages. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from compose_lite import reference
from compose_lite.build.operations import Source
from compose_lite.errors import BuildError, ImageError


def is_remote(text: str) -> bool:
    """What ADD fetches: a URL or a git repository."""
    return text.startswith(("http://", "https://", "git@", "git://", "ssh://"))


def parse_ports(text: str) -> list[str]:
    """`80`, `80/udp`, `8000-8002/tcp`, also `host:80`: the container's ports in the image's form."""
    port, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in ("tcp", "udp", "sctp"):
        raise BuildError("dockerfile", f"invalid proto: {protocol}")
    first, dash, last = port.rpartition(":")[2].partition("-")
    numbers = [first, last if dash else first]
    if not all(n.isascii() and n.isdigit() and int(n) < 65536 for n in numbers) or int(numbers[0]) > int(numbers[1]):
        raise BuildError("dockerfile", f"invalid containerPort: {port}")
    return [f"{n}/{protocol}" for n in range(int(numbers[0]), int(numbers[1]) + 1)]


def target(text: str, workdir: str) -> str:
    folder = text.endswith("/") or posixpath.basename(text) == "."
    path = posixpath.normpath(join(workdir, text))
    return path if path == "/" or not folder else path + "/"


def join(workdir: str, path: str) -> str:
    joined = posixpath.join(workdir or "/", path)
    return joined if joined.startswith("/") else f"/{joined}"


def pair(entry: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    return name, value


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def after_keyword(original: str) -> str:
    parts = original.strip().split(None, 1)
    return parts[1] if len(parts) == 2 else ""


def shown_base(source: Source) -> str:
    if source.kind == "named":
        return source.name
    try:
        return str(reference.parse(source.name).with_default_tag())
    except ImageError:
        return source.name


def hint(name: str, known: Iterable[str], mark: str = "") -> str:
    """As BuildKit does it: the first of those that are nearest, at most two letters away."""
    distances = {other: _distance(name, other) for other in known if abs(len(other) - len(name)) < 3}
    found = min(distances, key=lambda other: distances[other], default="")
    return f" (did you mean {mark}{found}?)" if found and distances[found] < 3 else ""


def _distance(one: str, other: str) -> int:
    """Levenshtein's: letters to put in, take out or change."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for to, wanted in enumerate(other, 1):
            before, row[to] = row[to], min(before + (letter != wanted), row[to] + 1, row[to - 1] + 1)
    return row[-1]
