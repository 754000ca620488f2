"""What a container is on a network, as documents: its endpoints, its names, its /etc/hosts and /etc/resolv.conf. Pure.

An endpoint's document is Docker's EndpointSettings with the private key `x-interface`, the interface's name inside.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

from compose_lite.errors import EngineError
from compose_lite.ids import new_id, short
from compose_lite.network import addresses
from compose_lite.network.dns_server import ResolvConf
from compose_lite.network.publish import Published

Document = dict[str, Any]
RESOLVER = "127.0.0.11"
_LOCAL_HOSTS = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)
_NO_ADDRESS: Document = {
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
}


class NetworkContainer(Protocol):
    """What the networks need to know of a container; `endpoints` is kept by the container's record."""

    id: str
    name: str
    config: Document
    host_config: Document
    networking_config: Document
    endpoints: MutableMapping[str, Document]
    pid: int

    @property
    def running(self) -> bool: ...


def mode_of(container: NetworkContainer) -> str:
    """Its NetworkMode: a network's name, host, none or container:ID."""
    mode = container.host_config.get("NetworkMode") or "bridge"
    return "bridge" if mode == "default" else str(mode)


def shares(container: NetworkContainer) -> bool:
    """It stands in another container's namespace."""
    return mode_of(container).startswith("container:")


def has_names(network: Mapping[str, Any]) -> bool:
    """Containers find each other by name on this network: all but the default bridge, as with Docker."""
    return bool(network["Driver"] == "bridge" and network["Name"] != "bridge")


def endpoint_order(container: NetworkContainer) -> list[str]:
    """Names of its networks: the one with the default route first (GwPriority, then name)."""
    return sorted(
        container.endpoints, key=lambda n: (-(container.endpoints[n].get("GwPriority") or 0), not container.endpoints[n].get("Gateway"), n)
    )


def dns_names(container: NetworkContainer, settings: Mapping[str, Any]) -> list[str]:
    """The names a container has on a network: its name, aliases, short id, host name."""
    names = [container.name, *(settings.get("Aliases") or ()), short(container.id), container.config.get("Hostname") or ""]
    return list(dict.fromkeys(n for n in names if n))


def new_endpoint(
    network: Document, settings: Mapping[str, Any], container: NetworkContainer, old: Mapping[str, Any] | None = None
) -> Document:
    """An endpoint's document without addresses. A hardware address of the container's is that of its first network's alone."""
    own = container.config.get("MacAddress") if mode_of(container) in (network["Name"], network["Id"]) else ""
    return {
        "IPAMConfig": settings.get("IPAMConfig"),
        "Links": settings.get("Links"),
        "Aliases": settings.get("Aliases"),
        "MacAddress": hardware_address(settings.get("MacAddress") or own or ""),
        "DriverOpts": settings.get("DriverOpts"),
        "GwPriority": settings.get("GwPriority") or 0,
        "NetworkID": network["Id"],
        "EndpointID": (old or {}).get("EndpointID") or new_id(),
        **_NO_ADDRESS,
        "DNSNames": dns_names(container, settings) if has_names(network) else None,
    }


def hardware_address(text: str) -> str:
    """`02:42:ac:11:00:02`, with hyphens too. EngineError for anything else that is not empty."""
    plain = text.replace("-", ":").lower()
    if plain and not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", plain):
        raise EngineError(f"invalid MAC address: {text}", http_status=400)
    return plain


def clear_addresses(endpoint: Document) -> None:
    if endpoint["MacAddress"] == addresses.mac_of(endpoint["IPAddress"] or endpoint["GlobalIPv6Address"]):
        endpoint["MacAddress"] = ""  # not wished for
    endpoint.update(_NO_ADDRESS)
    endpoint.pop("x-interface", None)


def cidr(address: str, prefix: int) -> str:
    return f"{address}/{prefix}" if address else ""


def links_of(settings: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`links:` of its endpoints: alias to name, both in lower case."""
    found = {}
    for one in settings:
        for link in one.get("Links") or ():
            target, _, alias = link.partition(":")
            found[(alias or target).lower()] = target.lower()
    return found


def port_bindings(container: NetworkContainer) -> dict[str, Any]:
    """The ports it wants published; with PublishAllPorts every exposed one too."""
    if mode_of(container) in ("host", "none") or shares(container):
        return {}
    bindings = dict(container.host_config.get("PortBindings") or {})
    if container.host_config.get("PublishAllPorts"):
        for key in container.config.get("ExposedPorts") or {}:
            bindings.setdefault(key, [{}])
    return bindings


def extra_hosts(container: NetworkContainer, host_gateway: str) -> Iterator[tuple[str, str]]:
    """`extra_hosts:` as (name, address); `host-gateway` stands for the machine."""
    for entry in container.host_config.get("ExtraHosts") or ():
        name, _, address = entry.partition(":") if "=" not in entry.split(":")[0] else entry.partition("=")
        address = address.removeprefix("[").removesuffix("]")
        yield name, host_gateway if address == "host-gateway" else address


def hosts_text(container: NetworkContainer, extra: Iterable[tuple[str, str]]) -> str:
    """/etc/hosts of a container with a namespace of its own."""
    lines = [*(_LOCAL_HOSTS if _has_ipv6(container) else _LOCAL_HOSTS[:1]), *(f"{address}\t{name}" for name, address in extra)]
    host, domain = container.config.get("Hostname") or short(container.id), container.config.get("Domainname") or ""
    long = f"{host}.{domain}" if domain else host
    names = f"{long} {long.partition('.')[0]}" if "." in long else long
    for name in endpoint_order(container):
        endpoint = container.endpoints[name]
        lines += [f"{endpoint[k]}\t{names}" for k in ("IPAddress", "GlobalIPv6Address") if endpoint.get(k)]
    return "\n".join(lines) + "\n"


def _has_ipv6(container: NetworkContainer) -> bool:
    wishes = container.host_config.get("Sysctls") or {}
    return not any(str(wishes.get(f"net.ipv6.conf.{where}.disable_ipv6", "")) == "1" for where in ("all", "lo"))


def resolv_conf_text(container: NetworkContainer, machine: ResolvConf, *, named: bool) -> str:
    """/etc/resolv.conf: our resolver where names are served (named), else the container's or the machine's servers."""
    host_config = container.host_config
    servers: Sequence[str] = tuple(host_config.get("Dns") or ()) or machine.servers
    search = tuple(host_config.get("DnsSearch") or ()) or machine.search
    options = tuple(host_config.get("DnsOptions") or ()) or machine.options
    if named:
        if not any(o.startswith("ndots:") for o in options):
            options = (*options, "ndots:0")
        note = [f"# ExtServers: [{' '.join(servers)}]"]
        servers = [RESOLVER]
    else:
        note = []
        if mode_of(container) != "host":  # a loopback server of the machine is out of reach from another namespace
            servers = [s for s in servers if not _is_loopback(s)] or ["8.8.8.8", "8.8.4.4"]
    lines = ["# Generated by compose-lite.", *(f"nameserver {s}" for s in servers)]
    if search and search != (".",):
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join([*lines, "", *note, ""]) if note else "\n".join(lines) + "\n"


def network_settings(container: NetworkContainer, published: Iterable[Published], *, live: bool) -> Document:
    """NetworkSettings of the container's inspect document. live: its namespace exists."""
    ports: dict[str, list[Document] | None] = {}
    networks: dict[str, Document] = {}
    if not shares(container):
        if container.running:
            ports = dict.fromkeys(container.config.get("ExposedPorts") or {})
            for port in published:
                entry = {"HostIp": port.address, "HostPort": str(port.host_port)}
                ports[port.binding.key] = [*(ports.get(port.binding.key) or []), entry]
        networks = {n: {k: v for k, v in e.items() if not k.startswith("x-")} for n, e in container.endpoints.items()}
        if not live:  # names that nobody is asked for
            networks = {name: {**endpoint, "DNSNames": None} for name, endpoint in networks.items()}
    default = networks.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": container.id if live else "",
        "SandboxKey": "",
        "Ports": ports,
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": default.get("EndpointID", ""),
        **{k: default.get(k, v) for k, v in _NO_ADDRESS.items()},
        "MacAddress": default.get("MacAddress", ""),
        "Networks": networks,
    }


def is_link_local(address: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address).is_link_local
    return False


def _is_loopback(server: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(server).is_loopback
    return False
