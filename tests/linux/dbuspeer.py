"""A D-Bus service in a thread, for one connection: it answers what a function says."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compose_lite.linux import dbus

# (member, body) -> (signature, "", body); ("error", its name, body); None: it hangs up
Answer = Callable[[str, list[Any]], tuple[str, str, list[Any]] | None]


class Peer:
    """`asked`: members and bodies of the calls. `signals`: (member, signature, body), sent before the next answer."""

    def __init__(self, path: Path, answer: Answer, *, welcome: bytes = b"OK 0123456789abcdef0123456789abcdef\r\n") -> None:
        self.path, self.asked, self.signals = str(path), list[tuple[str, list[Any]]](), list[tuple[str, str, list[Any]]]()
        self._answer, self._welcome = answer, welcome
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Peer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, connection.makefile("rb") as data:
            assert data.readline() == b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n"
            connection.sendall(self._welcome)
            if data.readline() != b"BEGIN\r\n":
                return
            while self._one(connection, data):
                pass

    def _one(self, connection: socket.socket, data: Any) -> bool:
        fixed = data.read(16)
        if len(fixed) < 16:
            return False
        length, serial, size = struct.unpack_from("<III", fixed, 4)
        head = fixed + data.read(size + -size % 8)
        fields = dict(dbus.parse("yyyyuua(yv)", head)[0][6])
        body = dbus.parse(fields.get(8, ""), data.read(length))[0]
        self.asked.append((fields[3], body))
        said = ("s", "", [":1.1"]) if fields[3] == "Hello" else self._answer(fields[3], body)
        if said is None:
            return False
        signature, name, values = said
        for member, kinds, content in self.signals:
            self._send(connection, 4, [(1, ("o", "/")), (2, ("s", "x.y")), (3, ("s", member))], kinds, content)
        self.signals.clear()
        more = [(4, ("s", name))] if name else []
        self._send(connection, 3 if name else 2, [(5, ("u", serial)), *more], "s" if name else signature, values)
        return True

    def _send(self, connection: socket.socket, kind: int, fields: list[Any], signature: str, values: list[Any]) -> None:
        body = dbus.marshal(signature, values)
        if signature:
            fields = [*fields, (8, ("g", signature))]
        head = dbus.marshal("yyyyuua(yv)", (ord("l"), kind, 0, 1, len(body), 1, fields))
        connection.sendall(head + bytes(-len(head) % 8) + body)
