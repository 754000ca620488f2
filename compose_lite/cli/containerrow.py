"""A container's summary (GET /containers/json) as `container ls` prints it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compose_lite import ids, units
from compose_lite.cli import nouns, tables

HEADERS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def row(container: Mapping[str, Any], now: float, *, no_trunc: bool = False, size: bool = False) -> tables.Row:
    labels, label = tables.labelled(container.get("Labels"))
    mounts = container.get("Mounts") or ()
    command = str(container.get("Command") or "")
    named = [m.get("Name") or m.get("Source") or "" for m in mounts]
    created = float(container.get("Created") or 0)
    image = str(container.get("Image") or "<no image>")
    names = [n.lstrip("/") for n in container.get("Names") or () if "/" not in n.lstrip("/")]
    return {
        "ID": container["Id"] if no_trunc else ids.short(container["Id"]),
        "Names": ",".join(names),
        "Image": ids.short(image) if image.startswith("sha256:") and not no_trunc else image,
        "Command": json.dumps(command if no_trunc else tables.trimmed(command, 20), ensure_ascii=False),
        "CreatedAt": nouns.created_at(created),
        "RunningFor": nouns.ago(created, now),
        "Ports": ports(container.get("Ports") or ()),
        "State": container.get("State", ""),
        "Status": container.get("Status", ""),
        "Size": _size(container, size),
        "Labels": labels,
        "Label": label,
        "Mounts": ",".join(named if no_trunc else [tables.trimmed(n, 15) for n in named]),
        "LocalVolumes": str(sum(m.get("Driver") == "local" for m in mounts)),
        "Networks": ",".join(sorted((container.get("NetworkSettings") or {}).get("Networks") or ())),
        "Platform": None,
    }


def _size(container: Mapping[str, Any], whole: bool) -> str:
    own = units.human_size(container.get("SizeRw") or 0)
    virtual = container.get("SizeRootFs") or 0
    return f"{own} (virtual {units.human_size(virtual)})" if virtual and whole else own


def ports(found: Sequence[Mapping[str, Any]]) -> str:
    """`0.0.0.0:8000-8001->8000-8001/tcp, 443/tcp`: neighbours with the same offset are one range."""
    keyed = sorted({_key(port) for port in found}, key=lambda k: (k[0] == "", k[1], k[2] == "", ":" in k[2], k[0], k[3]))
    return ", ".join(_text(*run) for run in _ranges(keyed))


def _key(port: Mapping[str, Any]) -> tuple[str, str, str, int, int]:
    """(has a host's port, protocol, address, inner port, the host's port or 0)"""
    public = int(port.get("PublicPort") or 0)
    return ("public" if public else "", port.get("Type", "tcp"), port.get("IP", "") if public else "", int(port["PrivatePort"]), public)


def _ranges(keyed: Sequence[tuple[str, str, str, int, int]]) -> Iterator[tuple[tuple[str, str, str, int, int], int]]:
    """(the first of each run, how many more follow it)"""
    first, more = None, 0
    for one in keyed:
        if first and one[:3] == first[:3] and one[3] == first[3] + more + 1 and one[4] == (first[4] and first[4] + more + 1):
            more += 1
            continue
        if first:
            yield first, more
        first, more = one, 0
    if first:
        yield first, more


def _text(first: tuple[str, str, str, int, int], more: int) -> str:
    _, protocol, address, inner, public = first
    span = f"-{inner + more}" if more else ""
    if not public:
        return f"{inner}{span}/{protocol}"
    where = f"[{address}]" if ":" in address else address
    return f"{where}:{public}{f'-{public + more}' if more else ''}->{inner}{span}/{protocol}"
