"""Ids and names."""

from __future__ import annotations

import pytest

from compose_lite import ids


def test_an_id_is_never_a_number_to_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`775427110862` as a name is an address to inet_aton(3): a container would not be found by its short id."""
    made = iter(["775427110862" + "a" * 52, "77542711086f" + "0" * 52])
    monkeypatch.setattr(ids.secrets, "token_hex", lambda _: next(made))
    assert ids.new_id() == "77542711086f" + "0" * 52
