"""Links on the default bridge. The variables' order among each other is no matter."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.engine import links
from compose_lite.engine.lifecycle import State
from compose_lite.engine.record import Container
from compose_lite.errors import EngineError
from tests.engine.made import container


def _other(state: State = State.RUNNING, address: str = "172.17.0.5", host: dict[str, Any] | None = None, **config: Any) -> Container:
    made = container(host, id="d" * 64, name="db", Hostname="dbhost", **config)
    made.state = state
    if made.host_config["NetworkMode"] == "bridge":
        made.endpoints["bridge"] = {"IPAddress": address, "GlobalIPv6Address": ""}
    return made


def _linked(*wishes: str, mode: str = "bridge") -> Container:
    return container({"Links": list(wishes), "NetworkMode": mode}, name="web")


def test_each_alias_is_kept_once_with_the_others_name() -> None:
    other = _other()
    wishes = ["db", "ddddd:x", "db:x", "/db:/web/y", "db:"]
    assert links.canonical(wishes, lambda name: other) == ["db:db", "db:x", "db:y"]
    assert links.canonical(None, lambda name: other) is None


def test_who_is_not_there_or_has_the_machines_network_is_no_link() -> None:
    def nobody(name: str) -> Container:
        raise EngineError(f"No such container: {name}", http_status=404)

    with pytest.raises(EngineError, match="could not get container for no: No such container: no"):
        links.canonical(["no:x"], nobody)
    with pytest.raises(EngineError, match="host type networking can't be used with links"):
        links.canonical(["db:x"], lambda name: _other(host={"NetworkMode": "host"}))


def test_a_start_needs_the_other() -> None:
    with pytest.raises(EngineError, match="Cannot link to a non running container: /db AS /web/x"):
        links.check(_linked("db:x"), lambda name: _other(State.EXITED))
    with pytest.raises(EngineError, match=r"container d{64} not attached to default bridge network"):
        links.check(_linked("db:x"), lambda name: _other(host={"NetworkMode": "none"}))
    links.check(_linked("db:x", mode="none"), lambda name: _other(State.EXITED))  # nothing is linked there
    links.check(_linked("db:x"), lambda name: _other())


def test_lines_of_hosts_follow_the_other() -> None:
    web, other = _linked("db:x", "db:db"), _other()
    lines = links.hosts(web, lambda name: other)
    assert lines == [("x dbhost db", "172.17.0.5"), ("db dbhost", "172.17.0.5")]
    assert links.hosts(web, lambda name: _other(State.EXITED)) == []
    text = "127.0.0.1\tlocalhost\n172.17.0.5\tx dbhost db\n9.9.9.9 mine"
    moved = links.hosts(web, lambda name: _other(address="172.17.0.9"))
    assert links.updated(text, moved) == "127.0.0.1\tlocalhost\n172.17.0.9\tx dbhost db\n9.9.9.9 mine\n172.17.0.9\tdb dbhost\n"


def test_variables() -> None:
    ports = {"80/tcp": {}, "81/tcp": {}, "443/tcp": {}, "53/udp": {}}
    other = _other(ExposedPorts=ports, Env=["A=x=y", "HOME=/z", "PATH=/b", "bare"])
    found = links.environment(_linked("db:c-d.e"), lambda name: other)
    wanted = {"PORT": "tcp://172.17.0.5:80", "NAME": "/web/c-d.e", "ENV_A": "x=y"}
    for number, kind in ((80, "tcp"), (81, "tcp"), (443, "tcp"), (53, "udp")):
        port = f"PORT_{number}_{kind.upper()}"
        wanted |= {port: f"{kind}://172.17.0.5:{number}", f"{port}_ADDR": "172.17.0.5", f"{port}_PORT": str(number), f"{port}_PROTO": kind}
    wanted |= {"PORT_80_TCP_START": "tcp://172.17.0.5:80", "PORT_80_TCP_PORT_START": "80"}
    wanted |= {"PORT_80_TCP_END": "tcp://172.17.0.5:81", "PORT_80_TCP_PORT_END": "81"}
    assert sorted(found) == sorted(f"C_D.E_{name}={value}" for name, value in wanted.items())
    assert links.environment(_linked("db:x"), lambda name: _other()) == ["X_NAME=/web/x"]


def test_a_new_name_is_followed_and_shown() -> None:
    assert links.renamed(["db:x", "a:b"], "db", "other") == ["other:x", "a:b"]
    assert links.renamed(["a:db"], "db", "other") is None
    assert links.shown(_linked("db:x")) == ["/db:/web/x"]
    assert links.shown(_linked("db:x", mode="mine")) is None
