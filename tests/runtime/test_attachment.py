"""The engine's end of a monitor's stream."""

import asyncio
import socket

from compose_lite.runtime import messages
from compose_lite.runtime.attachment import Attachment


def test_output_before_an_end_with_unread_input() -> None:
    """unix(7) sockets report ECONNRESET before what is still to be read, when the other end closed with our last frame unread."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    attachment = Attachment(ours)

    async def talk() -> list[object]:
        theirs.send(messages.frame(messages.STDOUT, b"one"))
        theirs.send(messages.frame(messages.STDERR, b"two"))
        await attachment.close_stdin()
        theirs.close()
        return [await attachment.read() for _ in range(3)]

    assert asyncio.run(talk()) == [("stdout", b"one"), ("stderr", b"two"), None]
    attachment.close()
