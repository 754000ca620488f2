"""capabilities(7), prctl(2), capget(2), capset(2): names, masks, and giving up what a container must not have."""

from __future__ import annotations

import contextlib
import ctypes

from compose_lite.linux.syscall import libc, prctl, read_file, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
_NUMBER = {name: number for number, name in enumerate(NAMES)}
_CAPBSET_READ, _CAPBSET_DROP, _CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR = 23, 24, 47, 2, 4
_KEEPCAPS, _NO_NEW_PRIVS = 8, 38
_GET_SECUREBITS, _SET_SECUREBITS, _NO_SETUID_FIXUP = 27, 28, 1 << 2
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def mask(names: Iterable[str]) -> int:
    """The bits of OCI names; KeyError for an unknown one."""
    bits = 0
    for name in names:
        bits |= 1 << _NUMBER[name]
    return bits


def names(bits: int) -> list[str]:
    return [name for number, name in enumerate(NAMES) if bits >> number & 1]


def own(field: str = "CapBnd") -> int:
    """A set of this process as /proc/self/status shows it: CapBnd, CapEff, CapPrm, CapInh, CapAmb."""
    for line in read_file("/proc/self/status").splitlines():
        if line.startswith(field.encode()):
            return int(line.split()[1], 16)
    return 0


def drop_bounding(keep: int) -> None:
    """Gives up every capability that is not kept, those that this table does not know yet too (EINVAL ends the numbers)."""
    for number in range(64):
        if not keep >> number & 1:
            try:
                prctl(_CAPBSET_DROP, number)
            except OSError as error:
                if error.errno == 22:
                    return
                raise


def keep_over_setuid(keep: bool) -> None:
    prctl(_KEEPCAPS, int(keep))


def capget() -> tuple[int, int, int]:
    """The effective, permitted and inheritable set of this thread."""
    data = (_Data * 2)()
    syscall("capget", ctypes.byref(_Header(_VERSION_3, 0)), ctypes.byref(data))
    low, high = data
    return low.effective | high.effective << 32, low.permitted | high.permitted << 32, low.inheritable | high.inheritable << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    data = (_Data * 2)()
    for half in (0, 1):
        shift = 32 * half
        data[half] = _Data(effective >> shift & 0xFFFFFFFF, permitted >> shift & 0xFFFFFFFF, inheritable >> shift & 0xFFFFFFFF)
    syscall("capset", ctypes.byref(_Header(_VERSION_3, 0)), ctypes.byref(data))


def set_ambient(bits: int) -> None:
    prctl(_CAP_AMBIENT, _AMBIENT_CLEAR, 0)
    for number in range(len(NAMES)):
        if bits >> number & 1:
            prctl(_CAP_AMBIENT, _AMBIENT_RAISE, number)


def set_no_new_privs() -> None:
    prctl(_NO_NEW_PRIVS, 1)


@contextlib.contextmanager
def files_as(uid: int, gid: int) -> Iterator[None]:
    """The calling thread makes files as that user and keeps all its capabilities meanwhile. setfsuid(2)

    Through an idmapped mount nobody can make files who has no id there, not even root (EOVERFLOW).
    """
    before = prctl(_GET_SECUREBITS)
    prctl(_SET_SECUREBITS, before | _NO_SETUID_FIXUP)
    try:
        libc.setfsgid(gid)
        libc.setfsuid(uid)
        try:
            yield
        finally:
            libc.setfsuid(0)
            libc.setfsgid(0)
    finally:
        prctl(_SET_SECUREBITS, before)
