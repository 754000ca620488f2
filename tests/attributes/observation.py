"""What one tool made of a Compose file, without what is another each time, and where two of them part. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


@dataclass(frozen=True, slots=True)
class Observation:
    """refused: the tool's words when `up` failed. probe, executed: parts by name, of the service's own command and of an exec."""

    status: int | None
    refused: str = ""
    probe: Mapping[str, list[str]] = field(default_factory=dict)
    executed: Mapping[str, list[str]] = field(default_factory=dict)
    inspected: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool ran it. namespaces: kind -> number, of the machine; others: of the container that may be shared with."""

    project: str
    folder: str
    namespaces: Mapping[str, str]
    others: Mapping[str, str] = field(default_factory=dict)


_WORDS = (
    (r"\b[0-9a-f]{64}\b", "ID64"),
    (r"\b[0-9a-f]{12}\b", "ID12"),
    (r"\b(?:172\.(?:1[6-9]|2\d|3[01])|192\.168)\.\d+\.\d+", "ADDRESS"),
    (r"(?<=ADDRESS)/\d+", ""),  # of which pool it is
    (r"\b10\.211\.\d+\.", "10.211.N."),
    (r"fd00:\d+:", "fd00:N:"),
    (r"\b(?!02:42:ac:11|00:00:00:00|ff:ff:ff)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "HARDWARE"),
    (r"fe80::[0-9a-f:]+", "LINKLOCAL"),
    (r"/(?:docker|compose-lite)/(?=ID64)", "/GROUP/"),
    (r"^(\d+): (?=eth|lan)", "N: "),
    (r"(?<=memory:)/\S+(?=/attributes-parent)", ""),
    (r"^/mnt/i: (total \d+|drwx.* (dev|proc|sys|etc))$", "/mnt/i:"),
    (r"(?<=runc create failed: )unable to start container process: error during container init: ", ""),
    (r"pipe:\[\d+\]", "pipe"),
    (r"socket:\[\d+\]", "socket"),
)


def plain(text: str, place: Place) -> str:
    text = text.replace(place.folder, "FOLDER").replace(place.project, "PROJECT")
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    return text


def parts(text: str, place: Place) -> dict[str, list[str]]:
    """The probe's output by part."""
    found: dict[str, list[str]] = {}
    lines = found.setdefault("", [])
    for line in text.splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line[3:], [])
            continue
        name = next(reversed(found))
        lines.append(_namespace(line, place) if name == "namespaces" else plain(line, place))
    if "mounts" in found:
        found["mounts"] = sorted(line for line in map(_mount, found["mounts"]) if not _is_cover(line) and not _is_own(line))
    if "names" in found:  # who wrote a file, and what tabs stand in it, is nobody's business
        found["names"] = [re.sub(r"\s+", " ", line) for line in found["names"] if ": #" not in line and not line.endswith(": ")]
    for name in ("files", "where"):
        if name in found:
            found[name] = [_without_time(line) for line in found[name]]
    return found


def _namespace(line: str, place: Place) -> str:
    kind = line.partition(":")[0]
    owner = "machine" if place.namespaces.get(kind) == line else "other" if place.others.get(kind) == line else "own"
    return f"{kind} {owner}"


def _mount(line: str) -> str:
    """proc_pid_mountinfo(5) without numbers: place, root, options, propagation, type, source, the file system's own options."""
    words = line.split(" ")
    if "-" not in words:
        return line
    dash = words.index("-")
    # Docker's volumes are slaves of the machine's mounts: stricter is no difference
    propagation = ",".join(re.sub(r":\d+", "", word) for word in words[6:dash] if "master" not in word) or "private"
    kind, source, *options = words[dash + 1 :]
    root = words[3]
    if "ID64" in root or "ID12" in root:
        root = re.sub(r"^.*?(?=/ID64)", "", root) if "/_data" not in root else re.sub(r"^.*/(?=[^/]+/_data)", "", root)
    root = re.sub(r"^.*/(?=[^/]+/_data)", "", root)
    root = re.sub(r"^/(?:run|tmp).*?/(?:ID64)/", "/ID64/", root)
    more = "" if kind in ("overlay", "ext4", "devtmpfs") else ",".join(sorted(re.sub(r"\binode64\b,?", "", ",".join(options)).split(",")))
    more = more.removeprefix("ro").removeprefix("rw") if kind == "tmpfs" else more
    shown = "" if kind in ("overlay", "cgroup") else source  # the machine's word for the hierarchy
    return f"{words[4]} {root} {words[5]} {propagation} {kind} {shown} {more}"


def _is_own(mount: str) -> bool:
    """Files in memory, which Docker Compose writes into the container, and images, which are mounted from their layers."""
    at, root, *_ = [*mount.split(" "), ""]
    return bool(re.fullmatch(r"/ID64/\d+", root)) or at.startswith("/mnt/i")


def _is_cover(mount: str) -> bool:
    """What lies over a masked path is another file system's null or empty folder; so is the group of cgroup v2 on a hybrid machine."""
    at, root, options, _, kind, *_ = [*mount.split(" "), "", "", "", "", ""]  # a line that was broken off is none
    return (at.startswith(("/proc/", "/sys/")) and (root == "/null" or (kind == "tmpfs" and options.startswith("ro")))) or at.endswith(
        ("/unified", "/sbin/docker-init")
    )


def _without_time(line: str) -> str:
    """Times of this century's twenties differ; those that were set are older."""
    return re.sub(r" 202[1-9]-\d\d-\d\d \d\d:\d\d:\d\d\.?\d* \+0000", " NOW", re.sub(r" +", " ", line))


_UNLIKE = {
    "Id", "Created", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "ExecIDs", "GraphDriver", "StartedAt",
    "FinishedAt", "Pid", "SandboxID", "SandboxKey", "EndpointID", "NetworkID", "Start", "End", "Log", "x-compose-lite", "Gateway",
    "IPAddress", "IPPrefixLen", "ContainerIDFile",
}  # fmt: skip
_LABELS = ("config-hash", "version", "image", "replace", "environment_file", "project.working_dir", "project.config_files")


def inspected(document: Mapping[str, Any], place: Place) -> Document:
    """`inspect` as path -> value, without ids, times and places."""
    found = {}
    for path, value in _leaves(document, ()) if document else ():
        name = path[-1] if path else ""
        if set(path) & _UNLIKE or any(name == f"com.docker.compose.{label}" for label in _LABELS):
            continue
        if name == "HostPort" and str(value) >= "3":
            value = "PORT"
        if name == "Error":  # the runtimes' words
            value = bool(value)
        if path[:2] == ("HostConfig", "BlkioWeightDevice") or path[-1:] == ("BlkioWeight",):
            continue  # Docker forgets weights where the kernel has none by that name
        if name in ("ExtraHosts", "Links") and isinstance(value, list):
            value = sorted(value)
        if name == "Env" and isinstance(value, list):  # Compose gives it in the order of a map
            value = sorted(value)
        if path[0] == "Mounts" and name == "Mode":  # of what comes from another container
            continue
        if name == "Source" and isinstance(value, str):
            value = re.sub(r"^.*/(?=[^/]+/_data$)", "", value)
        text = plain(json.dumps(value), place)
        found[plain(".".join(path), place)] = text
    return found


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        entries = sorted(value, key=lambda entry: str(entry.get("Destination") or entry.get("Target") or entry.get("Name") or ""))
        for number, inner in enumerate(entries):
            yield from _leaves(inner, (*path, str(number)))
    else:
        yield path, value


# Our runtime has another name, and a first probe comes at once (engine/health.py).
_KNOWN = {"HostConfig.Runtime", "State.Health.Status", "State.Health.FailingStreak"}


def differences(ours: Observation, reference: Observation) -> list[str]:
    """A line for each thing that differs."""
    found: list[str] = []
    if (ours.status == 0) != (reference.status == 0):
        return [f"up: {ours.status} != {reference.status}", f"ours: {ours.refused.strip()}", f"reference: {reference.refused.strip()}"]
    if not ours.inspected or not reference.inspected:  # one is refused when it is made, the other when it starts
        return found
    if "host" in ours.inspected.get("HostConfig.NetworkMode", ""):  # each shows the hosts file of the root that it runs in
        for parts_of in (ours.probe, reference.probe, ours.executed, reference.executed):
            _without_hosts(parts_of)
    for title, left, right in (("probe", ours.probe, reference.probe), ("exec", ours.executed, reference.executed)):
        for name in sorted({*left, *right}):
            found += _unlike(f"{title} {name}", left.get(name, ()), right.get(name, ()))
    for key in sorted({*ours.inspected, *reference.inspected} - _KNOWN):
        a, b = ours.inspected.get(key, "-"), reference.inspected.get(key, "-")
        if a != b and {a, b} - {"-", "null", "{}", "[]", '""', "0", "false"}:
            found.append(f"inspect {key}: {a} != {b}")
    if ours.ended != reference.ended:
        found.append(f"end: {ours.ended} != {reference.ended}")
    return found


def _without_hosts(found: Mapping[str, list[str]]) -> None:
    if "names" in found:
        found["names"][:] = [line for line in found["names"] if not line.startswith("hosts:")]


def _unlike(title: str, left: Sequence[str], right: Sequence[str]) -> list[str]:
    only, missing = [line for line in left if line not in right], [line for line in right if line not in left]
    if not only and not missing:
        return [] if list(left) == list(right) or sorted(left) == sorted(right) else [f"{title}: counts differ"]
    return [f"{title}:", *(f"      + {line}" for line in only[:12]), *(f"      - {line}" for line in missing[:12])]
