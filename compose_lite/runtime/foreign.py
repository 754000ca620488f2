"""The same container by another OCI runtime (crun, runc, runsc, ...): the launch as a standard bundle, run by its command line.

Imported by a fork of the zygote only when a launch names a runtime. The monitor stays the parent of the first process (as
subreaper while `create` runs), so stdio, log and exit status are as with the built-in runtime; an exec falls to the zygote.
It must never leave a mount on the machine: the root is mounted in the mount namespace of the `create` command, which ends with it.
Spec: OCI runtime-spec (config.md, runtime.md); the commands are those of runc(8), which all others follow.
"""

from __future__ import annotations

import json
import os

from compose_lite.linux import cgroups, namespaces, pidfd, unix
from compose_lite.linux import mount as mounts
from compose_lite.linux.syscall import prctl, read_file
from compose_lite.runtime import child, container, init, messages, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

VERSION = "1.0.2"  # of the spec: the oldest that has all we use
FOLDER = "oci"  # below our bundle: the standard bundle and the runtime's own state
_SUBREAPER = 36
_LIMITS = ("memory", "cpu", "blockIO", "pids")
# Go's and C's words for what a shell calls 127 and 126 (Docker's own way to tell them apart)
_NOT_FOUND = ("executable file", "no such file or directory", "not found in")
_NOT_RUNNABLE = ("permission denied", "not a directory", "exec format error", "is a directory")


def give_birth(launch: dict[str, Any], bundle: str, fds: Mapping[str, int], monitor: int = 0) -> container.Born:
    """Up to the gate, as container.give_birth: the runtime's `create`. StartError or OSError; what was made is undone then."""
    assert not monitor, "by the monitor itself: it has to be the subreaper"
    born = container.Born()
    config = launch["config"]
    linux = config.get("linux") or {}
    born.keep = {name[5:]: fd for name, fd in fds.items() if name.startswith("keep:")}
    name = "/" + (linux.get("cgroupsPath") or f"{launch['cgroup_parent'].rstrip('/')}/{launch['id']}").strip("/")
    born.group, _ = cgroups.make(name, {})
    folder = f"{bundle}/{FOLDER}"
    try:
        resources, born.unmet = _kept_limits(born.group, linux.get("resources") or {})
        os.makedirs(f"{bundle}/rootfs", 0o755, exist_ok=True)
        os.makedirs(f"{folder}/state", 0o700, exist_ok=True)
        document = standard(config, f"{bundle}/rootfs", name, resources, _paths(fds))
        _write(f"{folder}/config.json", document)
        stdio = container.make_stdio(born, launch)
        console = _listen(folder, "console") if launch.get("tty") else None
        prctl(_SUBREAPER, 1)
        command = ["create", "--bundle", folder, "--pid-file", f"{folder}/pid", *_console(console, folder, "console"), launch["id"]]
        _run(launch["runtime"], folder, command, stdio, lambda: _make_root(launch, bundle, folder))
        born.pid = int(read_file(f"{folder}/pid"))
        prctl(_SUBREAPER, 0)  # what the container leaves behind is the zygote's
        for fd in stdio:
            os.close(fd)
        if console is not None:
            born.inputs = _receive_terminal(console, launch.get("console"))
            born.outputs[born.inputs] = "stdout"
        born.group.join(born.pid)
        born.sync = _starter(launch["runtime"], folder, launch["id"])
        born.state = container.state(born, launch, linux) | {"runtime": launch["runtime"]}
    except BaseException:
        delete(launch["runtime"], bundle, launch["id"])
        container.undo(born)
        raise
    return born


def _kept_limits(group: cgroups.Group, resources: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The parts that this machine can keep, and the rest by name: told of those, the runtime would refuse to start."""
    kept, unmet = dict(resources), list[str]()
    for part in _LIMITS:
        if part in kept:
            problems = group.apply({part: kept[part]})
            unmet += problems
            if problems:
                del kept[part]
    return kept, unmet


def standard(config: Mapping[str, Any], root: str, cgroup: str, resources: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Our config as the spec has it: no conventions of ours (runtime/config.py), nothing younger than VERSION. Pure."""
    linux = {**(config.get("linux") or {}), "resources": dict(resources)}
    sysctl = dict(linux.get("sysctl") or {})
    made = {key: value for key, value in config.items() if key != "domainname"}
    if config.get("domainname"):
        sysctl["kernel.domainname"] = config["domainname"]  # a word of version 1.1
    linux["sysctl"] = sysctl
    named = [(one, str(one.get("path") or "")) for one in linux.get("namespaces") or ()]
    linux["namespaces"] = [{**one, "path": paths[path]} if path.startswith("fd:") else one for one, path in named]
    if cgroup:
        linux["cgroupsPath"] = cgroup
    else:
        del linux["resources"]
    return {**made, "ociVersion": VERSION, "root": {**(config.get("root") or {}), "path": root}, "linux": linux}


def _paths(fds: Mapping[str, int]) -> dict[str, str]:
    """Names for descriptors of the monitor, which holds them while the runtime works."""
    return {f"fd:{name}": f"/proc/{os.getpid()}/fd/{fd}" for name, fd in fds.items()}


def _make_root(launch: dict[str, Any], bundle: str, folder: str) -> None:
    """In the process that becomes `create`: the overlay, seen nowhere else; what is to be hidden of the machine's files goes under masks,
    which the runtime makes last: so not where something of the user's is mounted.
    """
    rootfs.cut_propagation(launch["config"], bundle)
    root = rootfs.mount_root(launch, bundle)
    ours = [entry["destination"].rstrip("/") + "/" for entry in (launch["config"].get("mounts") or ())[launch["mounts_at_create"] :]]
    found = [*(launch.get("hide") or ()), *rootfs.found_by_globs(root, launch.get("hide_globs") or ())]
    hidden = [path for path in found if not f"{path}/".startswith(tuple(ours))]
    if hidden:
        document = json.loads(read_file(f"{folder}/config.json"))
        document["linux"]["maskedPaths"] = [*(document["linux"].get("maskedPaths") or ()), *hidden]
        _write(f"{folder}/config.json", document)


# The first process's start


def _starter(program: str, folder: str, id: str) -> _socket.socket:
    """A child that plays init's half of the hand-shake: at the word `start` it runs the runtime's, and tells what came of it."""
    sync, theirs = unix.socketpair()
    if os.fork():
        theirs.close()
        return sync
    try:
        child.close_all_but(theirs.fileno())
        data, _ = unix.receive(theirs)
        if data:
            _run(program, folder, ["start", id], None)
    except child.StartError as error:
        child.report(theirs, error.status, error.says)
    except BaseException as error:
        child.report(theirs, 128, str(error))
    finally:
        os._exit(0)


def delete(program: str, bundle: str, id: str) -> None:
    """What the runtime keeps of the container, and its hooks of the end."""
    try:
        _run(program, f"{bundle}/{FOLDER}", ["delete", "--force", id], None)
    except (child.StartError, OSError):
        pass  # it never came to be; its state goes with the bundle
    remove_folder(bundle)


def remove_folder(bundle: str) -> None:
    for here, folders, files in os.walk(f"{bundle}/{FOLDER}", topdown=False):
        for name in files:
            _quietly(os.unlink, f"{here}/{name}")
        for name in folders:
            _quietly(os.rmdir, f"{here}/{name}")
    _quietly(os.rmdir, f"{bundle}/{FOLDER}")


def _quietly(act: Callable[[str], None], path: str) -> None:
    try:
        act(path)
    except OSError:
        pass


# exec


def enter(header: Mapping[str, Any], process: dict[str, Any], fds: Mapping[str, int], state: Mapping[str, Any]) -> tuple[int, int, int]:
    """execin.enter by the runtime's `exec --detach`: its process falls to the zygote when the command has ended."""
    folder, name = f"{header['bundle']}/{FOLDER}", f"exec-{header['exec'][:16]}"
    terminal = bool(header["tty"])
    process = {key: value for key, value in process.items() if key != "seccomp"} | {"terminal": terminal}
    stdio = [fds["0"], fds["1"], fds["2"]] if "0" in fds else None
    _write(f"{folder}/{name}.json", process)
    console = _listen(folder, name) if terminal else None
    words = ["--detach", "--process", f"{folder}/{name}.json", "--pid-file", f"{folder}/{name}.pid", *_console(console, folder, name)]
    try:
        _run(state["runtime"], folder, ["exec", *words, header["id"]], stdio)
        pid = int(read_file(f"{folder}/{name}.pid"))
        master = _receive_terminal(console, header.get("console")) if console is not None else -1
        return pid, pidfd.start_time(pid), master
    finally:
        for end in (".json", ".pid", ".sock", ".log"):
            _quietly(os.unlink, f"{folder}/{name}{end}")


# Terminals


def _listen(folder: str, name: str) -> _socket.socket:
    import _socket

    return unix.listen(f"{folder}/{name}.sock", _socket.SOCK_STREAM)


def _console(listener: _socket.socket | None, folder: str, name: str) -> list[str]:
    """`--console-socket` by a path that is short enough for sockaddr_un."""
    if listener is None:
        return []
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return ["--console-socket", f"/proc/{os.getpid()}/fd/{fd}/{name}.sock"]


def _receive_terminal(listener: _socket.socket, window: Sequence[int] | None) -> int:
    """The master that the runtime has sent; it is connected before its command ends."""
    sock = unix.accept(listener)
    listener.close()
    _, fds = unix.receive(sock)
    sock.close()
    if not fds:
        raise child.StartError(128, "the runtime sent no terminal")
    os.set_blocking(fds[0], False)
    if window:
        init.set_window(fds[0], window)
    return fds[0]


# The command


def _run(program: str, folder: str, words: list[str], stdio: Sequence[int] | None, prepare: Callable[[], None] | None = None) -> None:
    """One command of the runtime to its end. StartError with what it logged."""
    log = f"{folder}/{words[0]}-{os.getpid()}.log"
    argv = [program, "--root", f"{folder}/state", "--log", log, "--log-format", "json", *words]
    pid = os.fork()
    if pid == 0:
        _become(argv, stdio, prepare, log)
    _, status = os.waitpid(pid, 0)
    try:
        said = read_file(log).decode("utf-8", "replace")
        os.unlink(log)
    except OSError:
        said = ""
    if status:
        raise failure(said, f"{program} {words[0]} ended with status {os.waitstatus_to_exitcode(status)}")


def _become(argv: list[str], stdio: Sequence[int] | None, prepare: Callable[[], None] | None, log: str) -> NoReturn:
    try:
        namespaces.unshare(namespaces.NEWNS)
        if prepare is not None:
            prepare()
        else:
            mounts.mount(None, "/", None, mounts.SLAVE | mounts.REC)
        _hide_v2_tree(os.path.basename(argv[0]))
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for target, fd in enumerate(stdio or (null, null, null)):
            os.dup2(fd, target)
        child.reset_signals()
        os.execve(argv[0], argv, {"PATH": init.DEFAULT_PATH})
    except BaseException as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror and prepare is None else str(error)
        _write(log, {"level": "error", "msg": words})
    finally:
        os._exit(1)


def _hide_v2_tree(runtime: str) -> None:
    """crun refuses hybrid machines, where a v2 tree with controllers of its own lies beside v1: it is shown v1 alone.

    The tree's parent is shared where the container's root is, so it is made private first: the machine keeps its mount.
    """
    where = cgroups.layout()
    if runtime == "crun" and where.version == 1 and where.unified:
        mounts.mount(None, cgroups.ROOT, None, mounts.PRIVATE | mounts.REC)
        mounts.umount(f"{cgroups.ROOT}/unified", mounts.DETACH)


def failure(log: str, otherwise: str) -> child.StartError:
    """The last error of a runtime's log, with Docker's exit status for it. Pure."""
    says = otherwise
    for line in log.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("level") in ("error", "fatal") and found.get("msg"):
            says = str(found["msg"])
    low = says.lower()
    status = 127 if any(word in low for word in _NOT_FOUND) else 126 if any(word in low for word in _NOT_RUNNABLE) else 128
    return child.StartError(status, says)


def _write(path: str, document: Mapping[str, Any]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        data = messages.encode(dict(document))
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
