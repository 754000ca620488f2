"""Container Device Interface: `devices: ["vendor.com/class=name"]`, `gpus:` → nodes, mounts, variables, groups, hooks of a container.

Specifications are JSON or YAML files of root's in FOLDERS; a later folder wins. Reading is here, what an edit means is pure.
It must never take a specification from a project or a container. CDI specification 0.8.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic_core

from compose_lite.engine.ociconfig import Device
from compose_lite.errors import EngineError

Document = dict[str, Any]
FOLDERS = ("/etc/cdi", "/var/run/cdi")
QUALIFIED = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_-]*)=([A-Za-z0-9][A-Za-z0-9_.:-]*)")
_GPU_KINDS = ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu")
_SHARED_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@dataclass(slots=True)
class Edits:
    """What the devices asked for add to a container."""

    env: list[str] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    mounts: list[Document] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    hooks: dict[str, list[Document]] = field(default_factory=dict)


class Registry:
    """All devices of this machine's specifications: qualified name → the edits of its file, then its own."""

    def __init__(self, documents: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """documents: with the rank of their folder. A name twice in folders of one rank is nobody's."""
        self._found: dict[str, tuple[int, list[Mapping[str, Any]]]] = {}
        self.names: list[str] = []
        clashes: dict[str, int] = {}
        for rank, document in documents:
            shared = document.get("containerEdits") or {}
            for device in document.get("devices") or ():
                name = f"{document.get('kind')}={device.get('name')}"
                have = self._found.get(name)
                if have and have[0] == rank:
                    clashes[name] = rank
                elif not have or have[0] < rank:
                    self._found[name] = rank, [shared, device.get("containerEdits") or {}]
        for name, rank in clashes.items():
            if self._found[name][0] == rank:
                del self._found[name]
        self.names = sorted(self._found, key=_natural)

    def edits(self, names: Sequence[str]) -> list[Mapping[str, Any]]:
        """In order, each file's own once. EngineError in Docker's words."""
        missing = [name for name in names if name not in self._found]
        if missing:
            known = f"This machine has: {', '.join(self.names)}." if self.names else f"There is no specification in {' or '.join(FOLDERS)}."
            says = f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}"
            raise EngineError(says, code="cdi-device", remedy=known)
        found: list[Mapping[str, Any]] = []
        for name in names:
            found += [one for one in self._found[name][1] if one and not any(one is other for other in found)]
        return found


def read(folders: Sequence[str] = FOLDERS) -> Registry:
    """A file that cannot be read as a specification is passed over, as CDI's own registry does; its devices are then unknown."""
    documents = []
    for rank, folder in enumerate(folders):
        with contextlib.suppress(OSError):
            for path in sorted(Path(folder).iterdir()):
                if path.suffix in (".json", ".yaml", ".yml"):
                    with contextlib.suppress(OSError, ValueError):
                        documents.append((rank, _document(path)))
    return Registry(documents)


def _document(path: Path) -> Document:
    text = path.read_text()
    if path.suffix == ".json":
        found = pydantic_core.from_json(text)
    else:
        import yaml  # only where there is such a file

        try:
            found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    if not isinstance(found, dict) or not found.get("kind"):
        raise ValueError(f"{path} is no CDI specification")
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def asked(requests: Iterable[Mapping[str, Any]], registry: Registry) -> tuple[list[str], list[str]]:
    """DeviceRequests → names of CDI devices, and nodes of /dev where graphics cards have no specification."""
    names, nodes = list[str](), list[str]()
    for request in requests:
        if request.get("Driver") == "cdi":
            names += request.get("DeviceIDs") or ()
            continue
        capabilities = [cap for group in request.get("Capabilities") or () for cap in group]
        kind = _gpu_kind(request, capabilities, registry)
        if kind:
            names += _chosen(kind, request, registry)
        elif "gpu" in capabilities and request.get("Driver") in ("", None, "nvidia") and (own := _nvidia_nodes(request)):
            nodes += own
        else:
            says = f'could not select device driver "{request.get("Driver") or ""}" with capabilities: [[{" ".join(capabilities)}]]'
            remedy = f"There is no specification of such a device in {' or '.join(FOLDERS)} (nvidia-ctk cdi generate), and no /dev/nvidia0."
            raise EngineError(says, http_status=400, code="device-driver", remedy=remedy)
    return names, nodes


def _gpu_kind(request: Mapping[str, Any], capabilities: Sequence[str], registry: Registry) -> str:
    driver = str(request.get("Driver") or "")
    for kind in _GPU_KINDS:
        if "gpu" in capabilities and driver in ("", kind.partition(".")[0]) and any(n.startswith(kind + "=") for n in registry.names):
            return kind
    return ""


def _chosen(kind: str, request: Mapping[str, Any], registry: Registry) -> list[str]:
    """`count` of them (-1: all), or those of `device_ids`."""
    ids = request.get("DeviceIDs") or ()
    if ids:
        return [id if "=" in id else f"{kind}={id}" for id in ids]
    single = [name for name in registry.names if name.startswith(kind + "=") and not name.endswith("=all")]
    count = int(request.get("Count") or 0)
    if count < 0:
        every = f"{kind}=all"
        return [every] if every in registry.names else single
    numbered = [name for name in single if name.partition("=")[2].isdigit()] or single
    wanted = max(count, 1)
    if wanted > len(numbered):
        says = f"{wanted} devices of {kind} are asked for, there are {len(numbered)}"
        raise EngineError(says, http_status=400, code="device-driver", remedy=f"This machine has: {', '.join(single)}.")
    return numbered[:wanted]


def _nvidia_nodes(request: Mapping[str, Any]) -> list[str]:
    """The driver's own nodes; its libraries have to be in the image then."""
    cards = sorted((name for name in os.listdir("/dev") if re.fullmatch(r"nvidia\d+", name)), key=_natural)
    ids, count = request.get("DeviceIDs") or (), int(request.get("Count") or 0)
    chosen = [f"nvidia{id}" for id in ids] if ids else cards if count < 0 else cards[: max(count, 1)]
    if not cards or any(card not in cards for card in chosen) or (count > len(cards)):
        return []
    return [f"/dev/{name}" for name in (*_SHARED_NODES, *chosen) if os.path.exists(f"/dev/{name}")]


def combined(parts: Iterable[Mapping[str, Any]], uid: int, gid: int) -> Edits:
    """containerEdits in order as one. uid, gid: the container's user, who gets nodes without an owner of their own."""
    made = Edits()
    for part in parts:
        made.env += part.get("env") or ()
        made.groups += part.get("additionalGids") or ()
        made.devices += [_node(one, uid, gid) for one in part.get("deviceNodes") or ()]
        made.mounts += [_mount(one) for one in part.get("mounts") or ()]
        for hook in part.get("hooks") or ():
            name = hook.get("hookName")
            if name not in _HOOKS:
                raise EngineError(f"CDI device injection failed: unknown hook {name!r}", code="cdi-device")
            made.hooks.setdefault(name, []).append({key: hook[key] for key in ("path", "args", "env", "timeout") if hook.get(key)})
    return made


def _node(wish: Mapping[str, Any], uid: int, gid: int) -> Device:
    path = str(wish["path"])
    source = str(wish.get("hostPath") or path)
    kind, major, minor = wish.get("type") or "", wish.get("major"), wish.get("minor")
    if not kind or major is None or minor is None:
        try:
            found = os.stat(source)
        except OSError as error:
            says = f"CDI device injection failed: failed to stat CDI host device {source!r}: {(error.strerror or '').lower()}"
            raise EngineError(says, code="cdi-device") from error
        kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else "p"
        major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    owner, group = (int(wish[key]) if wish.get(key) is not None else own for key, own in (("uid", uid), ("gid", gid)))
    mode, access = int(wish.get("fileMode") or 0o666), str(wish.get("permissions") or "rwm")
    return Device(path, kind, int(major), int(minor), mode, owner, group, access, source)


def _mount(wish: Mapping[str, Any]) -> Document:
    options = list(wish.get("options") or ())
    if not wish.get("type") and not {"bind", "rbind"} & set(options):
        options.append("rbind")
    return {"destination": wish["containerPath"], "type": wish.get("type") or "bind", "source": wish["hostPath"], "options": options}


def apply(edits: Edits, config: Document) -> None:
    """Into an OCI config that has the devices already."""
    process = config["process"]
    names = {entry.partition("=")[0] for entry in edits.env}
    process["env"] = [entry for entry in process["env"] if entry.partition("=")[0] not in names] + edits.env
    user = process["user"]
    user["additionalGids"] = list(dict.fromkeys([*(user.get("additionalGids") or ()), *edits.groups]))
    config["mounts"] += edits.mounts
    if edits.hooks:
        config["hooks"] = edits.hooks
