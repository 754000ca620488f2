"""Keys of an attached `up`: when they are listened to, and that the terminal is as before afterwards."""

from __future__ import annotations

import os
import pty
import select
import termios

import anyio
import pytest

from compose_lite.cli.menu import CTRL_C, Menu, wanted


@pytest.mark.parametrize(
    ("flag", "environment", "terminal", "result"),
    [
        (None, None, True, True),
        (None, None, False, False),
        (True, None, False, False),
        (False, "true", True, False),
        (True, "false", True, True),
        (None, "0", True, False),
        (None, "nonsense", True, True),
    ],
)
def test_when_keys_are_listened_to(flag: bool | None, environment: str | None, terminal: bool, result: bool) -> None:
    assert wanted(flag, environment, terminal) is result


@pytest.mark.anyio
async def test_letters_come_as_they_are_typed_and_are_not_echoed() -> None:
    keyboard, terminal = pty.openpty()
    before, pressed = termios.tcgetattr(terminal), []

    async def watch() -> None:
        pressed.append("w")

    async def interrupt() -> None:
        pressed.append("c")

    async with anyio.create_task_group() as group:

        async def detach() -> None:
            pressed.append("d")
            group.cancel_scope.cancel()

        group.start_soon(Menu({"w": watch, CTRL_C: interrupt, "d": detach}, terminal).run)
        while termios.tcgetattr(terminal) == before:
            await anyio.sleep(0)
        os.write(keyboard, b"wx\x03Wd")
    assert pressed == ["w", "c", "w", "d"]
    assert termios.tcgetattr(terminal) == before
    assert not select.select([keyboard], [], [], 0)[0]
    os.close(keyboard)
    os.close(terminal)
