"""What engine, zygote, monitor and init say to each other: JSON objects, one a message; no I/O here but of memfds.

    engine ──create, exec, spawn, connect──▶ zygote            SEQPACKET; the zygote's own socket is run/zygote.sock
    engine ◀──{"re": n, ...}── monitor, exec child, zygote     the answer comes on the same socket from whoever knows it
    engine ◀──{"exit": ...}── zygote                           an exec or a spawned process has ended
    engine ──start, adopt, attach, resize, note──▶ monitor     SEQPACKET, <bundle>/ctl; after `attach` frames both ways
    engine ◀──exit notice── monitor or zygote                  DGRAM, the `notify` path of the launch; <bundle>/exit.json is written before
    monitor, exec child ──report──▶ zygote                     SEQPACKET pair: pids and descriptors to hold
    monitor ◀──▶ init                                          SEQPACKET pair, the hand-shake of container.py

Few and frozen: containers outlive the engine that made them, so a newer engine must understand an older monitor.
A message too long for a datagram travels in a memfd: then the payload is `LONG` and the first descriptor holds it.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 2  # 2: `start` may bring the late mounts
LONGEST = 60_000
LONG = b"\x00long"

# Frames of an attachment: one byte, then the payload.
STDIN, STDOUT, STDERR, RESIZE, STDIN_END = 0, 1, 2, 3, 4


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("a message is a JSON object")
    return found


def whole_file(fd: int) -> bytes:
    """What a memfd holds, which is closed then."""
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    return data


def join(header: dict[str, Any], body: bytes) -> bytes:
    """A header for the zygote and a body that it does not look into (the fork does)."""
    return encode(header) + b"\n" + body


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    header, _, body = data.partition(b"\n")
    return decode(header), body


def frame(kind: int, payload: bytes = b"") -> bytes:
    return bytes((kind,)) + payload


def window(rows: int, columns: int) -> bytes:
    """The payload of RESIZE."""
    return rows.to_bytes(2, "little") + columns.to_bytes(2, "little")


def parse_window(payload: bytes) -> tuple[int, int]:
    return int.from_bytes(payload[:2], "little"), int.from_bytes(payload[2:4], "little")
