"""Device nodes of the machine that a container asks for: `devices`, a privileged container's whole /dev, `blkio_config`'s disks.

It must never follow a path inside a container: all paths here are the machine's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from typing import Any

from compose_lite.engine.ociconfig import Device
from compose_lite.engine.volumes import clean
from compose_lite.errors import EngineError

_THROTTLED = ("BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps")


def devices_of(host: Mapping[str, Any]) -> list[Device]:
    """All nodes that a HostConfig asks for. Raises EngineError in Docker's words."""
    found = machine_devices() if host["Privileged"] else []
    for wish in host["Devices"] or ():
        source, target = wish.get("PathOnHost") or "", wish.get("PathInContainer") or wish.get("PathOnHost") or ""
        found += devices_at(source, target, wish.get("CgroupPermissions") or "rwm")
    return found


def devices_at(source: str, target: str, access: str, *, follow: bool = True) -> list[Device]:
    """The node (follow: a link to one too), or all nodes below a folder, where links are passed over."""
    try:
        found = os.stat(source, follow_symlinks=follow)
    except OSError as error:
        says = f'error gathering device information while adding custom device "{source}": {(error.strerror or "").lower()}'
        raise EngineError(says) from error
    if stat.S_ISDIR(found.st_mode):
        nodes = []
        for entry in sorted(os.listdir(source)):
            with contextlib.suppress(EngineError):
                nodes += devices_at(f"{source}/{entry}", f"{target}/{entry}", access, follow=False)
        return nodes
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    if not kind:
        raise EngineError(f'error gathering device information while adding custom device "{source}": not a device node')
    numbers = os.major(found.st_rdev), os.minor(found.st_rdev)
    return [Device(clean(target), kind, *numbers, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, access, source)]


def machine_devices() -> list[Device]:
    """Every node of the machine's /dev, for a privileged container."""
    found = []
    for here, folders, files in os.walk("/dev"):
        folders[:] = [f for f in folders if f not in ("pts", "shm", "mqueue", "fd")]
        for name in files:
            if name not in ("console", "ptmx"):
                with contextlib.suppress(EngineError):
                    found += devices_at(f"{here}/{name}", f"{here}/{name}", "rwm", follow=False)
    return found


def disk_numbers(host: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Path → (major, minor) of every disk that a weight or a rate is asked for. Raises EngineError in Docker's words."""
    found = {}
    for key in _THROTTLED:
        for entry in host.get(key) or ():
            path = str(entry.get("Path") or "")
            try:
                number = os.stat(path).st_rdev
            except OSError as error:
                raise EngineError(f"stat {path}: {(error.strerror or '').lower()}", http_status=400) from error
            if not number:
                raise EngineError(f"{path} is no disk: rates and weights are for block devices", http_status=400)
            found[path] = (os.major(number), os.minor(number))
    return found
