"""Volumes: named and anonymous ones, their documents; and a container's mount points from Binds, Mounts, Volumes, VolumesFrom, Tmpfs.

Data stands in data/volumes/<name>/_data. An empty volume first takes the image's content at its place (copy-up).
It must never follow a link out of a volume or an image's root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compose_lite.disk import Folders
from compose_lite.engine.copyup import copy_up
from compose_lite.engine.events import Bus, has_label
from compose_lite.engine.record import Container
from compose_lite.engine.store import Store
from compose_lite.errors import EngineError
from compose_lite.ids import new_id
from compose_lite.linux.openat2 import open_path
from compose_lite.units import parse_rfc3339, rfc3339

Document = dict[str, Any]
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_ANONYMOUS = "com.docker.volume.anonymous"
_TMPFS = re.compile(
    r"(?:size|mode|uid|gid|nr_inodes|nr_blocks|mpol|huge)=.*|r?(?:ro|rw|no(?:suid|dev|exec|atime|diratime|relatime|strictatime|mand|symfollow|swap))"
    r"|suid|dev|exec|sync|async|dirsync|atime|diratime|relatime|strictatime|mand|symfollow|defaults|remount|bind|rbind"
    r"|r?(?:private|shared|slave|unbindable)"
)
_MODES = {"ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "rro"}
_PROPAGATION = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
FILTERS = frozenset(("dangling", "driver", "label", "label!", "name", "all", "until"))


class Volumes:
    """images: the layers (bottom first) of an image by its name, None for one that is not here. discard: takes a folder away."""

    def __init__(
        self,
        store: Store,
        folders: Folders,
        bus: Bus,
        containers: Mapping[str, Container],
        images: Callable[[str], Sequence[str] | None] = lambda name: None,
        discard: Callable[[Path], object] = shutil.rmtree,
    ) -> None:
        self._images, self._discard = images, discard
        self._store, self._bus, self._containers = store, bus, containers
        self.folder = folders.data / "volumes"
        self._filling = threading.Lock()
        self.mounted: set[str] = set()  # ids of containers whose volumes are told to be mounted
        self._known: dict[str, Document] = {document["Name"]: document for document in store.volumes()}

    # documents: /volumes

    def find(self, name: str) -> Document:
        if name not in self._known:
            raise EngineError(f"get {name}: no such volume", http_status=404)
        return self._known[name]

    def listing(self, filters: Mapping[str, Sequence[str]]) -> Document:
        return {"Volumes": [d for d in self._known.values() if self._matches(d, filters)], "Warnings": None}

    def create(self, body: Mapping[str, Any]) -> Document:
        """The volume's document; one that is there already is given back (its driver has to agree)."""
        name = body.get("Name") or ""
        driver = body.get("Driver") or "local"
        labels = body.get("Labels") or None
        if not name:
            name, labels = new_id(), {**(labels or {}), _ANONYMOUS: ""}
        if not _NAME.fullmatch(name):
            says = (
                f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
            )
            raise EngineError(f"{says}. If you intended to pass a host directory, use absolute path", http_status=400)
        if driver != "local":
            says = f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
            raise EngineError(says, http_status=404)
        if name in self._known:
            return self._known[name]
        options = dict(body.get("DriverOpts") or {})
        unknown = [key for key in options if key not in ("type", "o", "device", "size")]
        if unknown:
            raise EngineError(f'create {name}: invalid option: "{unknown[0]}"', http_status=400)
        if options.get("size"):
            raise EngineError(f"create {name}: quota size requested but no quota support", http_status=400)
        for key in ("type", "device"):
            if options and not options.get(key):
                raise EngineError(f'create {name}: missing required option: "{key}"', http_status=400)
        data = self.folder / name / "_data"
        data.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        data.mkdir(exist_ok=True, mode=0o755)
        document = {
            "CreatedAt": rfc3339(time.time_ns() // 10**9 * 10**9),
            "Driver": "local",
            "Labels": labels,
            "Mountpoint": str(data),
            "Name": name,
            "Options": options or None,
            "Scope": "local",
        }
        self._known[name] = document
        self._store.put_volume(name, document)
        self._bus.publish("volume", "create", name, {"driver": "local"})
        return document

    def remove(self, name: str, *, force: bool = False) -> None:
        if name not in self._known and force:
            return
        document = self.find(name)
        users = [c.id for c in self._users(name)]
        if users:
            raise EngineError(f"remove {name}: volume is in use - [{', '.join(users)}]", http_status=409)
        _unmount(document["Mountpoint"])  # before anything is deleted: what is mounted there is not ours
        del self._known[name]
        self._store.delete_volume(name)
        with contextlib.suppress(FileNotFoundError):
            self._discard(Path(document["Mountpoint"]).parent)
        self._bus.publish("volume", "destroy", name, {"driver": "local"})

    def unmount(self) -> None:
        """Nothing runs and the engine ends: what volumes' options had mounted does not stay."""
        for document in self._known.values():
            with contextlib.suppress(EngineError):
                _unmount(document["Mountpoint"])

    def tell_mounted(self, container: Container) -> None:
        self.mounted.add(container.id)
        for point in container.mounts:
            if point["Type"] == "volume":
                where = {"destination": point["Destination"], "propagation": point.get("Propagation") or "", "driver": point["Driver"]}
                written = {"read/write": str(point["RW"]).lower()}
                self._bus.publish("volume", "mount", point["Name"], {"container": container.id, **where, **written})

    def tell_unmounted(self, container: Container) -> None:
        told = container.id in self.mounted
        self.mounted.discard(container.id)
        for point in container.mounts:
            if told and point["Type"] == "volume":
                self._bus.publish("volume", "unmount", point["Name"], {"container": container.id, "driver": point["Driver"]})

    def prune(self, filters: Mapping[str, Sequence[str]]) -> Document:
        everything = any(v.lower() in ("1", "true") for v in filters.get("all", ()))
        rest = {k: v for k, v in filters.items() if k != "all"}
        doomed = [
            d
            for d in self._known.values()
            if not self._users(d["Name"]) and (everything or _ANONYMOUS in (d["Labels"] or {})) and self._matches(d, rest)
        ]
        freed = 0
        for document in doomed:
            freed += folder_size(Path(document["Mountpoint"]))
            self.remove(document["Name"])
        self._bus.pruned("volume", freed)
        return {"VolumesDeleted": [d["Name"] for d in doomed], "SpaceReclaimed": freed}

    def _users(self, name: str) -> list[Container]:
        return [c for c in self._containers.values() if any(m.get("Name") == name for m in c.mounts)]

    def _matches(self, document: Document, filters: Mapping[str, Sequence[str]]) -> bool:
        labels = document["Labels"] or {}
        for key, values in filters.items():
            if key == "label" and not all(has_label(labels, v) for v in values):
                return False
            if key == "label!" and any(has_label(labels, v) for v in values):
                return False
            if key == "name" and not any(v in document["Name"] for v in values):
                return False
            if key == "driver" and document["Driver"] not in values:
                return False
            if key == "dangling" and (not self._users(document["Name"])) != (values[0].lower() in ("1", "true")):
                return False
            if key == "until" and values and parse_rfc3339(document["CreatedAt"]) > int(float(values[0]) * 1e9):
                return False
        return True

    # mount points

    def mount_points(self, container: Container, image_volumes: Iterable[str], find: Callable[[str], Container]) -> list[Document]:
        """The container's mount points by destination: later sources win over VolumesFrom, Binds and Mounts over image volumes."""
        host, points = container.host_config, dict[str, Document]()
        for entry in host.get("VolumesFrom") or ():
            name, _, mode = entry.partition(":")
            for point in find(name).mounts:
                points[point["Destination"]] = {**point, "RW": point["RW"] and mode != "ro", "x-copied": True}
        mine: dict[str, Document] = {}
        for text in host.get("Binds") or ():
            _add(mine, self._bind(text))
        for mount in host.get("Mounts") or ():
            _add(mine, self._mount(mount))
        points |= mine
        for path, options in (host.get("Tmpfs") or {}).items():
            _check_tmpfs(path, options)
            if clean(path) in mine:
                raise EngineError(f"Duplicate mount point: {clean(path)}", http_status=400)
            points[clean(path)] = {**_point("tmpfs", "", path), "x-options": options, "x-hidden": True}
        for path in (*(container.config.get("Volumes") or ()), *image_volumes):
            if clean(path) == "/":
                raise EngineError(f"invalid volume specification: '{path}': destination can't be '/'", http_status=400)
            if clean(path) not in points:
                points[clean(path)] = self._volume_point(self.create({})["Name"], path)
        return list(points.values())

    def _volume_point(self, name: str, destination: str) -> Document:
        document = self._known[name]
        return {**_point("volume", document["Mountpoint"], destination), "Name": name, "Driver": "local"}

    def _bind(self, text: str) -> Document:
        """`source:target[:modes]`, `target`."""
        parts = text.split(":")
        if len(parts) > 3 or not all(parts):
            raise EngineError(f"invalid volume specification: '{text}'", http_status=400)
        if len(parts) == 1:
            return self._volume_point(self.create({})["Name"], parts[0])
        source, target = parts[:2]
        modes = parts[2].split(",") if len(parts) == 3 else []
        unknown = [m for m in modes if m not in _MODES and m not in _PROPAGATION]
        if unknown:
            raise EngineError(f"invalid volume specification: '{text}': invalid mode: {parts[2]}", http_status=400)
        kind = "bind" if source.startswith("/") else "volume"
        propagation = next((m for m in modes if m in _PROPAGATION), "")
        if not target.startswith("/") or clean(target) == "/":
            says = f"invalid mount path: '{target}' mount path must be absolute"
            says = says if clean(target) != "/" else "invalid specification: destination can't be '/'"
            raise EngineError(f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": {says}", http_status=400)
        refused = "VolumeOptions" if kind == "bind" and "nocopy" in modes else "BindOptions" if kind == "volume" and propagation else ""
        if refused:
            says = (
                f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": field {refused} must not be specified"
            )
            raise EngineError(says, http_status=400)
        if kind == "bind":
            point = _point("bind", clean(source), target) | {"x-create": True, "Propagation": "rprivate"}
        else:
            point = self._volume_point(self.create({"Name": source})["Name"], target) | {"Mode": "z", "x-nocopy": "nocopy" in modes}
        point["Mode"] = ",".join(modes) or point["Mode"]
        point["RW"] = "ro" not in modes
        point["Propagation"] = propagation or point["Propagation"]
        return point

    def _mount(self, mount: Mapping[str, Any]) -> Document:
        """An entry of HostConfig.Mounts."""
        kind, source, target = mount.get("Type") or "bind", mount.get("Source") or "", mount.get("Target") or ""
        refuse = f'invalid mount config for type "{kind}": '
        if not target:
            raise EngineError(refuse + "field Target must not be empty", http_status=400)
        if not target.startswith("/"):
            raise EngineError(refuse + f"invalid mount path: '{target}' mount path must be absolute", http_status=400)
        if clean(target) == "/":
            raise EngineError(refuse + "invalid specification: destination can't be '/'", http_status=400)
        if kind == "bind":
            wishes = mount.get("BindOptions") or {}
            if wishes.get("Propagation") and wishes["Propagation"] not in _PROPAGATION:
                raise EngineError(refuse + f"invalid propagation mode: {wishes['Propagation']}", http_status=400)
            if not source:
                raise EngineError(refuse + "field Source must not be empty", http_status=400)
            if not source.startswith("/"):
                raise EngineError(refuse + f"invalid mount path: '{source}' mount path must be absolute", http_status=400)
            if not Path(source).exists() and not wishes.get("CreateMountpoint"):
                raise EngineError(refuse + f"bind source path does not exist: {source}", http_status=400)
            point = _point("bind", clean(source), target) | {
                "Propagation": wishes.get("Propagation") or "rprivate",
                "x-create": bool(wishes.get("CreateMountpoint")),
                "x-nonrecursive": bool(wishes.get("NonRecursive")),
                "x-ro-top": bool(wishes.get("ReadOnlyNonRecursive")),
            }
            if idmap := wishes.get("x-compose-lite.idmap"):
                if idmap != "match-user":
                    raise EngineError(refuse + f"idmap {idmap!r} is not known: match-user is", http_status=400)
                point["x-idmap"] = idmap
        elif kind == "volume":
            if not source and mount.get("ReadOnly"):
                raise EngineError(refuse + "must not set ReadOnly mode when using anonymous volumes", http_status=400)
            wishes = mount.get("VolumeOptions") or {}
            driver = wishes.get("DriverConfig") or {}
            body = {"Name": source, "Driver": driver.get("Name"), "DriverOpts": driver.get("Options"), "Labels": wishes.get("Labels")}
            point = self._volume_point(self.create(body)["Name"], target)
            point |= {"Mode": "z", "x-nocopy": bool(wishes.get("NoCopy")), "x-subpath": wishes.get("Subpath") or ""}
        elif kind == "tmpfs":
            if source:
                raise EngineError(refuse + "field Source must not be specified", http_status=400)
            wishes = mount.get("TmpfsOptions") or {}
            words = [f"size={wishes['SizeBytes']}"] if wishes.get("SizeBytes") else []
            words += [f"mode={wishes['Mode']:o}"] if wishes.get("Mode") else []
            words += ["=".join(option) for option in wishes.get("Options") or ()]
            point = _point("tmpfs", "", target) | {"x-options": ",".join(words)}
        elif kind == "image":
            return self._image_point(source, target, (mount.get("ImageOptions") or {}).get("Subpath") or "")
        else:
            raise EngineError(refuse + "mount type unknown", http_status=400)
        point["RW"] = not mount.get("ReadOnly")
        return point

    def _image_point(self, source: str, target: str, subpath: str) -> Document:
        """An image's files, read-only: as a volume of them would be."""
        layers = self._images(source) if source else None
        if layers is None:
            raise EngineError(f"No such image: {source}", http_status=404)
        found = layers
        if subpath:
            found = [place for layer in layers if (place := _inside(layer, subpath)) is not None]
            if not found:
                raise EngineError(f"cannot access path {subpath} of image {source}: no such file or directory", http_status=400)
            found = [place for place in found if os.path.isdir(place)] if os.path.isdir(found[-1]) else found[-1:]
        point = _point("image", found[-1], target) | {"Name": source, "Propagation": "rprivate", "x-layers": list(found)}
        return point | {"RW": False}

    # at a start

    def source(self, point: Mapping[str, Any], layers: Sequence[str]) -> str:
        """Where the mount point's content is on the machine, made and filled where it has to be. Blocking."""
        if point["Type"] == "bind":
            path = Path(point["Source"])
            if not path.exists():
                if not point.get("x-create"):
                    says = f'invalid mount config for type "bind": bind source path does not exist: {path}'
                    raise EngineError(says, http_status=400)
                path.mkdir(parents=True, exist_ok=True)
            check_propagation(str(path), point.get("Propagation") or "")
            return str(path)
        if point["Type"] != "volume":
            return ""
        document = self.find(point["Name"])
        root = self._backing(document)
        is_fresh = (document["Options"] or {}).get("type") == "tmpfs"  # Docker fills what it mounts for that moment alone
        if not point.get("x-nocopy") and not point.get("x-subpath") and not point.get("x-copied") and not is_fresh:
            with self._filling:  # containers that start side by side may share it
                self._fill(document["Name"], root, layers, point["Destination"])
        subpath = point.get("x-subpath")
        if not subpath:
            return root
        fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            inner = open_path(fd, subpath)
            try:
                return str(Path(f"/proc/self/fd/{inner}").readlink())
            finally:
                os.close(inner)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise EngineError(f"cannot access path {root}/{subpath}: lstat {root}/{subpath}: {why}", http_status=400) from error
        finally:
            os.close(fd)

    def is_readonly(self, point: Mapping[str, Any]) -> bool:
        """Whether the volume's own options say so (`o: bind,ro`); inspect shows what the service said."""
        options = (self.find(point["Name"])["Options"] or {}) if point["Type"] == "volume" else {}
        return "ro" in (options.get("o") or "").split(",")

    def _fill(self, name: str, root: str, layers: Sequence[str], place: str) -> None:
        """An empty volume, or one whose filling was broken off by a kill, takes the image's content."""
        begun = self.folder / name / "filling"
        if _is_empty(root) or begun.exists():
            begun.touch()
            copy_up(layers, place, root)
            begun.unlink()

    def _backing(self, document: Document) -> str:
        """The folder that is mounted: the volume's own, or what the local driver's options say (a bind; others are mounted)."""
        options = document["Options"] or {}
        data = document["Mountpoint"]
        if not options.get("device"):
            return str(data)
        words = (options.get("o") or "").split(",")
        if options.get("type") in ("none", "", None) and {"bind", "rbind"} & set(words):
            if not Path(options["device"]).exists():
                says = f"failed to mount local volume: mount {options['device']}:{data}, flags: 0x1000: no such file or directory"
                raise EngineError(says)
            return str(options["device"])
        if not os.path.ismount(data):
            from compose_lite.linux import mount

            if options.get("type") in ("nfs", "nfs4", "cifs"):
                words = [resolved(word) for word in words]
            found = mount.Options([w for w in words if w])
            try:
                mount.mount(options["device"], data, options.get("type"), found.flags, found.data)
            except OSError as error:
                says = (
                    f"failed to mount local volume: mount {options['device']}:{data}, data: {found.data}: {(error.strerror or '').lower()}"
                )
                raise EngineError(says) from error
        return str(data)


def _inside(layer: str, path: str) -> str | None:
    """Where a path of an image is in one of its layers; links lead nowhere else."""
    root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_path(root, path)
    except OSError:
        return None
    finally:
        os.close(root)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def folder_mode(layers: Sequence[str], path: str) -> int:
    """The permissions of an image's folder, which a tmpfs on it takes over; those of a tmpfs where there is none."""
    for layer in reversed(layers):
        found = _inside(layer, path)
        if found is not None and os.path.isdir(found):
            return stat.S_IMODE(os.stat(found).st_mode)
    return 0o1777


def resolved(word: str) -> str:
    """`addr=server` of a network file system with the address, which is all that the kernel takes. Blocking."""
    key, _, host = word.partition("=")
    if key != "addr" or not host:
        return word
    try:
        return f"addr={socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]}"
    except (OSError, UnicodeError) as error:  # the second: no name at all
        why = error.strerror if isinstance(error, OSError) else "not a host's name"
        raise EngineError(f"error resolving passed in network volume address {host!r}: {why}", code="volume-address") from error


def _unmount(data: str) -> None:
    """Takes away what the driver's options had mounted, however often. 409 when it stays."""
    from compose_lite.linux import mount

    while True:
        try:
            mount.umount(data, mount.DETACH)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):  # nothing is mounted there; os.path.ismount overlooks bind mounts
                return
            if error.errno == errno.EPERM and not os.path.ismount(data):
                return
            raise EngineError(f"cannot unmount {data}: {(error.strerror or '').lower()}", http_status=409) from error


def check_propagation(path: str, wish: str, mountinfo: str = "/proc/self/mountinfo") -> None:
    """A shared or slave mount can only be had of a mount that is so itself. EngineError in Docker's words."""
    if not wish.endswith(("shared", "slave")):
        return
    real, best, kinds = os.path.realpath(path), "", ""
    with open(mountinfo) as table:
        for line in table:
            left = line.partition(" - ")[0].split()
            point = left[4].encode().decode("unicode_escape")
            if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                best, kinds = point, " ".join(left[6:])
    if wish.endswith("shared") and "shared:" not in kinds:
        raise EngineError(f"path {path} is mounted on {best} but it is not a shared mount")
    if wish.endswith("slave") and "shared:" not in kinds and "master:" not in kinds:
        raise EngineError(f"path {path} is mounted on {best} but it is not a shared or slave mount")


def _check_tmpfs(path: str, text: str) -> None:
    if not path.startswith("/"):
        raise EngineError(f"invalid mount path: '{path}' mount path must be absolute", http_status=400)
    if clean(path) == "/":
        raise EngineError("invalid specification: destination can't be '/'", http_status=400)
    for word in text.split(","):
        if word and not _TMPFS.fullmatch(word):
            raise EngineError(f'invalid tmpfs option "{word.partition("=")[0]}"', http_status=400)


def _add(points: dict[str, Document], point: Document) -> None:
    if point["Destination"] in points:
        raise EngineError(f"Duplicate mount point: {point['Destination']}", http_status=400)
    points[point["Destination"]] = point


def _point(kind: str, source: str, destination: str) -> Document:
    return {"Type": kind, "Source": source, "Destination": clean(destination), "Mode": "", "RW": True, "Propagation": ""}


def clean(path: str) -> str:
    """A path without empty parts, `.` and `..`."""
    return os.path.normpath("/" + path.lstrip("/"))


def visible(point: Mapping[str, Any]) -> Document:
    """A mount point as inspect shows it."""
    return {key: value for key, value in point.items() if not key.startswith("x-")}


def _is_empty(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return not any(entry.name != "lost+found" for entry in entries)


def folder_size(folder: Path) -> int:
    total = 0
    for here, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{here}/{name}").st_blocks * 512
    return total
