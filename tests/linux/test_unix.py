"""Messages over unix(7) sockets."""

from compose_lite.linux import unix


def test_messages_before_an_end_with_unread_input() -> None:
    """ECONNRESET comes before what the other side said, when it ended with ours unread."""
    ours, theirs = unix.socketpair()
    theirs.send(b"one")
    theirs.send(b"two")
    ours.send(b"never read")
    theirs.close()
    assert [unix.receive(ours)[0] for _ in range(3)] == [b"one", b"two", b""]
    ours.close()
