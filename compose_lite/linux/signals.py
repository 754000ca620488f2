"""signal(7): which signal a word means, as Docker reads it. Pure."""

from __future__ import annotations

import signal

_REAL_TIME = signal.SIGRTMIN  # with glibc, which keeps the two before
LAST = signal.SIGRTMAX
_WORDS = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 "
    "VTALRM WINCH XCPU XFSZ"
)
_HALF = (LAST - _REAL_TIME) // 2
NAMES: dict[str, int] = {
    **{word: int(getattr(signal, f"SIG{word}")) for word in _WORDS.split()},
    **({"STKFLT": 16} if int(signal.SIGBUS) == 7 else {}),  # MIPS has another order, and none of it
    "RTMIN": _REAL_TIME,
    **{f"RTMIN+{n}": _REAL_TIME + n for n in range(1, _HALF + 1)},
    **{f"RTMAX-{n}": LAST - n for n in range(1, _HALF)},
    "RTMAX": LAST,
}


def number(text: str) -> int:
    """Of `SIGTERM`, `term`, `RTMIN+3`, or any number but 0, which need not be a signal's. 0: it is none."""
    if text.isascii() and text.lstrip("+-").isdigit() and len(text) - len(text.lstrip("+-")) < 2 and len(text) < 19 and int(text):
        return int(text)
    return NAMES.get(text.upper().removeprefix("SIG"), 0)


def can_be_asked_for(number: int) -> bool:
    """`docker kill` sends those that have a name."""
    return number in NAMES.values()


def is_one(number: int) -> bool:
    """kill(2) knows it."""
    return 0 < number <= LAST
