"""Detach keys: how they are written, and how they are found in what is typed. Both ends of the API look for them. Pure."""

from __future__ import annotations

DEFAULT = "ctrl-p,ctrl-q"


def parse(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `x,y` as the bytes that a terminal sends; empty for the default. ValueError."""
    made = b""
    for word in (text or DEFAULT).split(","):
        key = word.removeprefix("ctrl-")
        control = word.startswith("ctrl-") and len(key) == 1 and ((key.isascii() and key.isalpha()) or key in "@[\\]^_")
        if not control and len(word) != 1:
            raise ValueError(f"invalid detach keys ({text}): {word!r} is neither a letter nor ctrl-<letter>")
        made += bytes([ord(key.upper()) & 0x1F]) if control else word.encode()
    return made


class Watch:
    """Finds the keys in what comes piece by piece; a beginning of them is held back until it is none."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether the keys were typed: what comes after them is dropped."""
        typed, keys = self._held + data, self._keys
        if keys and keys in typed:
            self._held = b""
            return typed[: typed.index(keys)], True
        count = next((n for n in range(len(keys) - 1, 0, -1) if typed.endswith(keys[:n])), 0)
        self._held = typed[len(typed) - count :]
        return typed[: len(typed) - count], False
