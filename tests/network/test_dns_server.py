from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import dns.message
import pytest

from compose_lite.network.dns_message import Kind, Query
from compose_lite.network.dns_server import Names, NameServer, View, lookup, parse_resolv_conf


def names(network: str = "net", **known: Sequence[str]) -> Names:
    made = Names(network)
    for name, addresses in known.items():
        made.add([name, f"{name}-alias"], addresses, name)
    return made


def ask(view: View, name: str, kind: Kind = Kind.A) -> list[str] | None:
    found = lookup(view, Query(1, 0, name, kind, 0))
    return None if found is None else [value for _, value in found]


def test_names_and_aliases_of_all_networks() -> None:
    view = View([names("front", web=["10.0.0.2"]), names("back", db=["10.1.0.2", "fd00::2"], web=["10.1.0.3"])])
    assert ask(view, "web") == ["10.0.0.2", "10.1.0.3"]
    assert ask(view, "DB-Alias.") == ["10.1.0.2"]
    assert ask(view, "db", Kind.AAAA) == ["fd00::2"]
    assert ask(view, "db", Kind.ANY) == ["10.1.0.2", "fd00::2"]
    assert ask(view, "web.back") == ["10.1.0.3"], "a name can carry its network's"
    assert ask(view, "other") is None


def test_a_known_name_without_such_a_record_is_empty_and_not_unknown() -> None:
    assert ask(View([names(web=["10.0.0.2"])]), "web", Kind.AAAA) == []
    assert lookup(View([names(web=["10.0.0.2"])]), Query(1, 0, "web", 15, 0)) == []


def test_links_are_the_containers_own() -> None:
    view = View([names(db=["10.0.0.2"])], links={"database": "db"})
    assert ask(view, "database") == ["10.0.0.2"]


def test_reverse() -> None:
    view = View([names("net", web=["10.0.0.2"])])
    assert ask(view, "2.0.0.10.in-addr.arpa", Kind.PTR) == ["web.net"]
    assert ask(view, "3.0.0.10.in-addr.arpa", Kind.PTR) is None


def test_what_is_removed_is_forgotten_and_the_rest_stays() -> None:
    known = names(web=["10.0.0.2", "10.0.0.3"], db=["10.0.0.4"])
    known.remove(["10.0.0.2", "10.0.0.4"])
    view = View([known])
    assert ask(view, "web") == ["10.0.0.3"] and ask(view, "db") is None
    assert ask(view, "4.0.0.10.in-addr.arpa", Kind.PTR) is None


@pytest.mark.parametrize(
    ("text", "servers", "search", "options"),
    [
        ("nameserver 1.1.1.1 # one\n;no\nsearch a b\noptions ndots:2 rotate\n", ("1.1.1.1",), ("a", "b"), ("ndots:2", "rotate")),
        ("domain a\nsearch b c\nnameserver fe80::1%eth0\n", ("fe80::1",), ("b", "c"), ()),
        ("nameserver\nnonsense\n", (), (), ()),
    ],
)
def test_resolv_conf(text: str, servers: tuple[str, ...], search: tuple[str, ...], options: tuple[str, ...]) -> None:
    found = parse_resolv_conf(text)
    assert (found.servers, found.search, found.options) == (servers, search, options)


def sockets() -> tuple[socket.socket, socket.socket]:
    udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    udp.bind(("127.0.0.1", 0))
    tcp.bind(("127.0.0.1", 0))
    tcp.listen()
    return udp, tcp


async def over_udp(to: socket.socket, message: bytes) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(to.getsockname())
        await loop.sock_sendall(client, message)
        async with asyncio.timeout(5):
            return dns.message.from_wire(await loop.sock_recv(client, 65535))


def test_it_serves_udp_and_tcp_and_takes_turns() -> None:
    async def scenario() -> None:
        server, (udp, tcp) = NameServer(), sockets()
        with udp, tcp:
            server.serve(udp, tcp, View([names(web=[f"10.0.{n}.2" for n in range(60)])], internal=True))
            query = dns.message.make_query("web", "A")
            short = [await over_udp(udp, query.to_wire()) for _ in range(3)]
            assert all(reply.flags & 0x0200 for reply in short), "60 addresses do not go into 512 bytes"
            assert len({str(reply.answer[0][0]) for reply in short}) == 3
            unknown = await over_udp(udp, dns.message.make_query("elsewhere.example", "A").to_wire())
            assert unknown.rcode() == 3
            reader, writer = await asyncio.open_connection(*tcp.getsockname())
            for _ in range(2):
                wire = query.to_wire()
                writer.write(len(wire).to_bytes(2, "big") + wire)
                whole = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
                assert len(whole.answer[0]) == 60
            server.leave(udp, tcp)
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0)

    asyncio.run(scenario())
