"""`man`: writes a man page for each command, made from the same table as `--help`."""

from __future__ import annotations

import time
from pathlib import Path

from compose_lite.cli.context import Context
from compose_lite.cli.manual import pages
from compose_lite.cli.pflag import Command, argument
from compose_lite.errors import UsageError

COMMAND = Command("man", "Write man pages into a folder such as ~/.local/share/man/man1", (argument("directory"),))


async def run(context: Context, directory: str) -> None:
    """The pages' date is today's, or that of SOURCE_DATE_EPOCH, so that packages can be built twice alike."""
    folder = Path(context.cwd) / directory
    seconds = int(context.environ.get("SOURCE_DATE_EPOCH") or time.time())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages(time.strftime("%Y-%m-%d", time.gmtime(seconds))).items():
            (folder / name).write_text(text)
    except OSError as error:
        says = f"{error.filename or folder}: {error.strerror}"
        raise UsageError("man-folder", says, remedy="Name a folder that can be written to.") from None
