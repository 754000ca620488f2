"""The example of a page: the files it shows, the command, and what that prints. Reads and writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs/errors"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = "**Example.**"


@dataclass(frozen=True, slots=True)
class Example:
    """files: name to text, from blocks (`# file: NAME` first, where it is not compose.yaml). says: what the command prints."""

    files: dict[str, str]
    command: str
    says: str


def example(code: str) -> Example | None:
    """None when the page has none."""
    _, title, section = (PAGES / f"{code}.md").read_text().partition(TITLE)
    files: dict[str, str] = {}
    command = says = ""
    for language, text in _BLOCK.findall(section):
        if language == "console":
            command, _, says = text.removeprefix("$ ").partition("\n")
        else:
            head, _, rest = text.partition("\n")
            named = head.startswith("# file: ")
            files[head.removeprefix("# file: ") if named else "compose.yaml"] = rest if named else text
    return Example(files, command, says.strip()) if title and command else None


def write(code: str, shown: Example) -> None:
    """Puts the example at the end of the page."""
    page = PAGES / f"{code}.md"
    blocks = []
    for name, text in shown.files.items():
        language = "yaml" if name.endswith((".yaml", ".yml")) else "dockerfile" if name == "Dockerfile" else "text"
        head = "" if name == "compose.yaml" else f"# file: {name}\n"
        blocks.append(f"```{language}\n{head}{text.rstrip()}\n```\n")
    blocks.append(f"```console\n$ {shown.command}\n{shown.says}\n```\n")
    page.write_text(page.read_text().partition(TITLE)[0].rstrip() + f"\n\n{TITLE}\n\n" + "\n".join(blocks))
