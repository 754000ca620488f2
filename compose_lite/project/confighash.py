"""Has a service, network or volume changed? A SHA-256 over what it is made of. Pure.

What does not change a running container (build, pull_policy, scale, deploy.replicas, depends_on, profiles) does not count.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from compose_lite.spec.models.resources import Network, Volume
from compose_lite.spec.models.service import Service
from compose_lite.spec.render import plain_service, plain_value

NOT_COUNTED = ("build", "pull_policy", "scale", "depends_on", "profiles")


def service_hash(service: Service) -> str:
    """64 hexadecimal digits; the label com.docker.compose.config-hash of the service's containers."""
    what = {key: value for key, value in plain_service(service, "json").items() if key not in NOT_COUNTED}
    if "deploy" in what:
        what["deploy"] = {key: value for key, value in what["deploy"].items() if key != "replicas"}
    return _digest(what)


def network_hash(network: Network) -> str:
    return _digest(plain_value(network, True))


def volume_hash(volume: Volume) -> str:
    return _digest({"driver": "local", **plain_value(volume, True)})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
