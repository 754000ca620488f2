"""From the table of values to a Compose file: one value alone, or two to four that a seed chooses. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
PROJECT = "(project)"
HERE = Path(__file__).parent
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}
FILES = {
    "values.env": "A=from file\nB='q $A'\n",
    "profile.json": json.dumps(PROFILE),
    "passwd": "root:x:0:0:root:/rooted:\nnamed:x:1234:77:named:/home/named:\nempty:x:5:5:::\napp:x:1000:1000:app:/home/other:\n",
    "tree/file": "of the tree\n",
    "tree/sub/below": "below\n",
    "empty/": "",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Values by attribute; the first of two wins where both say the same key."""

    name: str
    values: Sequence[tuple[str, Document]]

    def __str__(self) -> str:
        return f"{self.name}: " + "  +  ".join(json.dumps(value) for _, value in self.values)


def table(path: Path = HERE / "table.yaml") -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = yaml.safe_load(path.read_text())
    return found


def singles(values: Mapping[str, Sequence[Document]]) -> list[Choice]:
    return [Choice(f"{key}-{at}", [(key, value)]) for key, every in values.items() for at, value in enumerate(every)]


def together(values: Mapping[str, Sequence[Document]], seed: int) -> Choice:
    """Two to four attributes, a value of each."""
    chosen = random.Random(seed)
    keys = chosen.sample(sorted(values), chosen.choice((2, 2, 3, 3, 4)))
    return Choice(str(seed), [(key, chosen.choice(values[key])) for key in keys])


def merged(documents: Iterable[Mapping[str, Any]]) -> Document:
    """Mappings together, lists one after the other; of what cannot be joined the first."""
    found: Document = {}
    for document in documents:
        for key, value in document.items():
            before = found.get(key)
            if isinstance(before, dict) and isinstance(value, Mapping):
                found[key] = merged([before, value])
            elif isinstance(before, list) and isinstance(value, list):
                found[key] = [*before, *(entry for entry in value if entry not in before)]
            elif key not in found:
                found[key] = value
    return found


def compose_file(choice: Choice, project: str, folder: str, number: int) -> str:
    """The file's text. number: another one for each tool, so that their addresses do not meet."""
    service = merged(value for _, value in choice.values)
    beside = service.pop(PROJECT, {})
    service.setdefault("image", "attributes:plain")
    shared = {"image": "attributes:plain", "init": True, "command": "sleep 1000", "stop_grace_period": "0s"}
    services = {"probed": service}
    text = json.dumps(service)
    if "other" in text:
        services["other"] = shared | {"ipc": "shareable", "volumes": ["./tree:/mnt/o", "/mnt/anonymous"]}
    if "sharing" in text:
        services["sharing"] = shared
    made = yaml.safe_dump({"services": services, **beside}, sort_keys=False, width=1000)
    for word, value in (("project", project), ("folder", folder), ("number", str(number))):
        made = made.replace(f"{{{word}}}", value)
    return made
