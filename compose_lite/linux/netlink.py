"""netlink(7): the wire format, rtnetlink(7) links, addresses and routes, and nf_tables batches.

Stdlib only; raises OSError with the call's operands in its text; knows no container. A socket belongs to the
network namespace its thread was in when it was opened, so one opened inside a namespace serves it from outside.
Layouts: linux/netlink.h, rtnetlink.h, if_link.h, netfilter/nf_tables.h.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

NLM_F_REQUEST, NLM_F_ACK, NLM_F_ROOT_MATCH = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED = 0x8000

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_GETROUTE = 16, 17, 18, 20, 24, 26
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_GROUP, IFLA_NET_NS_FD, IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 27, 28, 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS, IFA_F_NODAD = 1, 2, 4, 8, 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_TABLE = 1, 4, 5, 6, 15
IFF_UP = 1
RTPROT_BOOT, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RTN_UNICAST, RT_TABLE_MAIN = 3, 0, 253, 1, 254

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One attribute: str is NUL-terminated, int a 32-bit number in host order."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = struct.pack("=I", value)
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(parts))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes of a payload, nested flag taken off the kind."""
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


class NetlinkSocket:
    """A socket(AF_NETLINK) of the calling thread's network namespace; one request at a time."""

    def __init__(self, protocol: int) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def message(self, kind: int, flags: int, payload: bytes) -> bytes:
        self._sequence += 1
        return _HEADER.pack(16 + len(payload), kind, flags | NLM_F_REQUEST, self._sequence, 0) + payload

    def request(self, kind: int, flags: int, payload: bytes, says: str) -> None:
        """Sends one message and waits for its acknowledgement."""
        self.socket.send(self.message(kind, flags | NLM_F_ACK, payload))
        self._acknowledged({self._sequence}, says)

    def send_all(self, messages: Sequence[bytes], awaited: Iterable[int], says: str) -> None:
        """Sends a batch (nf_tables) and waits for the acknowledgements of the sequence numbers in it."""
        self.socket.send(b"".join(messages))
        self._acknowledged(set(awaited), says)

    def dump(self, kind: int, payload: bytes, says: str) -> Iterator[bytes]:
        """Payloads of all answers to a dump request."""
        self.socket.send(self.message(kind, NLM_F_ROOT_MATCH, payload))
        while True:
            for answer, number, body in self._receive():
                if number != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return
                if answer == NLMSG_ERROR:
                    _raise(body, says)
                    return
                yield body

    def _acknowledged(self, awaited: set[int], says: str) -> None:
        while awaited:
            for kind, number, body in self._receive():
                if kind == NLMSG_ERROR:
                    _raise(body, says)
                    awaited.discard(number)

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self.socket.recv(1 << 18)
        at = 0
        while at + 16 <= len(data):
            length, kind, _, number, _ = _HEADER.unpack_from(data, at)
            yield kind, number, data[at + 16 : at + length]
            at += (length + 3) & ~3


def _raise(body: bytes, says: str) -> None:
    (error,) = struct.unpack_from("=i", body)
    if error:
        raise OSError(-error, f"{says}: {os.strerror(-error)}")


class Route(NetlinkSocket):
    """rtnetlink(7) of the namespace it was opened in."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE)

    def create_bridge(self, name: str, *, mtu: int = 1500, mac: bytes | None = None) -> int:
        """A bridge that is up; its index. EEXIST if the name is taken."""
        parts = [attribute(IFLA_IFNAME, name), nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, "bridge"))]
        if mtu != 1500:
            parts.append(attribute(IFLA_MTU, mtu))
        if mac:
            parts.append(attribute(IFLA_ADDRESS, mac))
        self.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _LINK.pack(0, 0, 0, IFF_UP, IFF_UP) + b"".join(parts), f"new bridge {name}")
        return socket.if_nametoindex(name)

    def create_veth(
        self, name: str, peer: str, netns: int, *, master: int = 0, group: int = 0, mac: bytes | None = None, mtu: int = 1500
    ) -> None:
        """A veth, up, in the bridge `master` and link group `group`; its peer is born, down, in the namespace `netns`.

        The peer cannot be set up in the same message: ENOTCONN.
        """
        inner = [_LINK.pack(0, 0, 0, 0, 0), attribute(IFLA_IFNAME, peer), attribute(IFLA_NET_NS_FD, netns)]
        outer = [attribute(IFLA_IFNAME, name)]
        if mac:
            inner.append(attribute(IFLA_ADDRESS, mac))
        if mtu != 1500:
            inner.append(attribute(IFLA_MTU, mtu))
            outer.append(attribute(IFLA_MTU, mtu))
        if master:
            outer.append(attribute(IFLA_MASTER, master))
        if group:
            outer.append(attribute(IFLA_GROUP, group))
        info = nested(
            IFLA_LINKINFO,
            attribute(IFLA_INFO_KIND, "veth"),
            nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER | NLA_F_NESTED, b"".join(inner))),
        )
        payload = _LINK.pack(0, 0, 0, IFF_UP, IFF_UP) + b"".join(outer) + info
        self.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"new veth {name} with peer {peer}")

    def create_dummy(self, name: str) -> None:
        info = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, "dummy"))
        self.request(
            RTM_NEWLINK,
            NLM_F_CREATE | NLM_F_EXCL,
            _LINK.pack(0, 0, 0, IFF_UP, IFF_UP) + attribute(IFLA_IFNAME, name) + info,
            f"new dummy {name}",
        )

    def set_link(self, index: int, *, up: bool | None = None, name: str | None = None) -> None:
        payload = _LINK.pack(0, 0, index, IFF_UP if up else 0, IFF_UP if up is not None else 0)
        if name:
            payload += attribute(IFLA_IFNAME, name)
        self.request(RTM_NEWLINK, 0, payload, f"set link {index}")

    def delete_link(self, name: str) -> None:
        """Deletes a link by name; ENODEV if there is none."""
        self.request(RTM_DELLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name), f"delete link {name}")

    def delete_group(self, group: int) -> None:
        """Deletes all links of a group at once: one grace period of the kernel instead of one for each."""
        self.request(RTM_DELLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_GROUP, group), f"delete links of group {group}")

    def add_address(self, index: int, address: str, prefix: int) -> None:
        family, raw = _packed(address)
        payload = struct.pack("=BBBBi", family, prefix, 0, 0, index) + attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, raw)
        if family == socket.AF_INET6:
            payload += attribute(IFA_FLAGS, IFA_F_NODAD)
        elif prefix < 31:
            broadcast = int.from_bytes(raw, "big") | (1 << 32 - prefix) - 1
            payload += attribute(IFA_BROADCAST, broadcast.to_bytes(4, "big"))
        self.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, payload, f"add address {address}/{prefix} to link {index}")

    def add_default_route(self, gateway: str, index: int) -> None:
        family, raw = _packed(gateway)
        payload = struct.pack("=BBBBBBBBI", family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
        payload += attribute(RTA_GATEWAY, raw) + attribute(RTA_OIF, index)
        self.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, payload, f"default route through {gateway}")

    def links(self) -> dict[str, tuple[int, int]]:
        """Name -> (index, group) of every link."""
        found = {}
        for body in self.dump(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0), "list links"):
            index = _LINK.unpack_from(body)[2]
            fields = dict(attributes(body[16:]))
            (group,) = struct.unpack("=I", fields.get(IFLA_GROUP, b"\0\0\0\0"))
            found[fields[IFLA_IFNAME].rstrip(b"\0").decode()] = (index, group)
        return found

    def routes(self) -> list[tuple[int, str, int]]:
        """(index of its link, destination, prefix) of every unicast route with a destination, of the main table. Index 0: several links."""
        found = []
        for body in self.dump(RTM_GETROUTE, struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 0, 0), "list routes"):
            family, prefix, _, _, table, _, _, kind, _ = struct.unpack_from("=BBBBBBBBI", body)
            fields = dict(attributes(body[12:]))
            if RTA_DST in fields and kind == RTN_UNICAST and table == RT_TABLE_MAIN and family in (socket.AF_INET, socket.AF_INET6):
                link = int.from_bytes(fields.get(RTA_OIF, b""), sys.byteorder)
                found.append((link, socket.inet_ntop(family, fields[RTA_DST]), prefix))
        return found


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)
