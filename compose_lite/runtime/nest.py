"""A network namespace that belongs to a user namespace of its own: made before the container, as its interfaces and names are.

A helper forked from the zygote (`Runtime.spawn`), since a process with threads cannot change its user namespace. What a container may
do to its network is decided by who owns the network namespace: one of the machine's own would leave it without CAP_NET_ADMIN.
user_namespaces(7), ioctl_ns(2).
"""

from __future__ import annotations

import _socket
import os

from compose_lite.linux import namespaces, unix
from compose_lite.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(fds: Sequence[int], args: Sequence[str]) -> int:
    """fds: the socket to answer on, then maybe the user namespace to use. args: the mappings of a new one, as JSON. Answers with the
    network namespace, or {"error": why}."""
    sock = _socket.socket(fileno=fds[0])
    try:
        maps = messages.decode(args[0].encode())
        users = fds[1] if len(fds) > 1 else namespaces.user_namespace(maps["uids"], maps["gids"])
        namespaces.setns(users, namespaces.NEWUSER)
        namespaces.unshare(namespaces.NEWNET)
        made = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        unix.send(sock, messages.encode({"error": str(error)}))
        return 1
    unix.send(sock, messages.encode({}), [made])
    return 0
