"""D-Bus messages byte by byte (specification, "Marshaling"), and a conversation with a service that is a thread here."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from compose_lite.linux import dbus
from tests.linux.dbuspeer import Peer

SIGNATURE = "ybiutsoga(sv)as"
VALUES = (
    7, True, -2, 3, 1 << 40, "d\u00e9j\u00e0", "/a/b", "a(sv)",
    [("one", ("s", "x")), ("two", ("au", (1, 2))), ("three", ("as", ())), ("four", ("b", False))], ["p", "", "q"],
)  # fmt: skip
READ = [
    7, 1, -2, 3, 1 << 40, "d\u00e9j\u00e0", "/a/b", "a(sv)",
    [["one", "x"], ["two", [1, 2]], ["three", []], ["four", 0]], ["p", "", "q"],
]  # fmt: skip


@pytest.mark.parametrize("start", range(9))
def test_what_is_written_is_read_again(start: int) -> None:
    data = bytes(start) + dbus.marshal(SIGNATURE, VALUES, start)
    assert dbus.parse(SIGNATURE, data, start) == (READ, len(data))


def test_alignment_is_the_specifications() -> None:
    """Its example: the string "foo" at 0, "+" and "bar" behind it, each on a multiple of 4."""
    assert dbus.marshal("sss", ("foo", "+", "bar")) == b"\3\0\0\0foo\0\1\0\0\0+\0\0\0\3\0\0\0bar\0"
    assert dbus.marshal("at", ([5],)) == struct.pack("<IIQ", 8, 0, 5)  # the padding before the first is not counted
    assert dbus.marshal("a(sv)", ([],)) == bytes(8)


@pytest.mark.parametrize(("signature", "found"), [("", []), ("ssa(sv)a(sa(sv))", ["s", "s", "a(sv)", "a(sa(sv))"]), ("aasv", ["aas", "v"])])
def test_types(signature: str, found: list[str]) -> None:
    assert dbus.types(signature) == found


def answer(member: str, body: list[Any]) -> tuple[str, str, list[Any]]:
    if member == "Refuse":
        return "error", "org.example.No", ["not today"]
    return "us", "", [len(body), member]


@pytest.mark.parametrize("peer", [True, False])
def test_a_call_and_its_answer(tmp_path, peer: bool) -> None:
    with Peer(tmp_path / "bus", answer) as service, dbus.Connection(service.path, peer=peer, seconds=5) as connection:
        assert connection.call("org.x", "/x", "org.x.Y", "Ask", "su", ("hello", 3)) == [2, "Ask"]
        with pytest.raises(dbus.Refused, match=r"org\.example\.No: not today") as caught:
            connection.call("org.x", "/x", "org.x.Y", "Refuse")
    assert caught.value.name == "org.example.No"
    assert service.asked == [*([] if peer else [("Hello", [])]), ("Ask", ["hello", 3]), ("Refuse", [])]


def test_another_user_is_refused_by_the_service(tmp_path) -> None:
    with Peer(tmp_path / "bus", answer, welcome=b"REJECTED EXTERNAL\r\n") as service, pytest.raises(OSError, match="REJECTED"):
        dbus.Connection(service.path, peer=True, seconds=5)


def test_a_service_that_goes_is_no_endless_wait(tmp_path) -> None:
    service = Peer(tmp_path / "bus", lambda member, body: None)
    with service, dbus.Connection(service.path, peer=True, seconds=5) as connection, pytest.raises(ConnectionError, match="has closed"):
        connection.call("org.x", "/x", "org.x.Y", "Ask")
