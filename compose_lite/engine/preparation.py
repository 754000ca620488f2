"""What a start needs of the machine: a container's record → its Launch, with users, files, mounts and devices looked up.

May block (bind sources, copy-up), but never changes a record nor starts anything.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compose_lite.disk import Folders
from compose_lite.engine import cdi, defaults, initlayer, links, ociconfig, runtimes, users
from compose_lite.engine.devices import devices_at, devices_of, disk_numbers
from compose_lite.engine.record import Container
from compose_lite.engine.seats import Seats
from compose_lite.engine.volumes import Volumes, folder_mode
from compose_lite.errors import EngineError
from compose_lite.image.store import ImageStore
from compose_lite.linux import capabilities, cgroups, mount
from compose_lite.runtime.config import Launch, Log, Overlay
from compose_lite.subordinate import Remapping
from compose_lite.units import parse_size

Document = dict[str, Any]
_INIT_MOUNT = {"Type": "bind", "RW": False}


class Preparation:
    """See the module's text. find: a container by id or name."""

    def __init__(self, folders: Folders, volumes: Volumes, find: Callable[[str], Container]) -> None:
        self.folders, self.volumes, self.find = folders, volumes, find
        self.seats: Seats
        self.held = capabilities.names(capabilities.own())
        self.cgroup_version = cgroups.layout().version
        self.machine = os.uname().machine
        self.rootless = _in_user_namespace()
        self.remap: Remapping | None = None  # the engine's; see `remap_of`
        self._accounts: dict[tuple[str, ...], tuple[str, str]] = {}

    # folders

    def path(self, id: str) -> Path:
        return self.folders.container(id)

    def log_path(self, id: str) -> str:
        return str(self.path(id) / f"{id}-json.log")

    def make_folders(self, container: Container, images: ImageStore) -> None:
        """Of a new container; its layers get the init layer on top."""
        folder = self.path(container.id)
        folder.mkdir(parents=True, mode=0o710)
        upper = folder / "diff"
        upper.mkdir()
        work = folder / "work"
        work.mkdir()
        initlayer.like_root(upper, container.layers)
        if container.layers and not container.rootfs:
            with contextlib.suppress(OSError):  # many layers before kernel 6.5
                made = initlayer.over(images, [Path(layer) for layer in container.layers], userxattr=self.rootless)
                container.layers.append(str(made))
                return
        initlayer.within(container.layers, upper, work, userxattr=self.rootless)

    def forget(self, container: Container) -> None:
        """Its in-memory files, which outlive its restarts."""
        shutil.rmtree(self.folders.run / "files" / container.id, ignore_errors=True)

    def sweep(self, alive: Collection[str]) -> None:
        """After a crash: what containers that do not run have left in the run folder."""
        for folder in (self.folders.run / "shm").glob("*"):
            if folder.name not in alive:
                with contextlib.suppress(OSError):
                    mount.umount(str(folder), mount.DETACH)
                shutil.rmtree(folder, ignore_errors=True)

    def remap_of(self, container: Container) -> Remapping | None:
        """What its ids are on the machine; None: the same."""
        return self.remap if ociconfig.is_remapped(container.host_config) else None

    # what the runtime is told

    def launch(self, container: Container, own_network: bool, *, ahead: bool = False) -> Launch:
        """All that the runtime has to know. ahead: of the late mounts only where they go, as it is too early for their sources."""
        around = self._surroundings(container, own_network, ahead=ahead)
        edits = _requested(container, around)
        config, early = ociconfig.oci_config(container, replace(around, devices=[*around.devices, *edits.devices]))
        cdi.apply(edits, config)
        folder, host = self.path(container.id), container.host_config
        runtime = self._other_runtime(container, config)
        hidden: list[str] = []
        globs: tuple[str, ...] = ()
        if container.rootfs:
            own = [str(path) for path in (self.folders.data, self.folders.run)]
            fresh = ociconfig.fresh_folders(around.mounts)
            hidden = [path for path in (*defaults.HIDDEN, *own) if not path.startswith(("/run/", "/tmp/")) and path not in fresh]
            globs = defaults.HIDDEN_GLOBS
        driver, options = host["LogConfig"]["Type"], host["LogConfig"]["Config"]
        log = Log("none") if driver == "none" else Log("json-file", self.log_path(container.id), *rotation(driver, options))
        rows, columns = host.get("ConsoleSize") or (0, 0)
        return Launch(
            container.id,
            str(self.folders.bundle(container.id)),
            config,
            Overlay(
                container.layers, str(folder / "diff"), str(folder / "work"), userxattr=self.rootless, volatile=bool(host["AutoRemove"])
            ),
            hide=hidden,
            hide_globs=globs,
            mounts_at_create=early,
            log=log,
            tty=container.tty,
            console=(rows, columns) if rows and columns else None,
            stdin="none" if not container.config["OpenStdin"] else "once" if container.config["StdinOnce"] else "open",
            init=bool(host.get("Init")),
            runtime=runtime,
        )

    def late_mounts(self, container: Container) -> list[Document]:
        """For a container that was prepared ahead, sources looked up, made and filled now."""
        return ociconfig.mounts(container, self._surroundings(container, own_network=True))[1]

    def _other_runtime(self, container: Container, config: Document) -> str:
        """Its program, the config fitted to it; empty: the built-in one."""
        name = str(container.host_config.get("Runtime") or "")
        found = runtimes.program(name)
        if not found:
            return ""
        if self.rootless:
            says = f"runtime {name} needs root: an ordinary user's containers run by the built-in runtime"
            raise EngineError(says, code="runtime-rootless", remedy="Leave `runtime` out. See docs/rootless.md.")
        if self.remap_of(container) is not None:
            says = f"runtime {name}: remapped ids are the built-in runtime's"
            raise EngineError(says, remedy="Add `userns_mode: host`, or leave `runtime` out.")
        if any(point.get("x-idmap") for point in container.mounts):
            raise EngineError(f"bind.idmap is the built-in runtime's: {name} is not asked for it", code="runtime-idmap")
        if container.host_config.get("Init"):
            place, process = "/sbin/docker-init", config["process"]
            process["args"] = [place, "--", *process["args"]]
            config["mounts"].append(ociconfig.user_mount(_INIT_MOUNT | {"Destination": place}, runtimes.init_program(name)))
        return found

    def _surroundings(self, container: Container, own_network: bool, *, ahead: bool = False) -> ociconfig.Surroundings:
        host = container.host_config
        user = self.user(container, container.config.get("User") or "")
        if ahead:
            mounts = [ociconfig.user_mount(point, "") for point in (*container.mounts, *map(_file_point, container.files))]
        else:
            mounts = [*(self._user_mount(point, container, user) for point in container.mounts), *self._files(container)]
        shared = {}
        for key, kind in (("PidMode", "pid"), ("IpcMode", "ipc")):
            mode = str(host[key])
            if mode.startswith("container:"):
                other = self.find(mode.partition(":")[2])
                if not other.running:
                    raise EngineError(f"cannot join {kind.upper()} of a non running container: {other.id}", http_status=409)
                if kind == "ipc" and other.host_config["IpcMode"] not in ("shareable", "host"):
                    says = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
                    raise EngineError(f"failed to join IPC namespace: container {other.id}: {says}", http_status=409)
                shared[kind] = other.pid
        links.check(container, self.find)
        return ociconfig.Surroundings(
            user,
            str(self.path(self.owner(container).id)),
            self.held,
            self.machine,
            self.cgroup_version,
            devices_of(host),
            disk_numbers(host),
            shared,
            self._shm(container),
            os.path.isdir("/dev/mqueue"),
            mounts,
            own_network,
            self.rootless,
            self.remap_of(container),
            linked=links.environment(container, self.find),
        )

    def _user_mount(self, point: Document, container: Container, user: users.User) -> Document:
        source = self.volumes.source(point, container.layers)
        if self.volumes.is_readonly(point):
            point = {**point, "RW": False}
        mode = folder_mode(container.layers, point["Destination"]) if point["Type"] == "tmpfs" else 0
        if point["Destination"].startswith("/dev/"):  # where nothing of the image is
            mode = 0o1777
        made = ociconfig.user_mount(point, source, rootless=self.rootless, mode=mode)
        remap = self.remap_of(container)
        if remap is not None and point["Type"] in ("volume", "image"):
            made |= ociconfig.mapped(remap)
        if point.get("x-idmap") and not self.rootless:  # an ordinary user's files are root's inside as it is
            found = os.stat(source)
            uid, gid = remap.outside(user.uid, user.gid) if remap else (user.uid, user.gid)
            uids, gids = ociconfig.swap_ids(found.st_uid, uid), ociconfig.swap_ids(found.st_gid, gid)
            if uids or gids:
                same = [{"containerID": 0, "hostID": 0, "size": 2**32 - 1}]
                made |= {"uidMappings": uids or same, "gidMappings": gids or same}
        return made

    def user(self, container: Container, wish: str, group_add: bool = True) -> users.User:
        """Who `user` is, by the container's own files over the image's."""
        key = tuple(container.layers)
        upper = str(self.path(container.id) / "diff")
        own = (
            [users.read_root_file([upper], f"etc/{name}") for name in ("passwd", "group")]
            if container.started_once or container.pid
            else [b"", b""]
        )
        if key not in self._accounts or container.rootfs:
            tops = container.layers[::-1]
            self._accounts[key] = tuple(
                users.read_root_file(tops, f"etc/{name}").decode("utf-8", "replace") for name in ("passwd", "group")
            )  # type: ignore[assignment]
        passwd, group = (mine.decode("utf-8", "replace") if mine else images for mine, images in zip(own, self._accounts[key], strict=True))
        extra = (container.host_config.get("GroupAdd") or ()) if group_add else ()
        return users.resolve(wish, extra, passwd, group)

    # network files

    def owner(self, container: Container) -> Container:
        """Whose network (and its files) it uses."""
        mode = str(container.host_config["NetworkMode"])
        if mode.startswith("container:"):
            with contextlib.suppress(EngineError):
                return self.owner(self.find(mode.partition(":")[2]))
        return container

    def write_network_files(self, container: Container, known: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """hosts, resolv.conf and hostname, but for those that are `known` to be so; what is in them now."""
        if self.owner(container) is not container:
            return {}
        texts = {
            "hosts": self.seats.hosts(container),
            "resolv.conf": self.seats.resolv_conf(container),
            "hostname": container.hostname + "\n",
        }
        for name, text in texts.items():
            if text != (known or {}).get(name):
                with open(self.path(container.id) / name, "w") as file:  # in place: it may be mounted
                    file.write(text)
        return texts

    def follow_links(self, container: Container) -> None:
        """In the hosts file of one that runs: present addresses of those that it is linked to."""
        path = self.path(container.id) / "hosts"
        text = path.read_text(errors="surrogateescape")
        wanted = links.updated(text, links.hosts(container, self.find))
        if wanted != text:
            with open(path, "w", errors="surrogateescape") as file:  # in place, as it is mounted
                file.write(wanted)

    # memory

    def _shm(self, container: Container) -> str:
        """/dev/shm that others may share: a tmpfs of the owner's `shm_size` on the machine. Empty: one of its own."""
        mode = str(container.host_config["IpcMode"])
        if mode == "host":
            return "/dev/shm"
        if mode.startswith("container:"):
            return self._shm(self.find(mode.partition(":")[2]))
        if mode != "shareable":
            return ""
        folder = self.folders.run / "shm" / container.id
        folder.mkdir(parents=True, exist_ok=True)
        if not os.path.ismount(folder):
            size = int(container.host_config.get("ShmSize") or defaults.SHM_SIZE)
            remap = self.remap_of(container)
            uid, gid = remap.outside(0, 0) if remap else (0, 0)
            options = f"mode=1777,size={size},uid={uid},gid={gid}"
            mount.mount("shm", str(folder), "tmpfs", mount.NOSUID | mount.NODEV | mount.NOEXEC, options)
        return str(folder)

    def release(self, container: Container) -> None:
        """After its end: the memory that it shared."""
        folder = self.folders.run / "shm" / container.id
        if folder.exists():
            with contextlib.suppress(OSError):  # not mounted
                mount.umount(str(folder), mount.DETACH)
            folder.rmdir()

    def _files(self, container: Container) -> list[Document]:
        """In-memory files, on the run folder's tmpfs. A wish is {"Path", "Content": base64, "Uid", "Gid": number or name, "Mode"};
        without an owner a file belongs to the container's user, who is to read it."""
        mounts = []
        remap = self.remap_of(container)
        folder = self.folders.run / "files" / container.id
        for number, wish in enumerate(container.files):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / str(number)
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(base64.b64decode(wish["Content"]))
            uid, gid = self._file_owner(container, str(wish.get("Uid") or ""), str(wish.get("Gid") or ""))
            if remap is not None:
                uid, gid = remap.outside(uid, gid)
            try:
                os.chown(path, uid, gid)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL):
                    raise
                raise EngineError(
                    f"{wish['Path']} cannot belong to {uid}:{gid}: this user namespace has no such ids", remedy="See docs/rootless.md."
                ) from error
            mode = wish.get("Mode")
            path.chmod(0o444 if mode is None else int(mode))
            mounts.append(ociconfig.user_mount(_file_point(wish), str(path)))
        return mounts

    def _file_owner(self, container: Container, uid: str, gid: str) -> tuple[int, int]:
        if not uid and not gid:
            user = self.user(container, container.config.get("User") or "", group_add=False)
            return user.uid, user.gid
        wish = f"{uid or '0'}:{gid}" if gid else uid if not uid.isdigit() else f"{uid}:0"  # a name alone brings its group
        owner = self.user(container, wish, group_add=False)
        return owner.uid, owner.gid


def _file_point(wish: Mapping[str, Any]) -> Document:
    return {"Type": "bind", "Destination": wish["Path"], "RW": False}


def _requested(container: Container, around: ociconfig.Surroundings) -> cdi.Edits:
    """What `gpus` and CDI devices add."""
    requests = container.host_config.get("DeviceRequests")
    if not requests:
        return cdi.Edits()
    registry = cdi.read()
    names, nodes = cdi.asked(requests, registry)
    edits = cdi.combined(registry.edits(names), around.user.uid, around.user.gid)
    edits.devices += [device for path in nodes for device in devices_at(path, path, "rwm")]
    return edits


def _in_user_namespace() -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    return False


def rotation(driver: str, options: Mapping[str, str]) -> tuple[int, int]:
    """Bytes at which a log file is full (0: never) and how many are kept; `local` has limits of its own, as Docker's."""
    size, count = ("20m", 5) if driver == "local" else ("", 1)
    kept = int(options.get("max-file") or count)
    if kept < 1:
        raise EngineError("failed to initialize logging driver: max-file cannot be less than 1", http_status=400)
    return log_size(options.get("max-size") or size), kept


def log_size(text: str | None) -> int:
    """`max-size` of the log options in bytes, 0: unlimited."""
    if not text:
        return 0
    try:
        return parse_size(text)
    except ValueError as error:
        raise EngineError(f"invalid max-size: {error}", http_status=400) from None
