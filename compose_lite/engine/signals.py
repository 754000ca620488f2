"""Whether a process reacts to a signal, by what /proc/PID/status says of it. Pure; proc_pid_status(5), pid_namespaces(7).

The first process of a pid namespace is special: a signal from outside for which it has no handler is dropped by the kernel,
unless it is SIGKILL or SIGSTOP. So `sleep 1000` as PID 1 never notices a SIGTERM.
"""

from __future__ import annotations

import re

UNSTOPPABLE = (9, 19)


def reacts(status: str, number: int) -> bool | None:
    """status: the text of /proc/PID/status. None when it does not tell."""
    fields = dict(re.findall(r"(?m)^(\w+):\s*(.*)$", status))
    try:
        caught, ignored, blocked = (bool(int(fields[key], 16) >> (number - 1) & 1) for key in ("SigCgt", "SigIgn", "SigBlk"))
        inner = [int(word) for word in fields["NSpid"].split()]
    except (KeyError, ValueError):
        return None
    if number in UNSTOPPABLE or caught or blocked:  # blocked: it is waited for, by sigwait(3) or signalfd(2)
        return True
    return not ignored and not (len(inner) > 1 and inner[-1] == 1)
