"""Names of images: `[domain/]path[:tag][@digest]`, parsed, completed and shortened as Docker does. Pure.

The grammar is that of the OCI distribution specification and of Docker's `reference` package: without a
domain it is docker.io, without a folder there `library/`, without tag and digest the tag is `latest`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from compose_lite.errors import ImageError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A complete name. tag and digest are empty where the text had none (see `with_default_tag`)."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """`docker.io/library/busybox`"""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """`busybox`, `me/app`, `localhost:5000/app`: what users see."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        rest = self.path.removeprefix("library/")
        return rest if "/" not in rest else self.path

    @property
    def familiar(self) -> str:
        return self.familiar_repository + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.repository + self._suffix

    def with_default_tag(self) -> Reference:
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_digest(self, digest: str) -> Reference:
        return replace(self, digest=digest, tag="")


def parse(text: str) -> Reference:
    """The reference that the text means; ImageError `image-name` with Docker's words where it means none."""
    if _HEX.fullmatch(text) and len(text) == 64:
        raise _bad(text, "cannot specify 64-byte hexadecimal strings")
    rest, _, digest = text.partition("@")
    if "@" in text and not _DIGEST.fullmatch(digest):
        raise _bad(text)
    domain, remainder = _split_domain(rest)
    path, tag = _split_tag(remainder)
    if not _PATH.fullmatch(path):
        if _PATH.fullmatch(path.lower()):
            raise _bad(text, f"repository name ({path}) must be lowercase")
        raise _bad(text)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _bad(text)
    if not _DOMAIN.fullmatch(domain) or len(path) > 255:
        raise _bad(text)
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return Reference(domain, path, tag or "", digest.lower())


def parse_tagged(text: str) -> Reference:
    """Like `parse`, with the tag `latest` where neither tag nor digest is given."""
    return parse(text).with_default_tag()


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    looks_like_host = slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first)
    if not looks_like_host:
        return DEFAULT_DOMAIN, text
    return (DEFAULT_DOMAIN if first == "index.docker.io" else first), rest


def _split_tag(text: str) -> tuple[str, str | None]:
    head, colon, tail = text.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (text, None)


def _bad(text: str, why: str = "") -> ImageError:
    says = f"invalid reference format: {why}" if why else f'invalid reference format: "{text}" is not an image name'
    return ImageError("image-name", says, remedy="A name is [host[:port]/]path[:tag][@sha256:digest] in lower case.")
