"""What the API shows of containers."""

from __future__ import annotations

from compose_lite.engine.documents import shown_ports


def test_ports_of_a_row() -> None:
    assert shown_ports({"80/tcp": None, "90-91/udp": None, "70": None, "1/tcp": [{"HostIp": "::", "HostPort": "2"}]}) == [
        {"PrivatePort": 80, "Type": "tcp"},
        {"PrivatePort": 90, "Type": "udp"},
        {"PrivatePort": 91, "Type": "udp"},
        {"PrivatePort": 70, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 1, "PublicPort": 2, "Type": "tcp"},
    ]
