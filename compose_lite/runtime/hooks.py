"""Hooks of an OCI config (CDI specifications bring them): programs that are told of a container while it is being made.

Imported only where a config has some. prestart and createRuntime run in the monitor, createContainer in init before the root is
entered, startContainer after. It must never run one of the container's programs outside of it: paths of the first three are the machine's.
Spec: OCI runtime-spec, config.md "POSIX-platform Hooks", runtime.md "Lifecycle".
"""

from __future__ import annotations

import os
import select

from compose_lite.linux.syscall import read_file
from compose_lite.runtime import child, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

FILES = ("config.json", "hooks.json")  # in the bundle: what hooks read, and the state that they are told
_REFUSED = ("poststart", "poststop")
_FOREVER = 3600.0


def prepare(config: Mapping[str, Any], bundle: str, id: str, pid: int) -> None:
    """The bundle as hooks expect it, and those of the runtime's own namespaces."""
    hooks = config["hooks"]
    for name in _REFUSED:
        if hooks.get(name):
            raise child.StartError(128, f"the built-in runtime runs no {name} hooks: choose another one (runtime: crun)")
    document: dict[str, Any] = {**config, "root": {**(config.get("root") or {}), "path": f"{bundle}/rootfs"}}
    state: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "id": id,
        "status": "creating",
        "pid": pid,
        "bundle": bundle,
        "annotations": config.get("annotations") or {},
    }
    for name, content in zip(FILES, (document, state), strict=True):
        fd = os.open(f"{bundle}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(messages.encode(content))
    for name in ("prestart", "createRuntime"):
        run(hooks, name, messages.encode(state))


def state_of(bundle: str) -> bytes:
    return read_file(f"{bundle}/hooks.json")


def run(hooks: Mapping[str, Any], name: str, state: bytes) -> None:
    """In order; the first that fails is the container's failure."""
    for number, hook in enumerate(hooks.get(name) or ()):
        status, said = _one(hook, state)
        if status:
            says = f"error running {name} hook #{number}: exit status {status}"
            raise child.StartError(128, says + (f", output: {said}" if said else ""))


def _one(hook: Mapping[str, Any], state: bytes) -> tuple[int, str]:
    """Its exit status and the end of what it said."""
    told, telling = os.pipe()
    hearing, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(hook, told, said)
    os.close(told)
    os.close(said)
    try:
        os.write(telling, state)  # less than a pipe holds
    except BrokenPipeError:
        pass  # it does not listen
    os.close(telling)
    output = _heard(hearing, float(hook.get("timeout") or _FOREVER))
    if output is None:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(hearing)
    if output is None:
        return 124, f"it took longer than {hook['timeout']} seconds"
    return os.waitstatus_to_exitcode(status), output[-500:].decode("utf-8", "replace").strip()


def _heard(fd: int, seconds: float) -> bytes | None:
    """Until its end; None when that does not come in time."""
    found = b""
    while select.select([fd], [], [], seconds)[0]:
        data = os.read(fd, 4096)
        if not data:
            return found
        found = (found + data)[-4096:]
    return None


def _become(hook: Mapping[str, Any], told: int, said: int) -> NoReturn:
    try:
        for target, fd in ((0, told), (1, said), (2, said)):
            os.dup2(fd, target)
        child.close_all_but(2)
        child.reset_signals()
        environment = dict(entry.split("=", 1) for entry in hook.get("env") or () if "=" in entry)
        os.execve(hook["path"], hook.get("args") or [hook["path"]], environment)
    except OSError as error:
        os.write(2, f"{hook.get('path')}: {error.strerror}".encode())
    finally:
        os._exit(127)
