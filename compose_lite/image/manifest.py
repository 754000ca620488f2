"""Descriptors, manifests, indexes and image configurations: media types, platform choice, checked reading. Pure.

OCI image specification 1.1 and Docker's schema 2, which differ in their media types only. Nothing here
reads a file or a socket: bytes in, values out, and back.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose_lite.errors import ImageError

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
ACCEPT = ", ".join((*MANIFESTS, *INDEXES))

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MACHINES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "arm64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
}
ARCHITECTURES = frozenset(name for name, _ in _MACHINES.values()) | {"loong64", "mips64le", "mips64", "mipsle", "mips", "ppc64", "wasm"}
_WORDS = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}


@dataclass(frozen=True, slots=True)
class Platform:
    """`linux/arm/v7`"""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def accepts(self, other: Platform) -> bool:
        """Whether an image made for `other` is one for this platform; arm64's v8 is what no variant means."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        plain = {"arm64": "v8", "arm": "v7"}.get(self.architecture, "")
        return (self.variant or plain) == (other.variant or plain) or not self.variant


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform: its configuration and its layers, bottom first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


def host_platform() -> Platform:
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, "" if architecture == "arm64" else variant)


def parse_platform(text: str) -> Platform:
    """`linux/amd64`, `arm64`, `linux/arm/v7`; what is left out is this machine's."""
    host = host_platform()
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts = [host.os, parts[0]] if parts[0] != "linux" else [host.os, host.architecture]
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise ImageError("platform", f"{text!r} is no platform", remedy="A platform is os/architecture[/variant], for example linux/amd64.")
    architecture = _WORDS.get(parts[1], parts[1])
    return Platform(parts[0], architecture, parts[2] if len(parts) == 3 else "")


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def check_digest(content: bytes, digest: str, what: str) -> bytes:
    """The content itself, if it is what the digest says."""
    algorithm, _, wanted = digest.partition(":")
    if algorithm not in ("sha256", "sha512"):
        raise ImageError("digest-algorithm", f"{what} has the digest {digest}, whose algorithm is not known here")
    if hashlib.new(algorithm, content).hexdigest() != wanted:
        raise ImageError(
            "digest-mismatch",
            f"{what} does not have the content that its digest {digest} promises",
            remedy="Try again; if it stays so, the source is damaged.",
        )
    return content


def document(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object out of bytes from outside."""
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ImageError("image-document", f"{what} is no JSON document: {error}") from error
    if not isinstance(value, dict):
        raise ImageError("image-document", f"{what} is no JSON object")
    return value


def descriptor(value: Any, what: str) -> Descriptor:
    try:
        platform = value.get("platform")
        return Descriptor(
            str(value.get("mediaType", "")),
            str(value["digest"]),
            int(value.get("size", -1)),
            platform and Platform(str(platform.get("os", "")), str(platform.get("architecture", "")), str(platform.get("variant") or "")),
            dict(value.get("annotations") or {}),
            tuple(value.get("urls") or ()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ImageError("image-document", f"{what} has a descriptor that cannot be read: {value!r}") from error


def manifest(value: Mapping[str, Any], what: str) -> Manifest:
    if value.get("schemaVersion") != 2 or "config" not in value:
        raise ImageError(
            "image-schema", f"{what} is of an image format that is not supported", remedy="Push the image anew with a current tool."
        )
    layers = tuple(descriptor(layer, what) for layer in value.get("layers") or ())
    return Manifest(str(value.get("mediaType") or OCI_MANIFEST), descriptor(value["config"], what), layers)


def choose(index: Mapping[str, Any], platform: Platform, what: str) -> Descriptor:
    """The index's entry for the platform; attestations (platform unknown/unknown) are never chosen."""
    entries = [descriptor(entry, what) for entry in index.get("manifests") or ()]
    fitting = [e for e in entries if e.platform and platform.accepts(e.platform)]
    exact = [e for e in fitting if e.platform and e.platform.variant == platform.variant]
    if fitting:
        return (exact or fitting)[0]
    images = [e for e in entries if not e.platform or e.platform.os != "unknown"]
    if len(images) == 1 and images[0].platform is None:
        return images[0]
    offered = ", ".join(sorted({str(e.platform) for e in images if e.platform}))
    raise ImageError(
        "image-platform",
        f"no matching manifest for {platform} in {what}, which has {offered or 'none'}",
        remedy="Choose one of these with `platform:`.",
    )


def layers_of(config: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """The diff ids that the configuration lists."""
    rootfs = config.get("rootfs")
    ids = (rootfs or {}).get("diff_ids") if isinstance(rootfs, Mapping) or rootfs is None else None
    if ids is None:
        return ()
    if not isinstance(ids, Sequence) or not all(isinstance(d, str) and d.startswith("sha256:") and len(d) == 71 for d in ids):
        raise ImageError("image-document", f"the configuration of {what} has layers that cannot be read")
    return tuple(ids)


def platform_document(config: Mapping[str, Any]) -> dict[str, Any]:
    """The platform that a configuration is for, with the keys that an index gives for one."""
    return {key: config[key] for key in ("architecture", "os", "os.version", "os.features", "variant") if config.get(key)}


def config_bytes(config: Mapping[str, Any]) -> bytes:
    """The configuration as the bytes whose digest is the image's id."""
    return json.dumps(config, separators=(",", ":"), ensure_ascii=False).encode()
