"""Starts the family (family.py) as a process of its own, and waits until it serves; or a template alone. For fronts and clients."""

from __future__ import annotations

import os
import sys

from compose_lite.handoff import READY

START_SECONDS = 60.0  # emulated machines are slow


def start(env: dict[str, str] | None = None) -> str | None:
    """Starts the family unless it runs, and waits until it serves; the reason when it does not."""
    import select
    import subprocess

    here = dict(os.environ) if env is None else env
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        subprocess.Popen(
            [sys.executable, "-m", "compose_lite.family", str(writer)],
            pass_fds=(writer,),
            env=_clean_environment(here),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(writer)
    with open(reader, "rb") as answers:
        if not select.select([answers], [], [], START_SECONDS)[0]:
            return "the engine did not start in time; see engine.log in its data folder"
        said = os.read(answers.fileno(), 65536)
    if said.startswith(READY):
        return None
    return said.decode("utf-8", "replace") or "the engine ended while it was starting; see engine.log in its data folder"


def warm() -> None:
    """Starts a template without an engine, for the next commands that need none; nobody waits for it, and it may fail.

    COMPOSE_LITE_WARM=0 says that there shall be none.
    """
    env = _clean_environment(dict(os.environ))
    if env.get("COMPOSE_LITE_WARM") == "0":
        return
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    # what the caller holds open (a pipe that is read to its end, a lock) is not held for minutes
    closed = [(os.POSIX_SPAWN_CLOSE, int(fd)) for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
    try:
        os.posix_spawn(sys.executable, [sys.executable, "-m", "compose_lite.cli.worker"], env, file_actions=[*null, *closed], setsid=True)
    except OSError:
        pass  # the next command is as slow as this one was


def _clean_environment(env: dict[str, str]) -> dict[str, str]:
    """What the engine needs of the caller's environment: never the caller's secrets."""
    kept = ("HOME", "PATH", "LANG", "TZ", "PYTHONPATH", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    prefixes = ("XDG_", "COMPOSE_LITE_", "LC_", "PYTHON", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy", "COVERAGE_")
    return {k: v for k, v in env.items() if k in kept or k.startswith(prefixes)}
