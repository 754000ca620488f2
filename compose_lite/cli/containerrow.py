"""A container's summary (GET /containers/json) as `container ls` prints it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    """`443/tcp, 0.0.0.0:80-81->80-81/tcp, 0.0.0.0:8000->90/tcp`: neighbours that keep their number are one range; others come last."""
    runs: dict[tuple[str, str], tuple[int, int]] = {}  # (address, protocol) -> first and last port of the range that grows
    done: list[str] = []
    moved: list[str] = []
    for port in sorted(found, key=lambda p: (p["PrivatePort"], p.get("IP", ""), p.get("PublicPort") or 0, p.get("Type", "tcp"))):
        inner, public, protocol = int(port["PrivatePort"]), int(port.get("PublicPort") or 0), port.get("Type", "tcp")
        address = port.get("IP", "") if public else ""
        if address and public != inner:
            moved.append(f"{_joined(address, public)}->{inner}/{protocol}")
            continue
        first, last = runs.get((address, protocol), (inner, inner))
        if inner > last + 1:
            done.append(_range(address, protocol, first, last))
            first = inner
        runs[address, protocol] = (first, inner)
    done += [_range(address, protocol, *run) for (address, protocol), run in runs.items()]
    return ", ".join(dict.fromkeys(done + moved))


def _range(address: str, protocol: str, first: int, last: int) -> str:
    span = str(first) if first == last else f"{first}-{last}"
    return f"{_joined(address, span)}->{span}/{protocol}" if address else f"{span}/{protocol}"


def _joined(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
