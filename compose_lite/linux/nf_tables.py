"""nf_tables over netlink: tables, chains and rules as values, applied in one atomic batch.

Stdlib only; raises OSError. Numbers are big-endian here, unlike in rtnetlink (netfilter/nf_tables.h, nfnetlink.h).
A rule is a list of expressions; the functions below build the few that compose-lite uses.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from compose_lite.linux.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NetlinkSocket, attribute, attributes, nested

NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN, _NEWRULE, _GETRULE, _DELRULE = 0, 2, 3, 4, 6, 7, 8
FAMILY_IP, FAMILY_IP6 = 2, 10
HOOK_PREROUTING, HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING = 0, 1, 2, 3, 4
PRIORITY_DSTNAT, PRIORITY_FILTER, PRIORITY_SRCNAT = -100, 0, 100
NF_DROP, NF_ACCEPT = 0, 1

# registers, operators and keys of linux/netfilter/nf_tables.h
_VERDICT, _REG1, _REG2 = 0, 1, 2
_EQ, _NEQ = 0, 1
_PAYLOAD_NETWORK, _PAYLOAD_TRANSPORT = 1, 2
_META_L4PROTO, _META_IIFNAME, _META_OIFNAME = 16, 6, 7
_CT_STATE = 0
CT_INVALID, CT_ESTABLISHED, CT_RELATED, CT_NEW = 1, 2, 4, 8


def _be32(value: int) -> bytes:
    return struct.pack(">I", value)


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, attribute(1, name), nested(2, *parts))


def _compare(value: bytes, operator: int = _EQ, register: int = _REG1) -> bytes:
    return _expression("cmp", attribute(1, _be32(register)), attribute(2, _be32(operator)), nested(3, attribute(1, value)))


def _payload(base: int, offset: int, length: int) -> bytes:
    fields = (_REG1, base, offset, length)
    return _expression("payload", *(attribute(i, _be32(v)) for i, v in enumerate(fields, 1)))


def _meta(key: int) -> bytes:
    return _expression("meta", attribute(1, _be32(_REG1)), attribute(2, _be32(key)))


def _bitwise(mask: bytes) -> bytes:
    zero = b"\0" * len(mask)
    numbers = (attribute(1, _be32(_REG1)), attribute(2, _be32(_REG1)), attribute(3, _be32(len(mask))))
    return _expression("bitwise", *numbers, nested(4, attribute(1, mask)), nested(5, attribute(1, zero)))


def interface(direction: str, name: str, *, equal: bool = True) -> list[bytes]:
    """`iifname|oifname ==|!= name`; direction: "in" or "out"."""
    padded = name.encode().ljust(16, b"\0")
    return [_meta(_META_IIFNAME if direction == "in" else _META_OIFNAME), _compare(padded, _EQ if equal else _NEQ)]


def protocol(number: int) -> list[bytes]:
    """`meta l4proto number`, e.g. socket.IPPROTO_TCP."""
    return [_meta(_META_L4PROTO), _compare(bytes([number]))]


def destination(address: str) -> list[bytes]:
    """`ip|ip6 daddr address`."""
    if ":" in address:
        return [_payload(_PAYLOAD_NETWORK, 24, 16), _compare(socket.inet_pton(socket.AF_INET6, address))]
    return [_payload(_PAYLOAD_NETWORK, 16, 4), _compare(socket.inet_aton(address))]


def source_network(address: str, prefix: int) -> list[bytes]:
    """`ip|ip6 saddr address/prefix`."""
    family, offset, length = (socket.AF_INET6, 8, 16) if ":" in address else (socket.AF_INET, 12, 4)
    mask = ((1 << prefix) - 1 << (length * 8 - prefix)).to_bytes(length, "big")
    raw = socket.inet_pton(family, address)
    return [_payload(_PAYLOAD_NETWORK, offset, length), _bitwise(mask), _compare(bytes(a & m for a, m in zip(raw, mask, strict=True)))]


def destination_port(port: int) -> list[bytes]:
    return [_payload(_PAYLOAD_TRANSPORT, 2, 2), _compare(struct.pack(">H", port))]


def connection_state(states: int) -> list[bytes]:
    """`ct state` has one of the CT_* bits."""
    load = _expression("ct", attribute(1, _be32(_REG1)), attribute(2, _be32(_CT_STATE)))
    return [load, _bitwise(struct.pack("=I", states)), _compare(b"\0\0\0\0", _NEQ)]


def verdict(code: int) -> list[bytes]:
    return [_expression("immediate", attribute(1, _be32(_VERDICT)), nested(2, nested(2, attribute(1, _be32(code)))))]


def masquerade() -> list[bytes]:
    return [nested(1, attribute(1, "masq"))]


def dnat(address: str, port: int) -> list[bytes]:
    """`dnat to address:port`."""
    family = FAMILY_IP6 if ":" in address else FAMILY_IP
    raw = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    load = [
        _expression("immediate", attribute(1, _be32(register)), nested(2, attribute(1, value)))
        for register, value in ((_REG1, raw), (_REG2, struct.pack(">H", port)))
    ]
    nat = [attribute(1, _be32(1)), attribute(2, _be32(family)), attribute(3, _be32(_REG1)), attribute(5, _be32(_REG2))]
    return [*load, _expression("nat", *nat)]


class Batch:
    """Changes that take effect together or not at all."""

    def __init__(self, netfilter: Netfilter) -> None:
        self._netfilter = netfilter
        self._messages: list[bytes] = []
        self._awaited: list[int] = []

    def _add(self, kind: int, family: int, payload: bytes, flags: int = NLM_F_CREATE) -> None:
        body = struct.pack(">BBH", family, 0, 0) + payload
        self._messages.append(self._netfilter.message(_SUBSYSTEM | kind, flags | NLM_F_ACK, body))
        self._awaited.append(self._netfilter._sequence)

    def table(self, family: int, table: str) -> None:
        self._add(_NEWTABLE, family, attribute(1, table))

    def delete_table(self, family: int, table: str) -> None:
        self._add(_DELTABLE, family, attribute(1, table), 0)

    def chain(self, family: int, table: str, chain: str, kind: str, hook: int, priority: int) -> None:
        """A base chain; kind: "nat" or "filter"; its policy is accept."""
        where = nested(4, attribute(1, _be32(hook)), attribute(2, struct.pack(">i", priority)))
        self._add(_NEWCHAIN, family, attribute(1, table) + attribute(3, chain) + where + attribute(7, kind))

    def rule(self, family: int, table: str, chain: str, expressions: Sequence[bytes], *, note: str = "", first: bool = False) -> None:
        """A rule at the chain's end (or its head); note: an opaque mark found again by `rules`."""
        body = attribute(1, table) + attribute(2, chain) + nested(4, *expressions)
        if note:
            body += attribute(7, note.encode())
        self._add(_NEWRULE, family, body, NLM_F_CREATE | (0 if first else NLM_F_APPEND))

    def delete_rule(self, family: int, table: str, chain: str, handle: int) -> None:
        self._add(_DELRULE, family, attribute(1, table) + attribute(2, chain) + attribute(3, struct.pack(">Q", handle)), 0)

    def commit(self, says: str) -> None:
        """Raises OSError; ENOENT for a missing table, EOPNOTSUPP or EPROTONOSUPPORT where the kernel lacks nf_tables."""
        frame = struct.pack(">BBH", 0, 0, 10)
        begin = self._netfilter.message(_BATCH_BEGIN, 0, frame)
        end = self._netfilter.message(_BATCH_END, 0, frame)
        self._netfilter.send_all([begin, *self._messages, end], self._awaited, says)


class Netfilter(NetlinkSocket):
    """nf_tables of the namespace it was opened in."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def batch(self) -> Batch:
        return Batch(self)

    def has_chain(self, family: int, table: str, chain: str) -> bool:
        body = struct.pack(">BBH", family, 0, 0) + attribute(1, table) + attribute(3, chain)
        try:
            self.request(_SUBSYSTEM | _GETCHAIN, 0, body, f"chain {table} {chain}")
        except OSError:
            return False
        return True

    def rules(self, family: int, table: str, chain: str) -> list[tuple[int, str]]:
        """(handle, note) of the chain's rules."""
        found = []
        body = struct.pack(">BBH", family, 0, 0) + attribute(1, table) + attribute(2, chain)
        for answer in self.dump(_SUBSYSTEM | _GETRULE, body, f"rules of {table} {chain}"):
            fields = dict(attributes(answer[4:]))
            found.append((struct.unpack(">Q", fields[3])[0], fields.get(7, b"").decode("latin-1")))
        return found

    def tables(self, family: int) -> list[str]:
        body = struct.pack(">BBH", family, 0, 0)
        return [dict(attributes(a[4:]))[1].rstrip(b"\0").decode() for a in self.dump(_SUBSYSTEM | 1, body, "list tables")]
