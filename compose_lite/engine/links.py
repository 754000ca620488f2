"""Links on the default bridge (`--link`, `links`): how a container knows another there, where no names are served. Pure.

Lines in /etc/hosts that follow the other's address, and variables of what it exposes, as Docker has had them since before there were
networks. On a network of one's own a link is an alias of the resolver's (endpoints.py). HostConfig.Links is kept as `name:alias`, by the
other's present name: one that is made anew under its name is found again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from compose_lite.engine.endpoints import NetworkContainer, mode_of
from compose_lite.errors import EngineError

Document = dict[str, Any]
Find = Callable[[str], NetworkContainer]
_FAMILIES = ("IPAddress", "GlobalIPv6Address")


def parsed(link: str) -> tuple[str, str]:
    """`name:alias`, `name`, and what old clients say, `/name:/self/alias`."""
    name, _, alias = link.partition(":")
    return name.removeprefix("/"), (alias.rpartition("/")[2] if alias.startswith("/") else alias) or name.removeprefix("/")


def canonical(links: Iterable[str] | None, find: Find) -> list[str] | None:
    """At create: each alias once, with the other's name. Raises EngineError in Docker's words."""
    found: dict[str, str] = {}
    for name, alias in map(parsed, links or ()):
        try:
            other = find(name)
        except EngineError as error:
            raise EngineError(f"could not get container for {name}: {error.says}", http_status=400) from error
        if mode_of(other) == "host":
            says = "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
            raise EngineError(says, http_status=400)
        found.setdefault(alias, other.name)
    return [f"{name}:{alias}" for alias, name in found.items()] or None


def renamed(links: Sequence[str] | None, old: str, new: str) -> list[str] | None:
    """None: none of them is the other's."""
    pairs = [parsed(link) for link in links or ()]
    return [f"{new if name == old else name}:{alias}" for name, alias in pairs] if any(name == old for name, _ in pairs) else None


def shown(container: NetworkContainer) -> list[str] | None:
    """As inspect has them."""
    if mode_of(container) not in ("bridge", "none"):
        return None
    return [f"/{name}:/{container.name}/{alias}" for name, alias in map(parsed, container.host_config.get("Links") or ())] or None


def of(container: NetworkContainer) -> list[tuple[str, str]]:
    """(name, alias) of those that it is linked to on the default bridge."""
    return [parsed(link) for link in container.host_config.get("Links") or ()] if mode_of(container) == "bridge" else []


def check(container: NetworkContainer, find: Find) -> None:
    """Before a start. Raises EngineError in Docker's words."""
    for name, alias in of(container):
        other = find(name)
        if not other.running:
            raise EngineError(f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}", http_status=500)
        if "bridge" not in other.endpoints:
            raise EngineError(f"container {other.id} not attached to default bridge network", http_status=500)


def _reached(container: NetworkContainer, find: Find) -> Iterator[tuple[str, NetworkContainer]]:
    """(alias, other) of those that run now."""
    for name, alias in of(container):
        try:
            other = find(name)
        except EngineError:
            continue
        if other.running and "bridge" in other.endpoints:
            yield alias, other


def hosts(container: NetworkContainer, find: Find) -> list[tuple[str, str]]:
    """Lines of /etc/hosts as (names, address): the alias, the other's host name and its name."""
    found = []
    for alias, other in _reached(container, find):
        names = " ".join(dict.fromkeys((alias, other.config.get("Hostname") or "", other.name)))
        endpoint = other.endpoints["bridge"]
        found += [(names, endpoint[key]) for key in _FAMILIES if endpoint[key]]
    return found


def updated(text: str, lines: Iterable[tuple[str, str]]) -> str:
    """A hosts file whose container runs, with other addresses for these names; what else stands in it stays."""
    for names, address in lines:
        kind = r"[^\s:]+" if ":" not in address else r"\S*:\S*"
        text, count = re.subn(rf"^{kind}\t{re.escape(names)}$", f"{address}\t{names}", text, flags=re.M)
        if not count:
            text = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{address}\t{names}\n"
    return text


def environment(container: NetworkContainer, find: Find) -> list[str]:
    """The variables: of each port, of runs of ports, the other's name, its own variables."""
    return [line for alias, other in _reached(container, find) for line in _variables(container.name, alias, other)]


def _variables(own: str, alias: str, other: NetworkContainer) -> Iterator[str]:
    prefix, address = alias.upper().replace("-", "_"), other.endpoints["bridge"]["IPAddress"]
    ports = _ports(other.config.get("ExposedPorts") or ())
    if ports:
        yield f"{prefix}_PORT={ports[0][1]}://{address}:{ports[0][0]}"
    for number, kind in ports:
        name = f"{prefix}_PORT_{number}_{kind.upper()}"
        yield f"{name}={kind}://{address}:{number}"
        yield f"{name}_ADDR={address}"
        yield f"{name}_PORT={number}"
        yield f"{name}_PROTO={kind}"
    for first, last, kind in _runs(ports):
        name = f"{prefix}_PORT_{first}_{kind.upper()}"
        for word, number in (("START", first), ("END", last)):
            yield f"{name}_{word}={kind}://{address}:{number}"
            yield f"{name}_PORT_{word}={number}"
    yield f"{prefix}_NAME=/{own}/{alias}"
    for entry in other.config.get("Env") or ():
        name, equals, value = entry.partition("=")
        if equals and name not in ("HOME", "PATH"):
            yield f"{prefix}_ENV_{name}={value}"


def _ports(exposed: Iterable[str]) -> list[tuple[int, str]]:
    """(number, protocol), TCP first."""
    found = set()
    for key in exposed:
        numbers, _, kind = key.partition("/")
        first, _, last = numbers.partition("-")
        found |= {(number, kind or "tcp") for number in range(int(first), int(last or first) + 1)}
    return sorted(found, key=lambda port: (port[1] != "tcp", port[1], port[0]))


def _runs(ports: Sequence[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
    """(first, last, protocol) where two or more follow one another."""
    start: tuple[int, str] | None = None
    for one, following in pairwise([*ports, (0, "")]):
        joined = following == (one[0] + 1, one[1])
        if joined:
            start = start or one
        elif start is not None:
            yield start[0], one[0], one[1]
            start = None
