"""Loads texts in a child process of bounded memory; each has bounded processor time. What is neither loaded nor refused is told."""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from compose_lite.errors import Error
from compose_lite.project.configtext import ConfigWish, config_text
from compose_lite.spec.load import LoadOptions

MEMORY = 1 << 30
SECONDS = 10.0
"""Of processor time, so that a busy machine changes nothing."""


class TooLong(BaseException):
    """A document that was not done in time."""


def read(text: str | bytes, folder: str) -> str:
    """What becomes of a text: `loaded` or `refused`."""
    content = text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")
    environ = {"HOME": "/nonexistent", "A": "a"}
    try:
        config_text(LoadOptions(environ, folder, files=("-",), project_name="p", stdin=lambda: content), ConfigWish())
    except Error as error:
        assert str(error)
        return "refused"
    return "loaded"


def outcomes(work: Iterable[tuple[int, Callable[[], str]]]) -> Iterator[tuple[int, str]]:
    """(number, `loaded`, `refused` or what went wrong) of each. A child that dies is told of and replaced."""
    waiting = list(work)
    while waiting:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _child(waiting, writing)
        os.close(writing)
        done = 0
        with os.fdopen(reading, "rb") as answers:
            for line in answers:
                done += 1
                yield tuple(json.loads(line))
        _, status = os.waitpid(child, 0)
        if done < len(waiting):
            yield waiting[done][0], f"the process ended: {status}"
            done += 1
        waiting = waiting[done:]


def _child(work: list[tuple[int, Callable[[], str]]], writing: int) -> None:
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.signal(signal.SIGPROF, _too_long)
        for number, one in work:
            os.write(writing, json.dumps([number, _outcome(one)]).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _too_long(number: int, frame: Any) -> None:
    raise TooLong


def _outcome(one: Callable[[], str]) -> str:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return one()
    except TooLong:
        return f"took more than {SECONDS} s"
    except BaseException:
        return traceback.format_exc()[-1500:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
