"""Has a service, network or volume changed? A SHA-256 over what it is made of. Pure.

What does not change a running container (build, pull_policy, scale, deploy.replicas, depends_on, profiles) does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from compose_lite.spec.models.resources import Network, Volume
from compose_lite.spec.models.service import Service, changed
from compose_lite.spec.render import escaped_json, plain_value

NOBODY: Mapping[str, str] = {}
NOT_COUNTED = ("build", "pull_policy", "scale", "depends_on", "profiles")


def service_hash(service: Service, sharing: Mapping[str, str] = NOBODY) -> str:
    """64 hexadecimal digits; the label com.docker.compose.config-hash of the service's containers.

    sharing: service -> container. Whose namespaces or volumes are used counts: a new one there is a change here.
    """
    return _digest(configuration(service, sharing))


def configuration(service: Service, sharing: Mapping[str, str] = NOBODY) -> dict[str, Any]:
    """What is hashed, as a JSON document: our engine keeps it with the container, so that a plan can say what changed."""
    found = plain_value(_resolved(service, sharing), True)
    what = {key: value for key, value in found.items() if key not in NOT_COUNTED and key != "name"}
    if "deploy" in what:
        what["deploy"] = {key: value for key, value in what["deploy"].items() if key != "replicas"}
    return what


def _resolved(service: Service, sharing: Mapping[str, str]) -> Service:
    if not sharing:
        return service
    fields: dict[str, Any] = {}
    for attribute in ("network_mode", "ipc", "pid"):
        name = getattr(service, attribute).removeprefix("service:")
        if getattr(service, attribute).startswith("service:") and name in sharing:
            fields[attribute] = f"container:{sharing[name]}"
    if service.volumes_from:
        fields["volumes_from"] = [_volumes_from(text, sharing) for text in service.volumes_from]
    return changed(service, **fields) if fields else service


def _volumes_from(text: str, sharing: Mapping[str, str]) -> str:
    name, _, rest = text.partition(":")
    return rest if name == "container" else sharing.get(name, text)


def network_hash(network: Network) -> str:
    return _digest(plain_value(network, True))


def volume_hash(volume: Volume) -> str:
    return _digest(plain_value(volume.model_copy(update={"driver": volume.driver or "local"}), True))


def _digest(value: Any) -> str:
    """Of the text that Go's encoding/json writes: attributes in the models' order, which is that of Docker Compose's."""
    text = escaped_json(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
