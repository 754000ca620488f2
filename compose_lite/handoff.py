"""The message front -> worker, and what comes back. Sans-IO; builtin modules only (the front imports this).

    front ──SOCK_STREAM run/worker.sock──▶ template ──fork──▶ worker
      one message with three descriptors: length, marshal of the dict below     ▶ b"P" + pid (4 bytes), then b"E" + status (4 bytes)
                                                                                ▶ b"N": not served here, run it yourself

Keys: v (VERSION and the interpreter's), argv, cwd, env, umask, rlimits, mnt (mount namespace). marshal is safe here: the
socket is the user's own, and both ends are the same interpreter.
"""

import marshal
import sys

VERSION = 1
STAMP = f"{VERSION}:{sys.hexversion:x}"
PID, EXIT, REFUSED = b"P", b"E", b"N"
READY = b"ready"  # what a family says first when it serves; anything else is why it does not


def zygote_command(entry: str, *args: object) -> list[str]:
    """argv of a zygote: a fresh, isolated interpreter, as what its starter has imported would stay in every monitor.

    entry: the function of runtime/zygote.py that it begins with; args: what that reads of sys.argv.
    """
    root = __file__.rpartition("/compose_lite/")[0]
    program = f"import sys; sys.path.append({root!r}); import compose_lite.runtime.zygote as z; z.{entry}()"
    return [sys.executable, "-I", "-S", "-c", program, *map(str, args)]


def pack(request: dict[str, object]) -> bytes:
    body = marshal.dumps(request)
    return len(body).to_bytes(4, "little") + body


def needed(data: bytes) -> int:
    """How many bytes of the message are still to come; at least 1 before its length is known."""
    if len(data) < 4:
        return 4 - len(data)
    return 4 + int.from_bytes(data[:4], "little") - len(data)


def unpack(data: bytes) -> dict[str, object]:
    found: dict[str, object] = marshal.loads(data[4:])
    return found


def answer(kind: bytes, value: int) -> bytes:
    return kind + value.to_bytes(4, "little", signed=True)
