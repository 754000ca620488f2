"""`convert`: the old name of `config`."""

from compose_lite.cli.commands.config import COMMAND, run

__all__ = ["COMMAND", "run"]
