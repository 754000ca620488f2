"""Tries well-known ways out of a container, from inside, and prints what came of each as JSON: an errno's name, or what was got.

Run by test_escapes.py in containers of this machine's own files (`rootfs:/`), so that a Python with ctypes is there. Nothing here harms
a machine whose containers hold: what would, if it worked, is asked for with arguments that the kernel refuses after its permission checks.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import socket
import stat
import struct
import sys
from collections.abc import Callable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
X86 = platform.machine() == "x86_64"
NUMBERS = {  # x86_64, aarch64
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "unshare": (272, 97), "clone": (56, 220), "setns": (308, 268),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225),
    "quotactl": (179, 60), "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "vhangup": (153, 58), "userfaultfd": (323, 282), "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "mbind": (237, 235),
    "move_pages": (279, 239), "kcmp": (312, 272), "process_vm_readv": (310, 270), "ptrace": (101, 117), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "sethostname": (170, 161), "setdomainname": (171, 162), "chroot": (161, 51),
    "personality": (135, 92), "seccomp": (317, 277), "memfd_create": (319, 279), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "pidfd_open": (434, 434), "clone3": (435, 435), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "mount_setattr": (442, 442), "quotactl_fd": (443, 443), "landlock_create_ruleset": (444, 444),
    "memfd_secret": (447, 447), "set_mempolicy_home_node": (450, 450), "statmount": (457, 457), "listmount": (458, 458),
    "lsm_get_self_attr": (459, 459), "lsm_set_self_attr": (460, 460), "lsm_list_modules": (461, 461), "mseal": (462, 462),
    "open_tree_attr": (467, 467), "file_setattr": (469, 469), "beyond": (600, 600), "far_beyond": (9999, 9999),
}  # fmt: skip
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)


def call(name: str, *args: Any) -> str:
    return numbered(NUMBERS[name][0 if X86 else 1], *args)


def numbered(number: int, *args: Any) -> str:
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "done"


def attempt(act: Callable[[], Any]) -> str:
    try:
        found = act()
    except ValueError:
        return "EPERM"  # what setrlimit(2) refuses
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done" if found is None else str(found)


def write(path: str, text: str = "1") -> str:
    def act() -> None:
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    return attempt(act)


def read(path: str, size: int = 64) -> str:
    def act() -> str:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return f"{len(os.read(fd, size))} bytes"
        finally:
            os.close(fd)

    return attempt(act)


def calls() -> dict[str, str]:
    """System calls that open a way out, mostly denied by the filter before they look at their arguments."""
    null = ctypes.c_void_p()
    zeros = ctypes.create_string_buffer(256)
    plain: dict[str, tuple[Any, ...]] = {
        "mount": (b"none", b"/mnt", b"tmpfs", 0, null), "umount2": (b"/proc", 0), "pivot_root": (b"/", b"/"), "setns": (0, 0),
        "keyctl": (0, -3, 0), "add_key": (b"user", b"x", b"y", 1, -3), "request_key": (b"user", b"x", null, -3), "bpf": (0, zeros, 64),
        "perf_event_open": (zeros, 0, -1, -1, 0), "kexec_load": (0, 0, null, 0), "kexec_file_load": (-1, -1, 0, null, 0),
        "init_module": (null, 0, null), "finit_module": (-1, null, 0), "delete_module": (b"none", 0), "reboot": (0, 0, 0, null),
        "acct": (b"/none",), "swapon": (b"/none", 0), "swapoff": (b"/none",), "quotactl": (0, null, 0, null), "syslog": (10, null, 0),
        "settimeofday": (null, null), "clock_settime": (0, null), "vhangup": (), "userfaultfd": (0,), "fanotify_init": (0, 0),
        "lookup_dcookie": (0, null, 0), "mbind": (0, 0, 0, null, 0, 0), "move_pages": (0, 0, null, null, null, 0), "kcmp": (1, 1, 0, 0, 0),
        "open_by_handle_at": (-1, zeros, 0), "sethostname": (b"x", 1), "setdomainname": (b"x", 1), "io_uring_setup": (1, zeros),
        "io_uring_enter": (-1, 0, 0, 0, null, 0), "io_uring_register": (-1, 0, null, 0), "open_tree": (-100, b"/", 1),
        "move_mount": (-1, b"", -1, b"", 0), "fsopen": (b"tmpfs", 0), "fsconfig": (-1, 0, null, null, 0), "fsmount": (-1, 0, 0),
        "fspick": (-100, b"/", 0), "clone3": (zeros, 88), "pidfd_getfd": (-1, 0, 0), "process_madvise": (-1, null, 0, 0, 0),
        "mount_setattr": (-100, b"/", 0, zeros, 32), "quotactl_fd": (-1, 0, 0, null), "set_mempolicy_home_node": (0, 0, 0, 0),
        "lsm_set_self_attr": (0, null, 0, 0), "open_tree_attr": (-100, b"/", 1, null, 0), "file_setattr": (-100, b"/", null, 0, 0),
        "beyond": (), "far_beyond": (),
        "unshare": (NEWUSER,), "statmount": (null, null, 0, 0), "listmount": (null, null, 0, 0), "lsm_get_self_attr": (0, null, null, 0),
        "lsm_list_modules": (null, null, 0), "landlock_create_ruleset": (null, 0, 1), "personality": (0x0040000,),
        "memfd_secret": (0xFFFF,), "mseal": (0, 0, 0xFFFF), "process_vm_readv": (1, null, 0, null, 0, 0),
    }  # fmt: skip
    found = {name: in_child(name, *args) for name, args in plain.items()}
    for word, flag in (("ns", NEWNS), ("cgroup", NEWCGROUP), ("uts", NEWUTS), ("ipc", NEWIPC), ("pid", NEWPID), ("net", NEWNET)):
        found[f"unshare_{word}"] = in_child("unshare", flag)
    found["clone_user"] = clone(NEWUSER)
    found["clone_mount"] = clone(NEWNS)
    found["adjtimex_set"] = call("adjtimex", ctypes.create_string_buffer(struct.pack("I", 0x2) + bytes(252), 256))
    if X86:
        found["x32_unshare"] = numbered(0x40000000 + 272, NEWUSER)
        found["x32_getpid"] = numbered(0x40000000 + 39)
        found["iopl"], found["ioperm"] = numbered(172, 3), numbered(173, 0x80, 1, 1)
        found["modify_ldt"] = numbered(154, 0, zeros, 16)
    return found


def in_child(name: str, *args: Any) -> str:
    """What has worked changes a child only."""
    pid = os.fork()
    if pid == 0:
        found = call(name, *args)
        os._exit(0 if found == "done" else getattr(errno, found, 255))
    return errno.errorcode.get(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "done")


def clone(flags: int) -> str:
    """A child of clone(2) with namespaces of its own; it ends at once."""
    ctypes.set_errno(0)
    number = NUMBERS["clone"][0 if X86 else 1]
    pid = libc.syscall(ctypes.c_long(number), ctypes.c_long(flags | 17), None, None, None, None)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return "done" if pid > 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def files() -> dict[str, str]:
    """The kernel's files: helpers that it runs for us, its memory, its switches."""
    writes = (
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/vm/drop_caches",
        "/proc/sys/kernel/panic", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/proc/sys/fs/binfmt_misc/register",
        "/sys/kernel/mm/ksm/run", "/sys/power/state", "/sys/module/loop/uevent", "/sys/class/net/lo/mtu", "/proc/irq/default_smp_affinity",
        "/proc/1/oom_score_adj", "/proc/sys/net/ipv4/ip_forward", "/proc/timer_list", "/proc/keys", "/proc/1/attr/current",
        "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/devices/devices.allow",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory.max",
        "/sys/firmware/efi/vars/new_var", "/proc/bus/pci/00/00.0", "/proc/acpi/wakeup",
    )  # fmt: skip
    reads = (
        "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/kmsg", "/dev/mem", "/dev/kmem", "/dev/port",
        "/dev/kmsg",
        "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse", "/dev/loop-control", "/proc/interrupts", "/sys/firmware/dmi/tables/DMI",
        "/sys/kernel/debug/gpio", "/sys/kernel/security/lockdown", "/proc/1/mem", "/proc/sys/kernel/randomize_va_space",
        "/sys/kernel/notes",
    )  # fmt: skip
    found = {f"write {path}": write(path, "0" if path.endswith("adj") else "1") for path in writes}
    found |= {f"read {path}": read(path) for path in reads}
    found["lower oom_score_adj"] = write("/proc/self/oom_score_adj", "-500")
    found["disk node"] = attempt(lambda: disk("/tmp/escape-disk"))
    return found


def disk(path: str) -> str:
    """A node of the machine's disk may be made, as with Docker, but not opened."""
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(254, 0))
    try:
        os.close(os.open(path, os.O_RDONLY))
    finally:
        os.unlink(path)
    return "opened"


def surroundings() -> dict[str, Any]:
    """What of the machine is in reach: descriptors, processes, sockets, roots, terminals."""
    links = {fd: attempt(lambda fd=fd: os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]) for fd in os.listdir("/proc/self/fd")}  # type: ignore[misc]
    first = {fd: attempt(lambda fd=fd: os.readlink(f"/proc/1/fd/{fd}").partition(":")[0]) for fd in listed("/proc/1/fd")}  # type: ignore[misc]
    unix = [line.split()[-1] for line in open("/proc/net/unix") if "@" in line.split()[-1]]
    return {
        "descriptors": sorted(links.values()),
        "descriptors of 1": sorted(first.values()),
        "processes": len([one for one in os.listdir("/proc") if one.isdigit()]),
        "abstract sockets": len(unix),
        "same root": attempt(lambda: os.path.samefile("/proc/1/root", "/")),
        "vsock": attempt(lambda: socket.socket(40, socket.SOCK_STREAM).close()),
        "alg": attempt(lambda: socket.socket(38, socket.SOCK_SEQPACKET).close()),
        "packet": attempt(lambda: socket.socket(17, socket.SOCK_RAW).close()),
        "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
        "audit": attempt(lambda: socket.socket(16, socket.SOCK_RAW, 9).close()),
        "priority": attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
        "raise limit": attempt(raise_limit),
        "loop": attempt(lambda: os.close(os.open("/dev/loop0", os.O_RDONLY))),
        "tun": attempt(lambda: os.close(os.open("/dev/net/tun", os.O_RDWR))),
        "setuid root again": setuid(),
        "cloexec environment": sorted(name for name in os.environ if name.startswith(("COMPOSE_LITE", "PYTHON"))),
        "environment of 1": [one for one in contents("/proc/1/environ").split("\0") if one.startswith(("COMPOSE_LITE", "PYTHON"))],
    }


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except PermissionError:
        return []


def contents(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except PermissionError:
        return ""


def raise_limit() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard + 1))


def setuid() -> str:
    """In a child: after a change to another user, root is not had again."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(1000, 1000, 1000)
            os.setresuid(0, 0, 0)
        except OSError:
            os._exit(1)
        os._exit(0)
    return "had" if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 else "refused"


if __name__ == "__main__":
    json.dump({"calls": calls(), "files": files(), "surroundings": surroundings()}, sys.stdout)
