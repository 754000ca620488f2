"""A conversation with a D-Bus service that is a thread here."""

from __future__ import annotations

from typing import Any

import pytest
from jeepney import DBusAddress

from compose_lite.linux import dbus
from tests.linux.dbuspeer import Peer

WHOM = DBusAddress("/x", bus_name="org.x", interface="org.x.Y")


def answer(member: str, body: list[Any]) -> tuple[str, str, list[Any]]:
    if member == "Refuse":
        return "error", "org.example.No", ["not today"]
    return "us", "", [len(body), member]


@pytest.mark.parametrize("peer", [True, False])
def test_a_call_and_its_answer(tmp_path, peer: bool) -> None:
    with Peer(tmp_path / "bus", answer) as service, dbus.Connection(service.path, peer=peer, seconds=5) as connection:
        assert connection.call(WHOM, "Ask", "su", ("hello", 3)) == (2, "Ask")
        with pytest.raises(dbus.Refused, match=r"org\.example\.No: not today") as caught:
            connection.call(WHOM, "Refuse")
    assert caught.value.name == "org.example.No"
    assert service.asked == [*([] if peer else [("Hello", [])]), ("Ask", ["hello", 3]), ("Refuse", [])]


def test_another_user_is_refused_by_the_service(tmp_path) -> None:
    with Peer(tmp_path / "bus", answer, welcome=b"REJECTED EXTERNAL\r\n") as service, pytest.raises(OSError, match="REJECTED"):
        dbus.Connection(service.path, peer=True, seconds=5)


def test_a_service_that_goes_is_no_endless_wait(tmp_path) -> None:
    service = Peer(tmp_path / "bus", lambda member, body: None)
    with service, dbus.Connection(service.path, peer=True, seconds=5) as connection, pytest.raises(ConnectionError, match="has closed"):
        connection.call(WHOM, "Ask")
