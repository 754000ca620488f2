"""One method call at a time to a D-Bus service on a Unix socket: enough to ask systemd for a group. The messages are jeepney's.

A service may also be asked without a bus, where it listens itself (systemd's `private` socket): its name stands in no message then.
Raises OSError: Refused for an error answer, ConnectionError, TimeoutError, FileNotFoundError where nobody listens.
"""

from __future__ import annotations

import itertools
import socket
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, Parser, message_bus, new_method_call
from jeepney.auth import AuthenticationError
from jeepney.io.blocking import prep_socket

_MOST = 4096  # bytes of one recv(2)


class Refused(ConnectionError):
    """An error answer; `name` is D-Bus's (`org.freedesktop.systemd1.UnitExists`)."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name


class Connection:
    """To a bus, or (peer=True) straight to a service."""

    def __init__(self, path: str, *, peer: bool, seconds: float) -> None:
        try:
            self._socket: socket.socket = prep_socket(path, timeout=seconds)
        except AuthenticationError as error:
            raise ConnectionError(f"D-Bus authentication: {error}") from None
        self._socket.settimeout(seconds)
        self._parser, self._serials = Parser(), itertools.count(1)
        if not peer:
            try:
                self.ask(message_bus.Hello())
            except BaseException:
                self._socket.close()
                raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, to: DBusAddress, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """The values of its answer; a variant is (signature, value), in and out."""
        return self.ask(new_method_call(to, method, signature, body))[0]

    def ask(self, message: Message, signal: str = "") -> tuple[tuple[Any, ...], list[Message]]:
        """The same for a message, with the signals of that member that came before the answer."""
        serial, heard = next(self._serials), []
        self._socket.sendall(message.serialise(serial))
        while True:
            answer = self.receive()
            if answer.header.fields.get(HeaderFields.reply_serial) == serial:
                break
            if signal and member(answer) == signal:
                heard.append(answer)
        if answer.header.message_type == MessageType.error:
            raise Refused(str(answer.header.fields.get(HeaderFields.error_name, "")), str(answer.body[0]) if answer.body else "")
        return answer.body, heard

    def receive(self) -> Message:
        while (message := self._parser.get_next_message()) is None:
            data = self._socket.recv(_MOST)
            if not data:
                raise ConnectionError("D-Bus: the other end has closed")
            self._parser.add_data(data)
        return message


def member(message: Message) -> str:
    return str(message.header.fields.get(HeaderFields.member, ""))
