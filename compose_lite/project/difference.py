"""What is different between two configurations of a service, key by key. Pure.

`before` is what a container was made from: our engine keeps it (confighash.configuration). Of another engine's container only
its inspect document is known: `shown_by` reads from that what can be read, `comparable` gives the same of the file. What neither shows
(a hash that differs and nothing else) has to be said in words by whoever shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compose_lite.ids import LABEL
from compose_lite.project.containerspec import Instance, create_body
from compose_lite.project.observe import Document

Path = tuple[str | int, ...]


class Missing:
    """No value at all, which is not the same as null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Change:
    """One key. path: below the service, as the Compose file has it; list entries by their index in the new list."""

    path: Path
    before: Any = MISSING
    after: Any = MISSING


def changes(before: Any, after: Any, path: Path = ()) -> list[Change]:
    """From one JSON document to the other, in the order of the keys."""
    return list(_changes(_json(before), _json(after), path))


def _json(value: Any) -> Any:
    """As it comes back from a store: what is only another type there is no change."""
    return json.loads(json.dumps(value, default=str))


def _changes(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if before == after or (_nothing(before) and _nothing(after)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _changes(before.get(key, MISSING), after.get(key, MISSING), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and _entries(before, after):
        yield from _listed(before, after, path)
    else:
        yield Change(path, before, after)


def _nothing(value: Any) -> bool:
    """Nobody said so, in any of its forms."""
    return value is MISSING or value is None or value == {} or value == []


def _entries(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Lists of things that stand for themselves (ports, mounts); a list of words is one value."""
    return all(isinstance(item, dict) for item in (*before, *after))


def _listed(before: Sequence[Any], after: Sequence[Any], path: Path) -> Iterator[Change]:
    """Equal entries are no change wherever they stand; those of one target are the same entry, changed."""
    gone = [item for item in before if item not in after]
    for index, item in enumerate(after):
        if item in before:
            continue
        old = next((other for other in gone if _name(other) and _name(other) == _name(item)), MISSING)
        if old is MISSING:
            yield Change((*path, index), MISSING, item)
        else:
            gone.remove(old)
            yield from _changes(old, item, (*path, index))
    for item in gone:
        yield Change(path, item, MISSING)


def _name(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes it the same entry with another value."""
    found = tuple(str(item[key]) for key in ("target", "protocol") if item.get(key))
    return found or tuple(str(item[key]) for key in ("source", "path") if key in item)


# --- containers of another engine: what their inspect document shows

_HOST = {
    "Privileged": "privileged", "ReadonlyRootfs": "read_only", "CapAdd": "cap_add", "CapDrop": "cap_drop", "Dns": "dns",
    "DnsSearch": "dns_search", "DnsOptions": "dns_opt", "ExtraHosts": "extra_hosts", "GroupAdd": "group_add", "Init": "init",
    "NanoCpus": "cpus", "Memory": "mem_limit", "PidsLimit": "pids_limit", "Sysctls": "sysctls", "Tmpfs": "tmpfs", "Ulimits": "ulimits",
}  # fmt: skip
_CONFIG = {"User": "user", "WorkingDir": "working_dir", "Hostname": "hostname", "StopSignal": "stop_signal", "Tty": "tty",
           "Healthcheck": "healthcheck"}  # fmt: skip
"""Docker's key: the attribute. Compared where the file says something, since an image or the engine may have filled it in."""


def shown_by(container: Document, image: Document, asked: Document) -> Document:
    """Attributes that the container's inspect document shows. image: its own; asked: the create document of today."""
    config, host, from_image = container.get("Config") or {}, container.get("HostConfig") or {}, image.get("Config") or {}
    found: Document = {"image": config.get("Image")}
    found["environment"] = _own(_pairs(config.get("Env")), _pairs(from_image.get("Env")), _pairs(asked.get("Env")))
    found["labels"] = _own(config.get("Labels") or {}, from_image.get("Labels") or {}, _labels(asked))
    for key, attribute in (("Cmd", "command"), ("Entrypoint", "entrypoint")):
        if asked.get(key) is not None or config.get(key) != from_image.get(key):
            found[attribute] = config.get(key)
    found["ports"] = _ports(host)
    found["restart"] = _restart(host)
    if asked["NetworkingConfig"]["EndpointsConfig"]:
        found["networks"] = sorted((container.get("NetworkSettings") or {}).get("Networks") or {})
    found["volumes"] = sorted(
        f"{m['Name'] if m.get('Type') == 'volume' else m.get('Source', '')}:{m['Destination']}{'' if m.get('RW', True) else ':ro'}"
        for m in container.get("Mounts") or ()
        if m.get("Type") in ("bind", "volume") and m.get("Destination") in {w["Target"] for w in _mounts(asked)}
    )
    return found | _plain(_HOST, asked.get("HostConfig") or {}, host) | _plain(_CONFIG, asked, config)


def comparable(one: Instance) -> Document:
    """The same attributes of what the file wants now."""
    asked = create_body(one)
    host = asked["HostConfig"]
    found: Document = {"image": asked["Image"], "environment": _pairs(asked["Env"]), "labels": _labels(asked)}
    for key, attribute in (("Cmd", "command"), ("Entrypoint", "entrypoint")):
        if asked.get(key) is not None:
            found[attribute] = asked[key]
    found["ports"], found["restart"] = _ports(host), _restart(host)
    if asked["NetworkingConfig"]["EndpointsConfig"]:
        found["networks"] = sorted(asked["NetworkingConfig"]["EndpointsConfig"])
    found["volumes"] = sorted(f"{m['Source']}:{m['Target']}{':ro' if m.get('ReadOnly') else ''}" for m in _mounts(asked))
    return found | _plain(_HOST, host, host) | _plain(_CONFIG, asked, asked)


def _pairs(entries: Sequence[str] | None) -> dict[str, str]:
    return {key: value for key, equals, value in (e.partition("=") for e in entries or ()) if equals}


def _own(seen: Mapping[str, str], from_image: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """What the service said: not what its image says, nor Compose's own labels."""
    return {k: v for k, v in seen.items() if not k.startswith(LABEL) and (k in wanted or from_image.get(k) != v)}


def _labels(asked: Document) -> dict[str, str]:
    return {key: value for key, value in (asked.get("Labels") or {}).items() if not key.startswith(LABEL)}


def _ports(host: Document) -> list[str]:
    bound = host.get("PortBindings") or {}
    return sorted(f"{b.get('HostIp') or ''}:{b.get('HostPort') or ''}:{port}".lstrip(":") for port, all in bound.items() for b in all or ())


def _restart(host: Document) -> str:
    policy = host.get("RestartPolicy") or {}
    count = policy.get("MaximumRetryCount")
    return (policy.get("Name") or "no") + (f":{count}" if count else "")


def _mounts(asked: Document) -> list[Document]:
    host = asked["HostConfig"]
    texts = (text.split(":") for text in host.get("Binds") or ())
    found = [{"Source": source, "Target": target, "ReadOnly": "ro" in modes.split(",")} for source, target, modes in texts]
    return found + [m for m in host.get("Mounts") or () if m.get("Type") in ("bind", "volume") and m.get("Source")]


def _plain(table: Mapping[str, str], asked: Document, source: Document) -> Document:
    return {attribute: _unprefixed(key, source.get(key)) for key, attribute in table.items() if asked.get(key)}


def _unprefixed(key: str, value: Any) -> Any:
    """dockerd writes CAP_ before capabilities."""
    return sorted(str(name).removeprefix("CAP_") for name in value or ()) if key in ("CapAdd", "CapDrop") else value
