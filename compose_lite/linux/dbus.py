"""One method call at a time to a D-Bus service, on a Unix socket: enough to ask systemd for a group.

D-Bus Specification 0.43 ("Message Protocol", "Authentication Protocol"): little-endian, EXTERNAL authentication by the socket's uid.
`marshal` and `parse` are pure. Types: y b u i t s o g, arrays, structs and variants; a variant is given as (signature, value).
Raises OSError: ConnectionError for what the other end refuses, TimeoutError.
"""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_NUMBERS = {"y": "B", "b": "I", "i": "i", "u": "I", "t": "Q"}
_SIZES = {"y": 1, "b": 4, "i": 4, "u": 4, "t": 8, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8}
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_TO, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_HEADER = "yyyyuua(yv)"
_MOST = 1 << 20  # bytes of an answer; the specification allows 128 MiB, systemd's are small


class Refused(ConnectionError):
    """An error answer; `name` is D-Bus's (`org.freedesktop.systemd1.UnitExists`)."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name


class Message:
    """An answer or a signal."""

    __slots__ = ("body", "fields", "kind")

    def __init__(self, kind: int, fields: dict[int, Any], body: list[Any]) -> None:
        self.kind, self.fields, self.body = kind, fields, body

    @property
    def member(self) -> str:
        return str(self.fields.get(_MEMBER, ""))


def types(signature: str) -> list[str]:
    """The complete types of a signature: `sa(sv)u` is `s`, `a(sv)`, `u`."""
    found = []
    while signature:
        end = _end_of_type(signature)
        found.append(signature[:end])
        signature = signature[end:]
    return found


def _end_of_type(signature: str) -> int:
    if signature[0] == "a":
        return 1 + _end_of_type(signature[1:])
    if signature[0] != "(":
        return 1
    depth = 0
    for at, letter in enumerate(signature):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return at + 1
    raise ValueError(f"D-Bus signature {signature!r}")


def marshal(signature: str, values: Sequence[Any], start: int = 0) -> bytes:
    """start: where the bytes will stand in the message, for their alignment."""
    out = bytearray()
    for kind, value in zip(types(signature), values, strict=True):
        _put(out, start, kind, value)
    return bytes(out)


def _put(out: bytearray, start: int, kind: str, value: Any) -> None:
    out += bytes(-(start + len(out)) % _SIZES[kind[0]])
    if kind in _NUMBERS:
        out += struct.pack(f"<{_NUMBERS[kind]}", value)
    elif kind in "sog":
        text = value.encode()
        out += struct.pack("<B" if kind == "g" else "<I", len(text)) + text + b"\0"
    elif kind == "v":
        _put(out, start, "g", value[0])
        _put(out, start, *value)
    elif kind[0] == "(":
        for inner, one in zip(types(kind[1:-1]), value, strict=True):
            _put(out, start, inner, one)
    else:
        at = len(out)
        out += bytes(4)
        out += bytes(-(start + len(out)) % _SIZES[kind[1]])
        first = len(out)
        for one in value:
            _put(out, start, kind[1:], one)
        out[at : at + 4] = struct.pack("<I", len(out) - first)


def parse(signature: str, data: bytes, at: int = 0) -> tuple[list[Any], int]:
    """The values, and where they end. A variant is its value."""
    found = []
    for kind in types(signature):
        value, at = _get(kind, data, at)
        found.append(value)
    return found, at


def _get(kind: str, data: bytes, at: int) -> tuple[Any, int]:
    at += -at % _SIZES[kind[0]]
    if kind in _NUMBERS:
        form = f"<{_NUMBERS[kind]}"
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if kind in "sog":
        size = 1 if kind == "g" else 4
        end = at + size + int.from_bytes(data[at : at + size], "little")
        return data[at + size : end].decode(), end + 1
    if kind == "v":
        inner, at = _get("g", data, at)
        return _get(inner, data, at)
    if kind[0] == "(":
        return parse(kind[1:-1], data, at)
    (length,) = struct.unpack_from("<I", data, at)
    at += 4
    at += -at % _SIZES[kind[1]]
    values, end = [], at + length
    while at < end:
        value, at = _get(kind[1:], data, at)
        values.append(value)
    return values, at


class Connection:
    """To a bus, or (peer=True) straight to a service, which then answers to every name."""

    def __init__(self, path: str, *, peer: bool, seconds: float) -> None:
        self._serial = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(seconds)
        try:
            self._socket.connect(path)
            self._authenticate()
            if not peer:
                self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _authenticate(self) -> None:
        self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        said = b""
        while not said.endswith(b"\r\n"):
            piece = self._socket.recv(512)
            if not piece:
                raise ConnectionError("D-Bus: the other end has closed")
            said += piece
        if not said.startswith(b"OK "):
            raise ConnectionError(f"D-Bus authentication: {said.decode(errors='replace').strip()}")
        self._socket.sendall(b"BEGIN\r\n")

    def call(self, service: str, path: str, interface: str, method: str, signature: str = "", values: Sequence[Any] = ()) -> list[Any]:
        """The values of its answer. Signals that come before it are lost: who wants them asks by `call_for`."""
        return self.call_for("", service, path, interface, method, signature, values)[0]

    def call_for(
        self, signal: str, service: str, path: str, interface: str, method: str, signature: str, values: Sequence[Any]
    ) -> tuple[list[Any], list[Message]]:
        """The same, with the signals of that member that came before the answer."""
        self._serial += 1
        body = marshal(signature, values)
        fields: list[Any] = [(_PATH, ("o", path)), (_INTERFACE, ("s", interface)), (_MEMBER, ("s", method)), (_DESTINATION, ("s", service))]
        if signature:
            fields.append((_SIGNATURE, ("g", signature)))
        head = marshal(_HEADER, (ord("l"), _CALL, 0, 1, len(body), self._serial, fields))
        self._socket.sendall(head + bytes(-len(head) % 8) + body)
        heard = []
        while True:
            message = self.receive()
            if message.fields.get(_REPLY_TO) == self._serial and message.kind in (_RETURN, _ERROR):
                break
            if signal and message.member == signal:
                heard.append(message)
        if message.kind == _ERROR:
            raise Refused(str(message.fields.get(_ERROR_NAME, "")), str(message.body[0]) if message.body else "")
        return message.body, heard

    def receive(self) -> Message:
        fixed = self._read(16)
        if fixed[:1] != b"l":
            raise ConnectionError("D-Bus: an answer in big-endian")
        length, _, size = struct.unpack_from("<III", fixed, 4)
        if length + size > _MOST:
            raise ConnectionError("D-Bus: an answer that is too large")
        head = fixed + self._read(size + -size % 8)
        data = self._read(length)
        fields = dict(parse(_HEADER, head)[0][6])
        return Message(fixed[1], fields, parse(str(fields.get(_SIGNATURE, "")), data)[0])

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self._socket.recv(size - len(found))
            if not piece:
                raise ConnectionError("D-Bus: the other end has closed")
            found += piece
        return found
