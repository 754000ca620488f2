"""`graph`: who needs whom, as a tree on the terminal or a drawing (graph/picture.py and its renderers)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.errors import Error, UsageError, nearest
from compose_lite.graph.dot import dot, mermaid
from compose_lite.graph.picture import Picture, Wishes, picture
from compose_lite.graph.svg import svg
from compose_lite.graph.tree import inactive, tree

FORMATS: dict[str, Callable[[Picture], str]] = {"tree": tree, "dot": dot, "mermaid": mermaid, "svg": svg}
ENDINGS = {".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid", ".svg": "svg"}

COMMAND = Command(
    "graph",
    "Show which services need which, as a tree or a drawing",
    (
        option("--format", default="", help="Values: [tree | dot | mermaid | svg] (default: by the ending of --output, else tree)"),
        flag("--networks", help="Show networks"),
        option("-o", "--output", default="", help="Save to file (default to stdout)"),
        flag("--ports", help="Show published ports"),
        flag("--volumes", help="Show named volumes"),
        arguments("services"),
    ),
)


def run(context: Context, services: tuple[str, ...], format: str, output: str, ports: bool, volumes: bool, networks: bool) -> None:
    format = format or ENDINGS.get(Path(output).suffix, "tree")
    if format not in FORMATS:
        raise UsageError("format", f'unsupported format "{format}"', remedy=nearest(format, FORMATS) or "Say tree, dot, mermaid or svg.")
    project = context.load(services=services)
    found = picture(project, Wishes(ports, volumes, networks))
    if not output:
        plain = format == "tree" and "utf" not in (context.out.encoding or "utf-8").lower()
        context.out.write(tree(found, ascii=True) if plain else FORMATS[format](found))
        if format == "tree" and not services:
            context.out.write(inactive(project))
        return
    try:
        Path(context.cwd, output).write_text(FORMATS[format](found), encoding="utf-8")
    except OSError as error:
        raise Error("config-output", f"{output}: cannot be written: {error.strerror}") from error
