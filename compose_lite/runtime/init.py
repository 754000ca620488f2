"""The child's half of a start: from clone3 to execve, one function a phase, read from top to bottom.

Runs in the container's namespaces, still as our program. It must never return, never write anywhere but to the hand-shake
and must leave nothing of the engine behind: descriptors, environment, signal settings, capabilities.
Order after runc's standard_init_linux.go; where it differs the reason stands beside the line.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import base64
import ctypes
import errno
import fcntl
import os
import resource
import stat
import struct
import termios

from compose_lite.linux import capabilities, namespaces, openat2, process_title, unix
from compose_lite.linux import mount as mounts
from compose_lite.linux.syscall import prctl, set_name, syscall, write_file
from compose_lite.runtime import messages, rootfs
from compose_lite.runtime.child import StartError, close_all_but, report, reset_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from compose_lite.linux.cgroups import Group

_SET_MODE_FILTER, _JOIN_SESSION_KEYRING = 1, 1
_FILTER_FLAGS = {"SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4, "SECCOMP_FILTER_FLAG_TSYNC": 1}
_SET_DUMPABLE = 4
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RLIMITS = {
    "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5, "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10, "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
}  # fmt: skip
_CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_UNLIMITED = (1 << 64) - 1
_MOST_ACCOUNTS = 4 << 20  # bytes of a passwd file


def become_container(launch: dict[str, Any], bundle: str, sync: _socket.socket, stdio: Sequence[int], group: Group, new: int) -> NoReturn:
    """From the clone to execve. stdio: stdin, stdout, stderr (without tty). new: flags of the namespaces that are ours alone."""
    try:
        _prepare(launch, bundle, sync, stdio, group, new)
    except StartError as error:
        report(sync, error.status, error.says)
    except (OSError, ValueError, KeyError) as error:
        report(sync, 128, _words(error))
    except BaseException as error:
        report(sync, 128, f"{type(error).__name__}: {error}")
    os._exit(128)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return f"missing {error}" if isinstance(error, KeyError) else str(error)


def _prepare(launch: dict[str, Any], bundle: str, sync: _socket.socket, stdio: Sequence[int], group: Group, new: int) -> None:
    config = launch["config"]
    linux, process = config.get("linux") or {}, config["process"]
    own_cgroup = any(one["type"] == "cgroup" for one in linux.get("namespaces") or ())

    # 1. In a user namespace we are nobody until the parent has written the maps.
    waited = False
    if new & namespaces.NEWUSER:
        _await(sync, "go")
        waited = True
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        prctl(_SET_DUMPABLE, 1)  # or /proc/self belongs to the outer root
    # 2. Leader of a session of its own, so that a terminal can be made its controlling one.
    os.setsid()
    os.umask(0)  # the modes of what is made here are meant
    # 3. A keyring of its own: keys of the caller's session would be readable. Some kernels or filters refuse it.
    try:
        syscall("keyctl", _JOIN_SESSION_KEYRING, f"_ses.{launch['id']}".encode())
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):
            raise
    # 4. The cgroup namespace's root is the group we are in at that moment: after the parent moved us.
    if own_cgroup:
        if not waited:
            _await(sync, "go")
            waited = True
        namespaces.unshare(namespaces.NEWCGROUP)
    if new & namespaces.NEWUTS:
        if config.get("hostname"):
            namespaces.sethostname(config["hostname"])
        if config.get("domainname"):
            namespaces.setdomainname(config["domainname"])
    if new & namespaces.NEWNET:
        _raise_loopback()
    # 5. Mounts: propagation is cut before the first one.
    rootfs.cut_propagation(config, bundle)
    root = rootfs.Root(rootfs.mount_root(launch, bundle), group, own_cgroup)
    entries = config.get("mounts") or ()
    early = len(entries) if launch.get("mounts_at_create") is None else launch["mounts_at_create"]
    for entry in entries[:early]:
        root.mount(entry)
    if not any(rootfs.is_bind_on(entry, "/dev") for entry in entries):
        root.make_devices(linux.get("devices") or ())
    for path in launch.get("hide") or ():
        root.mask(path)
    root.mask_globs(launch.get("hide_globs") or ())
    # 6. The terminal is one of the container's own devpts.
    master, slave, name = _open_terminal(root, launch) if launch.get("tty") else (-1, -1, "")
    # 7. Sysctls of our own namespaces, before /proc/sys becomes read-only.
    for key, value in (linux.get("sysctl") or {}).items():
        _set_sysctl(key, str(value))

    # The gate. Whatever the network or another service has to do first is done meanwhile.
    if not waited:
        _await(sync, "go")
    unix.send(sync, messages.encode({"ready": True}), [master] if master >= 0 else ())
    late = _await(sync, "start").get("mounts")

    # 8. Mounts whose sources others may have written up to now, then what covers paths: nothing may be mounted over a mask.
    for entry in late if late is not None else entries[early:]:
        root.mount(entry)
    if name:
        root.bind_console(f"/proc/self/fd/{slave}")
    masked, readonly = rootfs.covered(config)
    for path in (*readonly,):
        root.make_readonly(path)
    for path in masked:
        root.mask(path)
    # hooks of the container's namespaces: the machine's programs, so while its files are still there
    if config.get("hooks"):
        from compose_lite.runtime import hooks  # few containers have any

        state = hooks.state_of(bundle)
        hooks.run(config["hooks"], "createContainer", state)
    # 9. The new root; the old one is gone from here on (and with it every file that Python could import).
    root.enter()
    cwd = process.get("cwd") or "/"
    rootfs.make_working_folder(cwd)  # in a root that is to be read-only, too
    if os.path.exists(cwd) and not os.path.isdir(cwd):
        raise StartError(126, f"Cannot mkdir: {cwd} is not a directory")
    if (config.get("root") or {}).get("readonly"):
        mounts.restrict("/", mounts.RDONLY)
    if config.get("hooks"):
        hooks.run(config["hooks"], "startContainer", state)
    if slave >= 0:
        os.close(master)
        stdio = (slave, slave, slave)
    _take_stdio(stdio, process, terminal=slave >= 0)
    become_program(process, launch.get("seccomp") or "", linux, sync, with_init=bool(launch.get("init")))


def become_program(
    process: Mapping[str, Any],
    program: str,
    linux: Mapping[str, Any],
    sync: _socket.socket,
    *,
    with_init: bool = False,
) -> None:
    """The last part, the same for a container's first process and for an exec: limits, user, capabilities, filter, execve."""
    # 1. Nothing of ours may be open in the program. The hand-shake closes itself at execve, which tells the parent that it worked.
    close_all_but(sync.fileno())
    reset_signals()
    set_name(b"compose-init")
    cwd = process.get("cwd") or "/"
    if process.get("oomScoreAdj") is not None:
        set_oom_score(int(process["oomScoreAdj"]))
    # 2. Limits while we still may raise them.
    for limit in process.get("rlimits") or ():
        set_rlimit(limit)
    # 3. User and capabilities. Bounding set first: dropping from it needs SETPCAP.
    user, caps = process.get("user") or {}, process.get("capabilities")
    sets = {kind: capabilities.mask(caps.get(kind) or ()) for kind in _CAPABILITY_SETS} if caps is not None else None
    entered = _try_chdir(cwd)
    environment = _environment(process)
    if not environment.get("HOME"):
        environment["HOME"] = home_of(user.get("uid") or 0)
    if sets is not None:
        capabilities.drop_bounding(sets["bounding"])
        capabilities.keep_over_setuid(True)
    _become_user(user)
    if not entered:
        os.chdir(cwd)
    os.umask(user["umask"] if user.get("umask") is not None else 0o022)
    # the program is looked up as that user, with the container's PATH
    found = find_program(process["args"][0], environment)
    filtered = _filter(program) if program else None
    flags = 0
    for flag in (linux.get("seccomp") or {}).get("flags") or ():
        flags |= _FILTER_FLAGS.get(flag, 0)
    # 4. The filter. Without no_new_privs it takes CAP_SYS_ADMIN, so before the capabilities go (with setuid they have left the
    #    effective set but are still permitted); after it only capset, prctl, fork and execve are called.
    if process.get("noNewPrivileges"):
        _set_capabilities(sets)
        capabilities.set_no_new_privs()
        _load_filter(filtered, flags)
    else:
        if filtered is not None and sets is not None:
            _, held, inherited = capabilities.capget()
            capabilities.capset(held, held, inherited | sets["inheritable"])
        _load_filter(filtered, flags)
        _set_capabilities(sets)
    if with_init:
        _stay_as_init(sync, process, environment)
    # 5. execve closes the hand-shake.
    try:
        os.execve(found, process["args"], environment)
    except OSError as error:
        raise exec_error(error, process["args"][0]) from error


def _await(sync: _socket.socket, word: str) -> dict[str, Any]:
    data, _ = unix.receive(sync)
    if not data:
        os._exit(1)  # the monitor is gone before we began: nobody wants us
    message = messages.decode(data)
    if word not in message:
        raise StartError(128, f"the monitor said {data!r} where {word!r} was due")
    return message


# Terminal and standard descriptors


def _open_terminal(root: rootfs.Root, launch: Mapping[str, Any]) -> tuple[int, int, str]:
    folder = openat2.openat2(root.fd, "dev/pts", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return open_terminal(folder, launch.get("console"))
    finally:
        os.close(folder)


def open_terminal(folder: int, window: Sequence[int] | None) -> tuple[int, int, str]:
    """A new pseudo-terminal of the devpts that `folder` is open on: master, slave, name."""
    master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))  # TIOCSPTLCK: unlock
    number = struct.unpack("I", fcntl.ioctl(master, 0x80045430, b"\0\0\0\0"))[0]  # TIOCGPTN
    slave = os.open(str(number), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    if window:
        set_window(master, window)
    return master, slave, str(number)


def set_window(master: int, window: Sequence[int]) -> None:
    """window: rows, columns."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", window[0], window[1], 0, 0))


def _take_stdio(stdio: Sequence[int], process: Mapping[str, Any], *, terminal: bool) -> None:
    """Descriptors 0, 1, 2; they belong to the program's user, so that it can open /dev/stdout again."""
    if terminal:
        fcntl.ioctl(stdio[0], termios.TIOCSCTTY, 0)
    # pipes may themselves be 0..2 of a process started without them
    held = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in stdio]
    for target, fd in enumerate(held):
        os.dup2(fd, target)
    uid = (process.get("user") or {}).get("uid") or 0
    for fd in (0, 1, 2):
        found = os.fstat(fd)
        if found.st_uid != uid and (stat.S_ISFIFO(found.st_mode) or (terminal and stat.S_ISCHR(found.st_mode))):
            try:
                os.fchown(fd, uid, found.st_gid)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EPERM, errno.EROFS):
                    raise


take_stdio = _take_stdio


# Steps


def _raise_loopback() -> None:
    """SIOCSIFFLAGS: `lo` of a new network namespace is down."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    fcntl.ioctl(sock.fileno(), 0x8914, struct.pack("16sH14x", b"lo", 0x41))
    sock.close()


def sysctl_path(key: str) -> str:
    """sysctl(8): dots separate, a slash stands for a dot in a name. StartError for what would lead elsewhere."""
    parts = [part.replace("/", ".") for part in key.split(".")]
    if any(part in ("", ".", "..") for part in parts):
        raise StartError(128, f'sysctl "{key}" is no name')
    return "/proc/sys/" + "/".join(parts)


def _set_sysctl(key: str, value: str) -> None:
    path = sysctl_path(key)
    try:
        write_file(path, value)
    except OSError as error:
        raise StartError(128, f"open {path}: {os.strerror(error.errno or 0).lower()}") from error


def set_oom_score(value: int) -> None:
    try:
        write_file("/proc/self/oom_score_adj", str(value))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM) or value >= 0:
            raise StartError(128, f"cannot set oom_score_adj to {value}: {os.strerror(error.errno or 0).lower()}") from error
        raise StartError(128, f"cannot lower oom_score_adj to {value}: permission denied") from error


def set_rlimit(limit: Mapping[str, Any]) -> None:
    number = _RLIMITS.get(limit["type"])
    if number is None:
        raise StartError(128, f"unknown rlimit {limit['type']!r}")
    pair = tuple(resource.RLIM_INFINITY if int(limit[key]) in (-1, _UNLIMITED) else int(limit[key]) for key in ("soft", "hard"))
    try:
        resource.setrlimit(number, (pair[0], pair[1]))
    except (OSError, ValueError) as error:
        says = "operation not permitted" if isinstance(error, ValueError) else os.strerror(error.errno or 0).lower()
        raise StartError(128, f"error setting rlimit type {number}: {says}") from error


def _try_chdir(path: str) -> bool:
    """As root first (a folder may be closed to the user on the way); where root is squashed, as the user later."""
    try:
        os.chdir(path)
        return True
    except PermissionError:
        return False
    except FileNotFoundError as error:
        raise StartError(127, f'chdir to cwd ("{path}") set in config.json failed: no such file or directory') from error
    except NotADirectoryError as error:
        says = "not a directory: Are you trying to mount a directory onto a file (or vice-versa)?"
        says += " Check if the specified host path exists and is the expected type"
        raise StartError(127, f'chdir to cwd ("{path}") set in config.json failed: {says}') from error


def _become_user(user: Mapping[str, Any]) -> None:
    uid, gid, groups = user.get("uid") or 0, user.get("gid") or 0, list(user.get("additionalGids") or ())
    try:
        os.setgroups(groups)
    except PermissionError:
        # a single-id map with setgroups denied: there are no other groups to be in
        if groups and groups != [gid]:
            raise StartError(128, "supplementary groups need subordinate group ids in this user namespace") from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise StartError(128, f"groups {groups} are not mapped in this user namespace") from error
    try:
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise StartError(128, f"user {uid}:{gid} cannot be had in this user namespace: {os.strerror(error.errno or 0).lower()}") from error


def _set_capabilities(sets: Mapping[str, int] | None) -> None:
    if sets is None:
        return
    capabilities.keep_over_setuid(False)
    capabilities.capset(sets["effective"], sets["permitted"], sets["inheritable"])
    if sets["ambient"]:
        capabilities.set_ambient(sets["ambient"])


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _filter(program: str) -> tuple[_Program, Any]:
    raw = base64.b64decode(program)
    held = ctypes.create_string_buffer(raw, len(raw))
    return _Program(len(raw) // 8, ctypes.addressof(held)), held


def _load_filter(filtered: tuple[_Program, Any] | None, flags: int) -> None:
    if filtered is not None:
        syscall("seccomp", _SET_MODE_FILTER, flags, ctypes.byref(filtered[0]))


def _environment(process: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in process.get("env") or ():
        key, equals, value = entry.partition("=")
        if key and equals:
            found[key] = value
    return found


def home_of(uid: int, passwd: str = "/etc/passwd") -> str:
    """The folder of the first line with that user; "/" where there is none or no file. Whoever could write it is not trusted: it is
    never waited for."""
    try:
        fd = os.open(passwd, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return "/"
    try:
        text = os.read(fd, _MOST_ACCOUNTS) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        text = b""
    os.close(fd)
    wanted = str(uid or "").encode()
    for line in text.split(b"\n"):
        fields = line.strip().split(b":")
        if len(fields) > 2 and fields[2].isdigit() and fields[2].lstrip(b"0") == wanted:
            return os.fsdecode(fields[5]) if len(fields) > 5 else ""
    return "/"


def find_program(name: str, environment: Mapping[str, str]) -> str:
    """The file to execute, by the container's PATH. StartError 127 or 126 in the words of Go's exec.LookPath."""
    if not name:
        raise StartError(127, 'exec: "": executable file not found in $PATH')
    if "/" in name:
        _check_program(name)
        return name
    refused = False
    for folder in environment.get("PATH", DEFAULT_PATH).split(":"):
        path = f"{folder or '.'}/{name}"
        try:
            if stat.S_ISREG(os.stat(path).st_mode):
                if os.access(path, os.X_OK):
                    return path
                refused = True
        except OSError as error:
            refused = refused or error.errno == errno.EACCES
    if refused:
        raise StartError(126, f'exec: "{name}": permission denied')
    raise StartError(127, f'exec: "{name}": executable file not found in $PATH')


def _check_program(name: str) -> None:
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        raise StartError(127, f'exec: "{name}": stat {name}: no such file or directory') from None
    except OSError as error:
        raise StartError(126, f'exec: "{name}": stat {name}: {os.strerror(error.errno or 0).lower()}') from error
    if stat.S_ISDIR(mode):
        raise StartError(126, f'exec: "{name}": is a directory: permission denied')
    if not os.access(name, os.X_OK):
        raise StartError(126, f'exec: "{name}": permission denied')


def exec_error(error: OSError, name: str) -> StartError:
    """execve(2) itself failed: ENOENT is a missing interpreter."""
    says = os.strerror(error.errno or 0).lower()
    return StartError(127 if error.errno == errno.ENOENT else 126, f"exec {name}: {says}")


# `init: true`


def _stay_as_init(sync: _socket.socket, process: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """The caller goes on as the program in a child; this process stays as pid 1, forwards every signal and reaps (tini(1))."""
    every = [n for n in range(1, 65) if n not in (9, 19, 32, 33, 4, 5, 7, 8, 11)]
    _signal.pthread_sigmask(_signal.SIG_SETMASK, every)
    try:  # before the program could look at it
        set_name(b"docker-init")
        process_title.set_title(["/sbin/docker-init", "--", *process["args"]], [f"{k}={v}" for k, v in environment.items()])
    except OSError:
        pass
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        try:
            _signal.signal(_signal.SIGTTOU, _signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpgrp())
        except OSError:
            pass
        _signal.signal(_signal.SIGTTOU, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        return
    sync.close()
    while True:
        number = _signal.sigwaitinfo(every).si_signo
        if number != _signal.SIGCHLD:
            try:
                os.kill(child, number)
            except ProcessLookupError:
                pass
            continue
        _reap_until(child)


def _reap_until(child: int) -> None:
    """Takes all that have ended; ends with the status of the one child."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(0)
        if pid == 0:
            return
        if pid == child:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
