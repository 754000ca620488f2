"""The name this program was called by, for its texts: `compose-lite`, `docker-compose` (a link), or `docker compose` (docker's plugin).

Docker runs a plugin as `docker-compose [docker's options] compose WORDS...`; the front takes all up to `compose` away
and says PLUGIN for the name.
"""

from __future__ import annotations

import json
import os
import re

from compose_lite import __version__

NAME, STANDALONE, PLUGIN = "compose-lite", "docker-compose", "docker compose"
METADATA = "docker-cli-plugin-metadata"
_COMMAND = re.compile(r"""(^ *(?:try: )?|[`'"(])compose-lite(?= )""", re.MULTILINE)  # `...`, '...', "...", (...) or a line of its own


def called(argv0: str) -> str:
    """The program's name for a first argument of the command line (or PLUGIN, which the front puts there)."""
    return PLUGIN if argv0 == PLUGIN else STANDALONE if os.path.basename(argv0) == STANDALONE else NAME


def renamed(text: str, program: str) -> str:
    """The text with the program's name in the command lines that it proposes; what it says of compose-lite itself stays."""
    return text if program == NAME else _COMMAND.sub(rf"\1{program}", text)


def metadata() -> str:
    """What docker asks a plugin for before it offers its commands."""
    document = {
        "SchemaVersion": "0.1.0",
        "Vendor": "compose-lite",
        "Version": f"v{__version__}",
        "ShortDescription": "Compose (compose-lite)",
        "URL": "https://github.com/compose-lite/compose-lite",
    }
    return json.dumps(document, indent=4) + "\n"
