"""What /proc/<pid>/cmdline and environ show of the calling process: prctl(2), PR_SET_MM_MAP (5.x kernels with CHECKPOINT_RESTORE).

For a process that stays our program but is to be seen as another (the init of `init: true`), and whose own arguments and
environment must not be seen in a container. It must never fail half-way: what cannot be replaced is blanked.
"""

from __future__ import annotations

import ctypes

from compose_lite.linux.syscall import libc, prctl, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SET_MM, _SET_MM_MAP = 35, 14
_held: list[ctypes.Array[ctypes.c_char]] = []  # the kernel reads from here as long as the process lives


class _Map(ctypes.Structure):
    """struct prctl_mm_map."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "start_stack")),
        *((name, ctypes.c_uint64) for name in ("arg_start", "arg_end", "env_start", "env_end", "auxv")),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )


def set_title(args: Sequence[str], environment: Sequence[str]) -> None:
    """From now on the process shows these arguments and this environment."""
    line = read_file("/proc/self/stat")
    # numbers of proc(5), less the three before the name's end and one for counting from 1
    fields = [0, 0, *(int(one) if one.lstrip(b"-").isdigit() else 0 for one in line[line.rindex(b")") + 2 :].split())]
    arguments, variables = (b"".join(one.encode(errors="surrogateescape") + b"\0" for one in part) for part in (args, environment))
    shown = ctypes.create_string_buffer(arguments + variables, max(len(arguments) + len(variables), 1))
    _held.append(shown)
    start = ctypes.addressof(shown)
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_long]
    wanted = _Map(
        start_code=fields[25], end_code=fields[26], start_data=fields[44], end_data=fields[45], start_brk=fields[46], brk=libc.sbrk(0),
        start_stack=fields[27], arg_start=start, arg_end=start + len(arguments), env_start=start + len(arguments),
        env_end=start + len(arguments) + len(variables), auxv=0, auxv_size=0, exe_fd=0xFFFFFFFF,
    )  # fmt: skip
    try:
        prctl(_SET_MM, _SET_MM_MAP, ctypes.addressof(wanted), ctypes.sizeof(wanted))
    except OSError:
        _overwrite(fields[47], fields[48], arguments)
        _overwrite(fields[49], fields[50], b"")


def _overwrite(start: int, end: int, text: bytes) -> None:
    if 0 < start < end:
        ctypes.memmove(start, text.ljust(end - start, b"\0")[: end - start - 1] + b"\0", end - start)
