"""Ports, volumes and command words in their short forms."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.spec.shellwords import dropped_words, split_words
from compose_lite.spec.shortforms import parse_ports, parse_volume


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("80", [(None, None, 80, "tcp")]),
        ("8080:80/udp", [(None, "8080", 80, "udp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", "8080", 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", None, 80, "tcp")]),
        ("[::1]:1:2", [("::1", "1", 2, "tcp")]),
        ("8000-8001:80-81", [(None, "8000", 80, "tcp"), (None, "8001", 81, "tcp")]),
        ("8000-8009:80", [(None, "8000-8009", 80, "tcp")]),
        ("9-10", [(None, None, 10, "tcp"), (None, None, 9, "tcp")]),
    ],
)
def test_ports(spec: str, wanted: list[Any]) -> None:
    found = parse_ports(spec)
    assert [(p.get("host_ip"), p.get("published"), p["target"], p["protocol"]) for p in found] == wanted


@pytest.mark.parametrize("spec", ["", "x:80", "80:70000", "300.1.1.1:1:1", "8000-8002:80-81", "1:1/icmp", "9-8", "80:", "::1:80:80"])
def test_no_ports(spec: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid|No port"):
        parse_ports(spec)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("/x/", {"type": "volume", "target": "/x", "volume": {}}),
        ("data:/x:ro,nocopy", {"type": "volume", "source": "data", "target": "/x", "read_only": True, "volume": {"nocopy": True}}),
        ("./a:/x", {"type": "bind", "source": "./a", "target": "/x", "bind": {"create_host_path": True}}),
        ("/a:/x:z,rshared", {"type": "bind", "source": "/a", "target": "/x",
                             "bind": {"selinux": "z", "propagation": "rshared", "create_host_path": True}}),
        ("c:\\d:/x", {"type": "bind", "source": "c:\\d", "target": "/x", "bind": {"create_host_path": True}}),
        ("${A:-b}:/x", {"type": "volume", "source": "${A:-b}", "target": "/x", "volume": {}}),
    ],
)  # fmt: skip
def test_volumes(spec: str, wanted: dict[str, Any]) -> None:
    assert parse_volume(spec) == wanted


@pytest.mark.parametrize("spec", ["", "data::/x", "data:/x:ro:rw", "data:/x:"])
def test_no_volumes(spec: str) -> None:
    with pytest.raises(ValueError, match="spec"):
        parse_volume(spec)


def test_words() -> None:
    assert split_words("""a 'b c' "d \\"e" f\\ g "" x''y""") == ["a", "b c", 'd "e', "f g", "", "xy"]
    assert split_words("a && b") == ["a"]
    assert dropped_words("a && b") == "&& b"
    assert split_words("a 2>&1") == ["a"]
    assert split_words("sh -c 'a; b'") == ["sh", "-c", "a; b"]
    for text in ("'a", 'a"', "a\\"):
        with pytest.raises(ValueError, match="invalid command line string"):
            split_words(text)
