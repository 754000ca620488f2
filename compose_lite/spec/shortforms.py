"""Short syntax -> long syntax, one function an attribute. Pure; changes the tree in place.

What comes out still is the Compose language, in its most explicit form: `ports: ["80:80"]` becomes a list of mappings.
lenient: values that do not parse stay as they are (used while variables are not replaced).
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable
from typing import Any

from compose_lite.errors import SpecError
from compose_lite.spec.attributes import said
from compose_lite.spec.document import Map, Path, Seq, place_of
from compose_lite.spec.models import service
from compose_lite.spec.models.values import go_text

Warn = Callable[[str], None]


class Unparsable(ValueError):
    """A short form that cannot be read; lenient callers keep the text."""


class Hopeless(Unparsable):
    """What no variable could make right."""


def make_long(tree: Map, warn: Warn, lenient: bool = False) -> None:
    """All short forms of the document become long ones, in place. Raises SpecError."""
    services = tree.get("services")
    if isinstance(services, Map):
        for name, one in services.items():
            if isinstance(one, Map):
                _apply(one, SERVICE, ("services", name), tree, lenient)
    for section in ("volumes", "networks", "secrets", "configs"):
        resources = tree.get(section)
        if isinstance(resources, Map):
            for name, resource in resources.items():
                if isinstance(resource, Map) and "external" in resource:
                    _external(resource, f"{section}.{name}", warn, place_of(tree, (section, name)))


def _apply(owner: Map, table: dict[str, Callable[[Any], Any]], path: Path, tree: Map, lenient: bool) -> None:
    for key in [key for key in owner if key in table]:
        try:
            owner[key] = table[key](owner[key])
        except Unparsable as problem:
            if not lenient or isinstance(problem, Hopeless):
                at = (*path, key, *problem.args[1:])
                says = f"{'.'.join(map(str, at))}: {problem.args[0]}"
                raise SpecError("short-form", says, place=place_of(tree, at)) from None


def _external(resource: Map, path: str, warn: Warn, place: Any) -> None:
    """`external: {name: x}` is an old way to say `external: true` and `name: x`."""
    external = resource["external"]
    if not isinstance(external, Map):
        return
    resource["external"] = True
    if "name" not in external:
        return
    warn(f"{path}: external.name is deprecated. Please set name and external: true")
    if "name" in resource and resource["name"] != external["name"]:
        raise SpecError("external-name", f"{path}: name and external.name conflict; only use name", place=place)
    resource.put("name", external["name"], external)


def _build(value: Any) -> Any:
    if isinstance(value, str):
        return Map({"context": value})
    if isinstance(value, Map):
        for key, change in BUILD.items():
            if key in value:
                try:
                    value[key] = change(value[key])
                except Unparsable as problem:
                    raise Unparsable(problem.args[0], key, *problem.args[1:]) from None
    return value


def _depends_on(value: Any) -> Any:
    if isinstance(value, Seq):
        found = Map()
        for index, name in enumerate(value):
            found[go_text(name)] = Map({"condition": "service_started", "required": True})
            found.marks[go_text(name)] = (value.mark(index), value.mark(index))
        return found
    if isinstance(value, Map):
        for name, dependency in value.items():
            if not isinstance(dependency, Map):
                raise Unparsable("unsupported value, wanted a mapping", name)
            dependency.setdefault("condition", "service_started")
            dependency.setdefault("required", True)
    return value


def _env_file(value: Any) -> Any:
    items = Seq([value]) if isinstance(value, str) else value
    for index, entry in enumerate(items):
        if isinstance(entry, str):
            items[index] = Map({"path": entry, "required": True})
        elif isinstance(entry, Map):
            entry.setdefault("required", True)
    return items


def _listed(value: Any) -> Any:
    return Seq([value]) if isinstance(value, str) else value


def _without_blanks(value: Any) -> Any:
    """dns: empty entries (of variables that are not set) do not count."""
    items = _listed(value)
    if not isinstance(items, Seq) or all(items):
        return items
    kept = [(item, items.mark(index)) for index, item in enumerate(items) if item not in (None, "")]
    return Seq([item for item, _ in kept], [mark for _, mark in kept])


def _extends(value: Any) -> Any:
    return Map({"service": value}) if isinstance(value, str) else value


def _gpus(value: Any) -> Any:
    return Seq([Map({"count": "all"})]) if isinstance(value, str) else value


def _keyed(value: Any) -> Any:
    """networks, models: a list of names is a mapping to null."""
    if not isinstance(value, Seq):
        return value
    found = Map()
    for index, name in enumerate(value):
        found[go_text(name)] = None
        found.marks[go_text(name)] = (value.mark(index), value.mark(index))
    return found


def _files(value: Any) -> Any:
    """secrets and configs of a service: a name alone is the source."""
    if isinstance(value, Seq):
        for index, entry in enumerate(value):
            if isinstance(entry, str):
                value[index] = Map({"source": entry})
    return value


def _devices(value: Any) -> Any:
    if isinstance(value, Seq):
        for index, entry in enumerate(value):
            if isinstance(entry, str):
                value[index] = _device(entry, index)
    return value


def _device(text: str, index: int) -> Map:
    parts = text.split(":")
    if len(parts) > 3:
        raise Unparsable(f"confusing device mapping, please use long syntax: {text}", index)
    source, target, permissions = (*parts, "", "")[:3]
    return Map({"source": source, "target": target or source, "permissions": permissions if len(parts) == 3 else "rwm"})


def _ulimits(value: Any) -> Any:
    if isinstance(value, Map):
        for name, limit in value.items():
            if not isinstance(limit, int | Map) or isinstance(limit, bool):
                raise Hopeless("a limit is a whole number or a mapping", name)
    return value


def _key_value(value: Any) -> Any:
    if not isinstance(value, Seq):
        return value
    found = Map()
    for index, entry in enumerate(value):
        key, equals, text = go_text(entry).partition("=")
        if not equals:
            raise Unparsable(f"invalid value {entry}, expected key=value", index)
        found[key] = text
        found.marks[key] = (value.mark(index), value.mark(index))
    return found


def _ssh(value: Any) -> Any:
    if not isinstance(value, Seq):
        return value
    found = Map()
    for index, entry in enumerate(value):
        key, equals, path = go_text(entry).partition("=")
        if not equals and key != "default":
            raise Unparsable(f'invalid ssh key "{entry}"', index)
        found[key] = path if equals else None
    return found


def _printed(value: Any) -> Any:
    return value if isinstance(value, str) else go_text(value)


def _develop(value: Any) -> Any:
    if isinstance(value, Map) and isinstance(value.get("watch"), Seq):
        for trigger in value["watch"]:
            if isinstance(trigger, Map):
                for key in ("ignore", "include"):
                    if key in trigger:
                        trigger[key] = _listed(trigger[key])
    return value


def _volumes(value: Any) -> Any:
    if isinstance(value, Seq):
        for index, entry in enumerate(value):
            if isinstance(entry, str):
                try:
                    value[index] = parse_volume(entry)
                except ValueError as problem:
                    raise Unparsable(str(problem), index) from None
    return value


_PROPAGATIONS = frozenset({"rprivate", "private", "rshared", "shared", "rslave", "slave"})


def parse_volume(spec: str) -> Map:
    """`[source:]target[:options]` of a service's volumes. Raises ValueError."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) <= 2:
        return Map({"type": "volume", "target": posixpath.normpath(spec)})
    sections = _sections(spec)
    if any(not section for section in sections):
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(sections) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    volume = Map()
    source = sections[0] if len(sections) > 1 else ""
    is_path = _is_path(source)
    volume["type"] = "bind" if is_path else "volume"
    if source:
        volume["source"] = source
    volume["target"] = _clean(sections[-1] if len(sections) == 1 else sections[1])
    bind, named = Map(), Map()
    for option in sections[2].split(",") if len(sections) == 3 else ():
        if option == "ro":
            volume["read_only"] = True
        elif option == "rw":
            volume.pop("read_only", None)
        elif option == "nocopy":
            named["nocopy"] = True
        elif option in _PROPAGATIONS:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if is_path:
        bind["create_host_path"] = True
    if bind or is_path:
        volume["bind"] = bind
    if named or not is_path:
        volume["volume"] = named
    return volume


def _sections(spec: str) -> list[str]:
    """Split at colons, but not within `${...}` nor after a drive letter."""
    plain = spec.split(":")
    if "$" not in spec and all(len(part) != 1 for part in plain):
        return plain
    found, buffer, depth = [], "", 0
    for index, char in enumerate(spec):
        if char == "$" and spec[index + 1 : index + 2] == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif char == ":" and not depth and not (len(buffer) == 1 and buffer.isalpha()):
            found.append(buffer)
            buffer = ""
            continue
        buffer += char
    return [*found, buffer]


def _is_path(source: str) -> bool:
    return source.startswith((".", "/", "~", "\\\\")) or (len(source) > 1 and source[0].isalpha() and source[1] == ":")


def _clean(target: str) -> str:
    return clean(target) if target else ""


def clean(path: str) -> str:
    """path.Clean of Go: as normpath, but `//x` is `/x`."""
    if "//" not in path and "/." not in path and path[-1:] not in ("/", ""):
        return path.removeprefix("./") or "."
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _ports(value: Any) -> Any:
    if not isinstance(value, Seq):
        return value
    found = Seq()
    for index, entry in enumerate(value):
        if isinstance(entry, Map):
            found.add(entry, value.mark(index))
            continue
        if isinstance(entry, float):
            raise Unparsable(f"invalid port {go_text(entry)}: a port is a whole number", index)
        try:
            ports = parse_ports(go_text(entry))
        except ValueError as problem:
            raise Unparsable(str(problem), index) from None
        for port in ports:
            found.add(port, value.mark(index))
    return found


def parse_ports(spec: str) -> list[Map]:
    """`[[ip:]published:]target[/protocol]`, each a port or a range. Raises ValueError with Docker's words."""
    *outer, inner = spec.split(":")
    target, _, protocol = inner.partition("/")
    protocol = (protocol or "tcp").lower()
    address, published = ":".join(outer[:-1]), outer[-1] if outer else ""
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    elif ":" in address:
        raise ValueError(f"Invalid ip address {address}: it needs brackets here, [{address}]")
    if address and not is_address(address):
        raise ValueError(f"Invalid ip address: {address}")
    if not target:
        raise ValueError(f"No port specified: {spec}<empty>")
    first, last = _port_range(target, "containerPort")
    host_first, host_last = _port_range(published, "hostPort") if published else (0, 0)
    if not first:
        raise ValueError(f"{spec}: port 0 is no target port")
    spread = host_last - host_first
    if published and spread != last - first and last != first:
        raise ValueError(f"Invalid ranges specified for container and host Ports: {target} and {published}")
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"Invalid proto: {protocol}")
    ports = []
    for port in sorted(range(first, last + 1), key=str):
        entry = Map({"mode": "ingress", "target": port})
        if address:
            entry["host_ip"] = address
        if published:
            host = host_first + port - first
            entry["published"] = f"{host}-{host_last}" if first == last and spread else str(host)
        entry["protocol"] = protocol
        ports.append(entry)
    return ports


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _port_range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if re.fullmatch("[0-9]+", first) and (not dash or re.fullmatch("[0-9]+", last)):
        low, high = int(first), int(last if dash else first)
        if low <= high <= 65535:
            return low, high
    raise ValueError(f"Invalid {what}: {text}")


WORDS: dict[str, Callable[[Any], Any]] = {
    "build": _build,
    "depends_on": _depends_on,
    "devices": _devices,
    "env_file": _env_file,
    "extends": _extends,
    "files": _files,
    "gpus": _gpus,
    "key_value": _key_value,
    "keyed": _keyed,
    "listed": _listed,
    "ports": _ports,
    "printed": _printed,
    "ssh": _ssh,
    "ulimits": _ulimits,
    "volumes": _volumes,
    "without_blanks": _without_blanks,
}
"""What the models' fields say under `long`."""
BUILD = {name: WORDS[one.long] for name, one, _ in said(service.Build) if one.long}
SERVICE = {name: WORDS[one.long] for name, one, _ in said(service.Service) if one.long} | {"develop": _develop}
"""Attribute of a service -> its long form."""
