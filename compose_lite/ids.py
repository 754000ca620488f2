"""Names and ids as Docker and Docker Compose make them, and the labels of Compose."""

from __future__ import annotations

import re
import secrets

LABEL = "com.docker.compose."
PROJECT, SERVICE, NUMBER, ONEOFF = LABEL + "project", LABEL + "service", LABEL + "container-number", LABEL + "oneoff"
SLUG, IMAGE, CONFIG_HASH, DEPENDS_ON = LABEL + "slug", LABEL + "image", LABEL + "config-hash", LABEL + "depends_on"
WORKING_DIR, CONFIG_FILES = LABEL + "project.working_dir", LABEL + "project.config_files"
ENVIRONMENT_FILE, VERSION, REPLACE = LABEL + "project.environment_file", LABEL + "version", LABEL + "replace"
CONFIGURATION = "x-compose-lite.configuration"
"""Key of a create document: the Compose configuration of the service. Our engine keeps it, others do not read it."""
UNMET = "x-compose-lite-unmet"
"""Header of the answer to a start: limits that could not be kept and were not said when the container was made, as JSON."""
HOOK = LABEL + "hook"
"""Of a container that runs a step of `pre_start`."""
NETWORK, VOLUME = LABEL + "network", LABEL + "volume"

CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def new_id() -> str:
    """A container, network or exec id: 64 hexadecimal digits, of which the first 12 are not all decimal ones.

    The first 12 are a container's hostname and one of its names; a name of decimal digits alone is an address to
    inet_aton(3), so resolvers would never ask for it. One id in 280 would be such.
    """
    while (made := secrets.token_hex(32))[:12].isdecimal():
        pass
    return made


def short(full: str) -> str:
    """The first 12 digits of an id, without its `sha256:`."""
    return full.removeprefix("sha256:")[:12]


def normalize_project_name(text: str) -> str:
    """A folder's name as a project name: lower case, only [a-z0-9_-], no leading [_-] (compose-go NormalizeProjectName)."""
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")
