"""DNS messages (RFC 1035): the question of a query, and answers with A, AAAA and PTR records. Sans-IO.

Only what a stub resolver on a project's network needs; every other message is forwarded as the bytes it came in.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

_HEADER = struct.Struct(">HHHHHH")
TTL = 600
MAX_UDP = 512


class Kind(IntEnum):
    """Record types (RFC 1035 3.2.2, RFC 3596)."""

    A = 1
    PTR = 12
    AAAA = 28
    ANY = 255


class Code(IntEnum):
    """Response codes (RFC 1035 4.1.1)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4


@dataclass(frozen=True, slots=True)
class Query:
    """One question. name: as asked, without the final dot; end: where the question ends in the message."""

    number: int
    flags: int
    name: str
    kind: int
    end: int


def parse_query(message: bytes) -> Query | None:
    """The query, or None for anything but a standard query with exactly one question."""
    if len(message) < 17:
        return None
    number, flags, questions, _, _, _ = _HEADER.unpack_from(message)
    if flags & 0xF800 or questions != 1:
        return None
    labels, at = [], 12
    while True:
        if at >= len(message):
            return None
        length = message[at]
        if length == 0:
            break
        if length > 63 or at + 1 + length >= len(message):
            return None
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 5 > len(message):
        return None
    kind, family = struct.unpack_from(">HH", message, at + 1)
    if family != 1:
        return None
    return Query(number, flags, b".".join(labels).decode("latin-1"), kind, at + 5)


def answer(message: bytes, query: Query, records: Sequence[tuple[Kind, str]], code: Code = Code.NOERROR, *, limit: int = MAX_UDP) -> bytes:
    """The reply with the records for the asked name; cut off with the TC bit when it is longer than limit."""
    body, count, truncated = b"", 0, False
    for kind, value in records:
        data = (
            _encode_name(value) if kind == Kind.PTR else socket.inet_pton(socket.AF_INET6 if kind == Kind.AAAA else socket.AF_INET, value)
        )
        record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, TTL, len(data)) + data
        if query.end + len(body) + len(record) > limit:
            truncated = True
            break
        body += record
        count += 1
    flags = 0x8080 | query.flags & 0x0100 | (0x0200 if truncated else 0) | code
    return _HEADER.pack(query.number, flags, 1, count, 0, 0) + message[12 : query.end] + body


def refusal(message: bytes, code: Code) -> bytes:
    """A reply without records to a message that parse_query may not have understood."""
    number, flags = struct.unpack_from(">HH", message.ljust(12, b"\0"))
    query = parse_query(message)
    if query:
        return answer(message, query, (), code)
    return _HEADER.pack(number, 0x8080 | flags & 0x7900 | code, 0, 0, 0, 0)


def reverse_address(name: str) -> str | None:
    """The address that a name under in-addr.arpa or ip6.arpa asks for."""
    lower = name.lower()
    if lower.endswith(".in-addr.arpa"):
        parts = lower.removesuffix(".in-addr.arpa").split(".")
        text = ".".join(reversed(parts))
        return text if len(parts) == 4 and all(p.isdigit() and int(p) < 256 for p in parts) else None
    if lower.endswith(".ip6.arpa"):
        digits = lower.removesuffix(".ip6.arpa").split(".")
        if len(digits) == 32 and all(len(d) == 1 and d in "0123456789abcdef" for d in digits):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex("".join(reversed(digits))))
    return None


def _encode_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name.encode("latin-1").split(b".") if label) + b"\0"
