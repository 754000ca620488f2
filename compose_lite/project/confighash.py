"""Has a service, network or volume changed? A SHA-256 over what it is made of. Pure.

What does not change a running container (build, pull_policy, scale, deploy.replicas, depends_on, profiles) does not count.
"""

from __future__ import annotations

from compose_lite.spec.models.resources import Network, Volume
from compose_lite.spec.models.service import Service


def service_hash(service: Service) -> str:
    """64 hexadecimal digits; the label com.docker.compose.config-hash of the service's containers."""
    raise NotImplementedError


def network_hash(network: Network) -> str:
    raise NotImplementedError


def volume_hash(volume: Volume) -> str:
    raise NotImplementedError
