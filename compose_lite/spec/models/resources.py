"""What a project declares beside services: networks, volumes, secrets, configs, models. Values only."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from compose_lite.spec.models.values import DICT, LIST, Bool, Int, Model, Strings, TextMapping


class IpamPool(Model):
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: TextMapping = DICT


class Ipam(Model):
    driver: str = ""
    config: list[IpamPool] = LIST
    options: TextMapping = Field(default_factory=dict, exclude=True)
    """Taken, but of no effect: Docker Compose neither sends nor shows it."""


class Network(Model):
    """name is what the engine calls it (`<project>_<key>` unless said otherwise)."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"enable_ipv4", "enable_ipv6"})
    name: str = ""
    driver: str = ""
    driver_opts: TextMapping = DICT
    ipam: Ipam = Ipam()
    external: Bool = False
    internal: Bool = False
    attachable: Bool = False
    labels: TextMapping = DICT
    enable_ipv4: Bool | None = None
    enable_ipv6: Bool | None = None


class Volume(Model):
    """name is what the engine calls it (`<project>_<key>` unless said otherwise)."""

    name: str = ""
    driver: str = ""
    driver_opts: TextMapping = DICT
    external: Bool = False
    labels: TextMapping = DICT


class FileObject(Model):
    """A secret or a config. content: given inline, or what `environment` held when the project was loaded."""

    name: str = ""
    file: str = ""
    environment: str = ""
    content: str = ""
    external: Bool = False
    labels: TextMapping = DICT
    driver: str = ""
    driver_opts: TextMapping = DICT
    template_driver: str = ""


class LanguageModel(Model):
    name: str = ""
    model: str = ""
    context_size: Int = 0
    runtime_flags: Strings = LIST
