"""A D-Bus service in a thread, for one connection: it answers what a function says."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, Parser, new_error, new_method_return, new_signal

_OURSELVES = DBusAddress("/", interface="x.y")
# (member, body) -> (signature, "", body); ("error", its name, body); None: it hangs up
Answer = Callable[[str, list[Any]], tuple[str, str, list[Any]] | None]


class Peer:
    """`asked`: members and bodies of the calls. `signals`: (member, signature, body), sent before the next answer."""

    def __init__(self, path: Path, answer: Answer, *, welcome: bytes = b"OK 0123456789abcdef0123456789abcdef\r\n") -> None:
        self.path, self.asked, self.signals = str(path), list[tuple[str, list[Any]]](), list[tuple[str, str, list[Any]]]()
        self._answer, self._welcome, self._serial = answer, welcome, 0
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
        with connection:
            lines = connection.makefile("rb", buffering=0)
            assert lines.readline() == b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n"
            connection.sendall(self._welcome)
            if lines.readline() != b"BEGIN\r\n":
                return
            parser = Parser()
            while piece := connection.recv(4096):
                parser.add_data(piece)
                while message := parser.get_next_message():
                    if not self._one(connection, message):
                        return

    def _one(self, connection: socket.socket, message: Message) -> bool:
        member = message.header.fields[HeaderFields.member]
        self.asked.append((member, list(message.body)))
        said = ("s", "", [":1.1"]) if member == "Hello" else self._answer(member, list(message.body))
        if said is None:
            return False
        signature, name, values = said
        for signal, kinds, content in self.signals:
            self._send(connection, new_signal(_OURSELVES, signal, kinds, tuple(content)))
        self.signals.clear()
        if name:
            self._send(connection, new_error(message, name, "s", tuple(values)))
        else:
            self._send(connection, new_method_return(message, signature or None, tuple(values)))
        return True

    def _send(self, connection: socket.socket, message: Message) -> None:
        self._serial += 1
        connection.sendall(message.serialise(self._serial))
