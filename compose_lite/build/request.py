"""What a build is asked for: the document of POST /compose-lite/v1/build as a value. Pure.

What is not supported is refused here by name, or said as a notice where leaving it out changes nothing of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compose_lite.errors import BuildError, ImageError
from compose_lite.image.manifest import Platform, parse_platform

Document = dict[str, Any]
ENTITLEMENTS = ("network.host", "security.insecure")


@dataclass(frozen=True, slots=True)
class Secret:
    """From a file of the machine, or (content, base64) from the client."""

    file: str = ""
    content: str | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    context: str = ""
    """A folder of this machine or a git URL; empty with `tar` set."""
    tar: str = ""
    """A file with the context as a tar archive."""
    dockerfile: str = "Dockerfile"
    inline: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    network: str = "default"
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    ssh: Mapping[str, str] = field(default_factory=dict)
    """Id to the path of an agent's socket."""
    contexts: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    entitlements: frozenset[str] = frozenset()
    check: bool = False
    prefix: str = ""
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    """Extra hosts, limits and the like of RUN: part of what its result depends on."""
    notices: tuple[str, ...] = ()


def parse(document: Mapping[str, Any]) -> BuildRequest:
    """BuildError for what cannot be done."""
    notices = []
    for key, what in (("cache_from", "cache_from"), ("cache_to", "cache_to")):
        if document.get(key):
            notices.append(f"{what} is not used: this machine's own build cache is")
    for key in ("provenance", "sbom"):
        if document.get(key) and str(document[key]).lower() not in ("false", "0"):
            notices.append(f"{key} is not made: the image store keeps no attestations")
    entitlements = frozenset(document.get("entitlements") or ()) | ({"security.insecure"} if document.get("privileged") else set())
    unknown = entitlements - set(ENTITLEMENTS)
    if unknown:
        raise BuildError("build-entitlement", f"unknown entitlement {sorted(unknown)[0]}", remedy=f"Known: {', '.join(ENTITLEMENTS)}.")
    network = document.get("network") or "default"
    if network not in ("default", "none", "host", "bridge"):
        raise BuildError("build-network", f'network mode "{network}" is not supported by builds', remedy="Say default, none or host.")
    return BuildRequest(
        str(document.get("context") or ""),
        str(document.get("tar") or ""),
        str(document.get("dockerfile") or "Dockerfile"),
        str(document.get("dockerfile_inline") or ""),
        {str(k): str(v) for k, v in (document.get("args") or {}).items() if v is not None},
        str(document.get("target") or ""),
        tuple(document.get("tags") or ()),
        {str(k): str(v) for k, v in (document.get("labels") or {}).items()},
        bool(document.get("no_cache")),
        bool(document.get("pull")),
        "default" if network == "bridge" else network,
        {str(s["id"]): Secret(str(s.get("file") or ""), s.get("content")) for s in document.get("secrets") or ()},
        _ssh(document.get("ssh") or ()),
        {str(k): str(v) for k, v in (document.get("additional_contexts") or {}).items()},
        _platform(document.get("platforms") or ()),
        entitlements,
        bool(document.get("check")),
        str(document.get("prefix") or ""),
        _sandbox(document),
        tuple(notices),
    )


def _ssh(entries: Any) -> dict[str, str]:
    return {str(entry.get("id") or "default"): str(entry.get("path") or "") for entry in entries}


def _platform(entries: Any) -> Platform | None:
    """The one platform that is asked for, None for the machine's."""
    try:
        wanted = [parse_platform(str(entry)) for entry in entries]
    except ImageError as error:
        raise BuildError("build-platform", error.says, remedy=error.remedy) from None
    if len(wanted) > 1:
        raise BuildError(
            "build-platform",
            f"an image for several platforms ({', '.join(map(str, wanted))}) cannot be built: an image here is for one",
            remedy="Name one platform.",
        )
    return wanted[0] if wanted else None


def _sandbox(document: Mapping[str, Any]) -> Document:
    return {key: document[key] for key in ("extra_hosts", "shm_size", "ulimits") if document.get(key)}
