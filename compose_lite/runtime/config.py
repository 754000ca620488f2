"""All that crosses from the engine to the runtime: an OCI runtime config, and the little that OCI has no word for.

`Launch.config` is the document of the OCI runtime-spec as a plain dict, so that crun or runc could run the same container.
Zygote, monitor and init read the JSON form and never import this file (dataclasses are dear at start-up).

Conventions inside `config`:
- `linux.namespaces[].path` may be `fd:<name>`: the descriptor of that name handed to `Runtime.create` (`fd:netns`).
- a mount's `source` may be `fd:<name>`: a detached mount (open_tree(2)) that is moved to its destination.
- no `network` entry: the caller's own network namespace (`network_mode: host`); likewise for pid, ipc, uts, cgroup.
- `root.path` is the mount point; with an `overlay` it may be left out (then `<bundle>/rootfs`).
- `mounts` are made in order. The first `mounts_at_create` of them when the container is created, the others only when it
  is started (user mounts, secrets: their sources may be written by somebody who has to finish first). `Runtime.start` may bring
  others in their place; what is in `mounts` then says where they go, and has no sources yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Overlay:
    """The root file system: mounted by init inside the container's own mount namespace, so no mount is left on the host."""

    lower: Sequence[str]  # bottom first; absolute
    upper: str | None = None  # None with `work` None: a read-only root of the lower layers
    work: str | None = None
    userxattr: bool = False  # always True when rootless
    volatile: bool = False  # no syncfs when it is unmounted (build steps, --rm)


@dataclass(frozen=True, slots=True)
class Log:
    """Where stdout and stderr go: Docker's json-file, or nowhere."""

    driver: Literal["json-file", "none"] = "json-file"
    path: str = ""  # absolute
    max_size: int = 0  # bytes; 0: no rotation
    max_file: int = 1  # files kept, the current one included: path, path.1, ...


@dataclass(frozen=True, slots=True)
class Launch:
    """One container to be born."""

    id: str
    bundle: str  # a folder of its own on tmpfs: state.json, exit.json, ctl (socket), rootfs (mount point)
    config: Mapping[str, Any]
    overlay: Overlay | None = None
    # `rootfs:/`: folders covered by an empty read-only tmpfs, files by /dev/null; missing ones skipped. What is mounted late lies above.
    hide: Sequence[str] = ()
    hide_globs: Sequence[str] = ()  # the same, with one `*` level each, looked up inside the root (`/etc/ssh/ssh_host_*`)
    mounts_at_create: int | None = None  # None: all
    log: Log = field(default_factory=Log)
    tty: bool = False
    console: tuple[int, int] | None = None  # rows, columns
    stdin: Literal["none", "open", "once"] = "none"  # open: OpenStdin; once: closed when the first attached client leaves
    init: bool = False  # a small pid 1 that forwards signals and reaps (`init: true`)
    runtime: str = ""  # the path of another OCI runtime's program; empty: the built-in one
    cgroup_parent: str = "/compose-lite"  # used when config.linux.cgroupsPath is not given

    def document(self) -> dict[str, Any]:
        """The JSON form that zygote, monitor and init read."""
        made = {one.name: getattr(self, one.name) for one in fields(self)}  # asdict would copy the whole config
        return made | {
            "config": dict(self.config),
            "overlay": self.overlay and asdict(self.overlay),
            "log": asdict(self.log),
        }
