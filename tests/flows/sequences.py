"""Which commands come in which order, from a seed; and what of two answers may differ. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

IMAGE = "flows:1"
SERVICES = ("a", "b", "c", "d")
_FILE = """\
services:
  a:
    image: {image}
    init: true
    command: sh -c "echo a is up with $$V; sleep 1000"
    environment: {{V: "{value}"}}
    volumes: [data:/data, /anonymous]
    {more}
  b:
    image: {image}
    init: true
    command: sleep 1000
    depends_on: {{a: {{condition: service_started, restart: true}}}}
    ports: ["7000"]
  c:
    image: {image}
    command: sh -c "echo c ran; exit {status}"
    restart: "{restart}"
    depends_on: [b]
  d:
    image: {image}
    init: true
    command: sleep 1000
    profiles: [p]
    networks: [n]
    healthcheck: {{test: ["CMD", "true"], interval: 1s}}
volumes: {{data: {{}}}}
networks: {{n: {{}}}}
"""


@dataclass(slots=True)
class ComposeFile:
    """The project's file, of which single values change on the way."""

    values: dict[str, object] = field(default_factory=lambda: {"value": 0, "status": 0, "restart": "no", "more": ""})

    def text(self) -> str:
        return _FILE.format(image=IMAGE, **self.values)


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the file instead of a command."""

    key: str
    value: object


Step = tuple[str, ...] | Edit
_EDITS = (
    *(Edit("value", number) for number in range(3)),
    *(Edit("status", number) for number in range(2)),
    *(Edit("restart", policy) for policy in ("no", "on-failure:1")),
    *(Edit("more", text) for text in ("", "labels: {x: y}", "read_only: true", "ports: ['7100']")),
)
_SETTINGS: dict[str, tuple[str, ...]] = {
    "up -d": ("", "--no-deps", "--force-recreate", "--no-recreate", "--scale b=2", "-V", "--always-recreate-deps", "--no-start"),
    "create": ("", "--force-recreate", "--no-recreate", "--scale a=2"),
    "stop -t 1": ("",),
    "start": ("",),
    "restart -t 1": ("", "--no-deps"),
    "pause": ("",),
    "unpause": ("",),
    "kill": ("", "-s TERM", "-s HUP", "-s 9", "-s nope"),
    "rm -f": ("", "-s", "-v", "-sv"),
    "down -t 1": ("", "-v", "--remove-orphans"),
    "images": ("-q",),
    "ps": ("-q", "--services", "-a --services", "--status running --services", "--status exited --services", "--filter status=paused -q"),
    "logs --no-color": ("--no-log-prefix", "-n 1", "--index 1"),
    "volumes": ("-q",),
    "--profile p": ("up -d", "stop -t 1", "start", "down -t 1", "ps --services", "rm -fs"),
    "config": ("--services", "--volumes", "--images", "--profiles", "--networks", "--hash=*"),
}
_OF_ONE: dict[str, tuple[str, ...]] = {
    "run --rm -T {settings} {service} sh -c 'id -u; pwd; echo $X; exit 3'": ("", "--no-deps", "-e X=1", "-u 1000", "-w /tmp"),
    "run -d --name {project}-one {settings} {service} sleep 500": ("", "--no-deps"),
    "exec -T {settings} {service} sh -c 'echo hi; exit 5'": ("", "--index 2", "-e Q=2", "-u app", "-w /nowhere"),
    "exec -T {service} nothing": ("",),
    "scale {settings} {service}=2": ("", "--no-deps"),
    "scale {service}=0": ("",),
    "port {settings} {service} 7000": ("", "--index 2", "--protocol udp"),
    "cp ./compose.yaml {service}:/tmp/x": ("",),
    "cp {service}:/tmp/x ./out": ("",),
    "stats --no-stream --format {{{{.Name}}}} {service}": ("",),
    "wait {service}": ("",),
}


def sequence(seed: int, length: int, project: str) -> list[Step]:
    """length steps; `up -d` comes more often than others, so that there is something to act on."""
    import shlex

    chosen = random.Random(seed)
    steps: list[Step] = []
    while len(steps) < length:
        kind = chosen.randrange(20)
        if kind < 3:
            steps.append(chosen.choice(_EDITS))
        elif kind < 11:
            command = "up -d" if kind < 6 else chosen.choice(list(_SETTINGS))
            settings = chosen.choice(_SETTINGS[command])
            services = (
                ()
                if command in ("--profile p", "config") or "--format" in settings
                else chosen.sample(SERVICES, chosen.choice((0, 0, 1, 1, 2)))
            )
            steps.append((*command.split(), *settings.split(), *services))
        else:
            form = chosen.choice(list(_OF_ONE))
            text = form.format(settings=chosen.choice(_OF_ONE[form]), service=chosen.choice(SERVICES), project=project)
            if not text.startswith("wait") or text.endswith("c"):  # the others never end
                steps.append(tuple(shlex.split(text)))
    return steps


@dataclass(frozen=True, slots=True)
class Answer:
    """status: None when it did not end in time. state: a row a container, without its number."""

    status: int | None
    out: str
    err: str
    state: tuple[str, ...]


def differences(step: Sequence[str], ours: Answer, theirs: Answer) -> list[str]:
    """What differs and may not."""
    found = []
    if ours.status != theirs.status:
        found.append(f"status {ours.status} != {theirs.status}\n  ours: {ours.err[-500:]!r}\n  reference: {theirs.err[-500:]!r}")
    if (left := _plain(step, ours.out)) != (right := _plain(step, theirs.out)):
        found.append(f"stdout {left!r} != {right!r}")
    if ours.state != theirs.state:
        found.append(f"containers {ours.state} != {theirs.state}")
    return found


def gives_up(reference: Answer) -> bool:
    """Docker Compose stops half-way where we do what was asked for, `up` of a project with paused containers: the sequence ends there."""
    return "cannot start a paused container" in reference.err


_IDS = ((r"\b[0-9a-f]{64}\b", "ID64"), (r"\b[0-9a-f]{12}\b", "ID12"), (r"(?<=:)\d{5}\b", "PORT"), (r"-run-[0-9a-f]+", "-run-X"))


def _plain(step: Sequence[str], text: str) -> list[str]:
    """Lines without what is another each time; in no order, since both tools print some in the order of maps."""
    for pattern, name in _IDS:
        text = re.sub(pattern, name, text)
    return sorted(re.split(r"[, \n]+", text) if "rm" in step else text.splitlines())
