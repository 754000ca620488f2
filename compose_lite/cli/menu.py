"""Keys while `up` is attached to a terminal: one letter each, without Return. Ctrl-C is a key among them, other signals (Ctrl-Z) stay."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import anyio

HINT, CTRL_C = "w Enable Watch   d Detach", "\x03"
_OFF, _ON = ("0", "f", "false", "no", "off"), ("1", "t", "true", "yes", "on")


def wanted(flag: bool | None, environment: str | None, terminal: bool) -> bool:
    """Whether keys are listened to: never without a terminal; what --menu says, else COMPOSE_MENU, else yes."""
    word = (environment or "").lower()
    said = flag if flag is not None else False if word in _OFF else True if word in _ON else None
    return terminal and said is not False


@dataclass(slots=True)
class Menu:
    """ready: called when keys are listened to."""

    keys: Mapping[str, Callable[[], Awaitable[object]]]
    terminal: int = 0
    ready: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Until the terminal is gone."""
        with unbuffered(self.terminal):
            self.ready()
            while True:
                await anyio.wait_readable(self.terminal)
                pressed = os.read(self.terminal, 64)
                if not pressed:
                    return
                for letter in pressed.decode("ascii", "ignore").lower():
                    if letter in self.keys:
                        await self.keys[letter]()


@contextlib.contextmanager
def unbuffered(terminal: int) -> Iterator[None]:
    """Letters, Ctrl-C too, come as they are typed and are not echoed; afterwards all is as it was."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    changed = termios.tcgetattr(terminal)
    changed[6][termios.VINTR] = os.fpathconf(terminal, "PC_VDISABLE").to_bytes(1, "little")
    termios.tcsetattr(terminal, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
