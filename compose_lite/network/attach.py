"""Network namespaces and what stands in them: loopback, the resolver's sockets, veths into bridges.

Everything here is one short synchronous act on the kernel; callers run it in the one thread that may change its
network namespace (`NamespaceThread`). setns(2) and unshare(2) with CLONE_NEWNET act on the calling thread alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from compose_lite.disk import Undo
from compose_lite.linux import nf_tables
from compose_lite.linux.namespaces import NEWNET, setns, unshare
from compose_lite.linux.netlink import Route

RESOLVER = "127.0.0.11"
# Docker sets these in every namespace of its own (libnetwork osl).
_PORTS, _PING = "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"


@dataclass(slots=True)
class Sandbox:
    """A container's network namespace: its descriptor and the resolver's sockets in it (none without DNS)."""

    netns: int
    udp: socket.socket | None = None
    tcp: socket.socket | None = None

    @property
    def keep_fds(self) -> tuple[int, ...]:
        return tuple(s.fileno() for s in (self.udp, self.tcp) if s)

    def close(self) -> None:
        for held in (self.udp, self.tcp):
            if held:
                held.close()
        if self.netns >= 0:
            os.close(self.netns)
            self.netns = -1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One interface of a container: addresses as text with prefix, e.g. ("172.18.0.2/16",)."""

    bridge: int  # interface index
    group: int
    name: str  # inside: eth0
    mac: str
    addresses: tuple[str, ...]
    mtu: int = 1500


class NamespaceThread:
    """The one thread that changes its network namespace. home: where bridges stand, when not in the process's own namespace."""

    def __init__(self, home: int | None = None) -> None:
        self.executor = ThreadPoolExecutor(1, "netns", *(() if home is None else (setns, (home, NEWNET))))


@contextlib.contextmanager
def inside(netns: int) -> Iterator[None]:
    """The calling thread in the namespace, back at the end."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(netns, NEWNET)
        try:
            yield
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)


def create_sandbox(*, resolver: bool, made: int | None = None) -> Sandbox:
    """A new namespace with loopback up and, with resolver, sockets that get what is sent to 127.0.0.11:53.

    made: use this one, which belongs to a user namespace of the container's own.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if made is None:
            unshare(NEWNET)
        else:
            setns(made, NEWNET)
        try:
            with Undo() as undo:
                sandbox = undo.on_failure(Sandbox(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)), Sandbox.close)
                with Route() as route:
                    route.set_link(1, up=True)
                write_sysctls({_PORTS: "0", _PING: f"0 {min(last_group(), 2**31 - 1)}"}, strict=False)
                if resolver:
                    sandbox.udp, sandbox.tcp = open_resolver()
                undo.keep()
                return sandbox
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)


@functools.cache
def last_group() -> int:
    """The highest group id of this user namespace without a gap from 0 on: a range beyond it is refused (EINVAL)."""
    with open("/proc/self/gid_map") as file:
        ranges = sorted((int(first), int(count)) for first, _, count in (line.split() for line in file))
    end = 0
    for first, count in ranges:
        end = first + count if first == end else end
    return max(end - 1, 0)


def open_resolver() -> tuple[socket.socket, socket.socket]:
    """UDP and TCP sockets for names, on a high port of 127.0.0.11 with port 53 redirected to them.

    Binding port 53 itself would make a container's own bind of 0.0.0.0:53 fail; it is done only where nf_tables is missing.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        udp.bind((RESOLVER, 0))
        tcp.bind((RESOLVER, 0))
        try:
            _redirect_names(udp.getsockname()[1], tcp.getsockname()[1])
        except OSError:
            udp.close()
            tcp.close()
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            udp.bind((RESOLVER, 53))
            tcp.bind((RESOLVER, 53))
        tcp.listen(64)
    except BaseException:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def _redirect_names(udp_port: int, tcp_port: int) -> None:
    family, table = nf_tables.FAMILY_IP, "compose-lite-dns"
    with nf_tables.Netfilter() as netfilter:
        batch = netfilter.batch()
        if table in netfilter.tables(family):
            batch.delete_table(family, table)
        batch.table(family, table)
        batch.chain(family, table, "output", "nat", nf_tables.HOOK_OUTPUT, nf_tables.PRIORITY_DSTNAT)
        for number, port in ((socket.IPPROTO_UDP, udp_port), (socket.IPPROTO_TCP, tcp_port)):
            match = [*nf_tables.destination(RESOLVER), *nf_tables.protocol(number), *nf_tables.destination_port(53)]
            batch.rule(family, table, "output", [*match, *nf_tables.dnat(RESOLVER, port)])
        batch.commit("redirect of 127.0.0.11:53")


def reopen_resolver(netns: int) -> tuple[socket.socket, socket.socket]:
    """Fresh resolver sockets in a namespace whose old ones are gone with a killed engine."""
    with inside(netns):
        return open_resolver()


def connect(sandbox: Sandbox, endpoint: Endpoint) -> None:
    """An interface in the sandbox, joined to the bridge, with its addresses, up. One of that name there is of a run that a killed
    engine could not clear away, in a namespace that another container holds."""
    try:
        _connect(sandbox, endpoint)
    except FileExistsError:
        disconnect(sandbox, endpoint.name)
        _connect(sandbox, endpoint)


def _connect(sandbox: Sandbox, endpoint: Endpoint) -> None:
    outside = "veth" + secrets.token_hex(4)
    mac = bytes.fromhex(endpoint.mac.replace(":", ""))
    with Undo() as undo:
        with Route() as route:
            route.create_veth(
                outside, endpoint.name, sandbox.netns, master=endpoint.bridge, group=endpoint.group, mac=mac, mtu=endpoint.mtu
            )
        undo.on_failure(outside, delete_link)
        with inside(sandbox.netns), Route() as route:
            index = socket.if_nametoindex(endpoint.name)
            if not any(":" in a for a in endpoint.addresses):
                write_sysctls({f"net.ipv6.conf.{endpoint.name}.disable_ipv6": "1"}, strict=False)
            route.set_link(index, up=True)
            for address in endpoint.addresses:
                host, prefix = address.split("/")
                route.add_address(index, host, int(prefix))
        undo.keep()


def disconnect(sandbox: Sandbox, interface: str) -> None:
    """Deletes an interface of the sandbox, and so its end outside."""
    with inside(sandbox.netns):
        delete_link(interface)


def set_default_routes(sandbox: Sandbox, interface: str, gateways: tuple[str, ...]) -> None:
    with inside(sandbox.netns), Route() as route:
        index = socket.if_nametoindex(interface)
        for gateway in gateways:
            route.add_default_route(gateway, index)


def delete_link(name: str) -> None:
    """Deletes a link; silently if it is gone already (the namespace's end takes veths with it)."""
    with Route() as route, contextlib.suppress(OSError):
        route.delete_link(name)


def create_bridge(name: str, addresses: tuple[str, ...], mtu: int = 1500) -> int:
    """A bridge with the gateway's addresses, up; an old one of that name, left by a crash, is used again."""
    with Route() as route:
        try:
            index = route.create_bridge(name, mtu=mtu)
        except FileExistsError:
            index = socket.if_nametoindex(name)
            route.set_link(index, up=True)
        # without this the bridge waits 15 s in listening and learning; 0 is also Docker's way
        for address in addresses:
            host, prefix = address.split("/")
            route.add_address(index, host, int(prefix))
    return index


def write_sysctls(values: Mapping[str, str], *, strict: bool = True) -> None:
    """sysctl(8) names to values in the thread's namespaces; raises OSError when strict."""
    for name, value in values.items():
        path = "/proc/sys/" + name.replace(".", "/")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError:
            if strict:
                raise
