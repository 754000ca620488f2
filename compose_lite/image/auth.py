"""What registries ask for and clients send: challenges (RFC 7235) and the headers of the Docker Engine API."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compose_lite.logins import Login, domain_of, of_document

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW-Authenticate header."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenge(text: str) -> Challenge:
    scheme, _, rest = text.strip().partition(" ")
    return Challenge(scheme.lower(), {key.lower(): value for key, value in _PARAMETER.findall(rest)})


def decode_header(text: str) -> Login | None:
    """X-Registry-Auth: JSON in URL-safe base64, padded or not; empty means anonymous."""
    try:
        return of_document(_decoded(text))
    except ValueError:
        return None


def decode_config(text: str) -> dict[str, Login]:
    """X-Registry-Config: the same of several registries, by domain."""
    try:
        value = _decoded(text)
        logins = {str(server): of_document(one) for server, one in value.items()} if isinstance(value, dict) else {}
    except ValueError:
        return {}
    return {domain_of(server): login for server, login in logins.items() if login}


def _decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) if text else {}
