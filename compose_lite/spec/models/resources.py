"""What a project declares beside services: networks, volumes, secrets, configs, models. Values only."""

from __future__ import annotations

from typing import Any, ClassVar

from compose_lite.spec.models.forms import INTEGER, OPTIONS, STRING, keyed, of
from compose_lite.spec.models.values import Bool, Int, Model, Strings, TextMapping

OPEN_EXTERNAL = {"type": ["boolean", "string", "object"], "properties": {"name": STRING}}
EXTERNAL = {**OPEN_EXTERNAL, "additionalProperties": False, "patternProperties": {"^x-": {}}}


class IpamPool(Model):
    subnet: str = of("", "Subnet: 172.28.0.0/16.")
    gateway: str = of("", "Address of the gateway.")
    ip_range: str = of("", "Part of the subnet for containers.")
    aux_addresses: TextMapping = of(dict, "Addresses that nobody gets.", keyed("^.+$", STRING))

    @property
    def extensions(self) -> dict[str, Any]:
        """None: the reference takes its `x-...` keys and forgets them."""
        return {}


class Ipam(Model):
    driver: str = of("", "Who gives addresses.")
    config: list[IpamPool] = of(list, "Subnets.", merge="pools")
    options: TextMapping = of(dict, "Options of the driver.", keyed("^.+$", STRING), once="name", shown=False)
    """Taken, but of no effect: Docker Compose neither sends nor shows it."""


class Network(Model):
    """name is what the engine calls it (`<project>_<key>` unless said otherwise)."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"enable_ipv4", "enable_ipv6"})
    name: str = of("", "What the engine calls it.")
    driver: str = of("", "bridge, host, none.")
    driver_opts: TextMapping = of(dict, "Options of the driver.", OPTIONS)
    ipam: Ipam = of(Ipam(), "Subnets and addresses.")
    external: Bool = of(False, "It exists already, made by somebody else.", EXTERNAL, cast="bool")
    internal: Bool = of(False, "No way out.", cast="bool")
    attachable: Bool = of(False, "Others may join it.", cast="bool")
    labels: TextMapping = of(dict, "Labels of the network.", merge="append", once="name")
    enable_ipv4: Bool | None = of(None, "IPv4 addresses.", cast="bool")
    enable_ipv6: Bool | None = of(None, "IPv6 addresses.", cast="bool")


class Volume(Model):
    """name is what the engine calls it (`<project>_<key>` unless said otherwise)."""

    name: str = of("", "What the engine calls it.")
    driver: str = of("", "local.")
    driver_opts: TextMapping = of(dict, "Options of the driver: type, o, device.", OPTIONS)
    external: Bool = of(False, "It exists already, made by somebody else.", EXTERNAL, cast="bool")
    labels: TextMapping = of(dict, "Labels of the volume.", merge="append")


class FileObject(Model):
    """A secret or a config. content: given inline, or what `environment` held when the project was loaded."""

    name: str = of("", "What the engine calls it.")
    file: str = of("", "File that holds it.")
    environment: str = of("", "Variable that holds it.")
    content: str = of("", "The text itself.")
    external: Bool = of(False, "It exists already, made by somebody else.", OPEN_EXTERNAL, cast="bool")
    labels: TextMapping = of(dict, "Labels of it.")
    driver: str = of("", "Who keeps it.")
    driver_opts: TextMapping = of(dict, "Options of the driver.", OPTIONS)
    template_driver: str = of("", "How the text is a template.")


class LanguageModel(Model):
    needed: ClassVar[tuple[str, ...]] = ("model",)
    name: str = of("", "What the runner calls it.")
    model: str = of("", "Name of the model.")
    context_size: Int = of(0, "Tokens of context.", INTEGER)
    runtime_flags: Strings = of(list, "Flags for the runner.")
