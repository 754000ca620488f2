"""dnspython is the oracle: what it asks we understand, what we answer it reads."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rdatatype
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.network.dns_message import Code, Kind, answer, parse_query, refusal, reverse_address

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_ABC", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)
V4, V6 = st.ip_addresses(v=4).map(str), st.ip_addresses(network="fd00::/8").map(str)


@given(NAME, st.sampled_from(["A", "AAAA", "PTR", "MX", "TXT", "ANY", "SRV"]))
def test_a_query_is_understood(name: str, kind: str) -> None:
    query = dns.message.make_query(name, kind)
    found = parse_query(query.to_wire())
    assert found is not None
    assert (found.number, found.name, found.kind) == (query.id, name, dns.rdatatype.from_text(kind))


@given(NAME, st.lists(V4, max_size=8), st.lists(V6, max_size=8))
def test_an_answer_is_read(name: str, v4: list[str], v6: list[str]) -> None:
    query = dns.message.make_query(name, "ANY")
    wire = query.to_wire()
    found = parse_query(wire)
    assert found
    records = [(Kind.A, a) for a in v4] + [(Kind.AAAA, a) for a in v6]
    reply = dns.message.from_wire(answer(wire, found, records, limit=65535))
    assert query.is_response(reply) and reply.rcode() == 0 and reply.flags & dns.flags.RA
    shown = {str(item) for rrset in reply.answer for item in rrset}
    assert shown == set(v4) | set(v6)


def test_what_is_too_long_is_cut_and_says_so() -> None:
    wire = dns.message.make_query("many", "A").to_wire()
    found = parse_query(wire)
    assert found
    reply = answer(wire, found, [(Kind.A, f"10.0.{n}.1") for n in range(100)])
    assert len(reply) <= 512
    read = dns.message.from_wire(reply, ignore_trailing=False)
    assert read.flags & dns.flags.TC and 20 < len(read.answer[0]) < 100


@given(st.binary(max_size=80))
def test_any_bytes_get_a_refusal_and_never_an_exception(message: bytes) -> None:
    found = parse_query(message)
    reply = refusal(message, Code.SERVFAIL)
    assert reply[:2] == message.ljust(2, b"\0")[:2] and reply[3] & 0xF == Code.SERVFAIL
    assert found is None or found.end <= len(message)


@given(st.data())
def test_a_broken_query_is_none_or_a_query(data: st.DataObject) -> None:
    wire = bytearray(dns.message.make_query("web.project", "A").to_wire())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    parse_query(bytes(wire[: data.draw(st.integers(0, len(wire)))]))


def test_replies_and_several_questions_are_not_ours() -> None:
    query = dns.message.make_query("web", "A")
    assert parse_query(dns.message.make_response(query).to_wire()) is None
    twice = bytearray(query.to_wire())
    twice[5] = 2
    assert parse_query(bytes(twice)) is None


@given(st.one_of(V4, V6))
def test_reverse_names(address: str) -> None:
    assert reverse_address(dns.reversename.from_address(address).to_text(omit_final_dot=True)) == address


@pytest.mark.parametrize("name", ["x.in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.400.in-addr.arpa", "1.ip6.arpa", "web", ""])
def test_no_reverse_names(name: str) -> None:
    assert reverse_address(name) is None
