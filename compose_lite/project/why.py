"""Why a service does not run or is not healthy: from what was observed to one answer and the next command. Pure.

One container decides for its service: the one that is worst off. A service that waits for others gets their answers.
What nobody knows (who sent a signal that the engine did not send) is said as what it is: excluded, likely or unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from signal import Signals
from typing import Any

from compose_lite.graph.services import needs
from compose_lite.project.waiting import said_by
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Service
from compose_lite.units import human_duration, parse_rfc3339

Document = dict[str, Any]
LINES = 5  # of a log
GRAVE = 4  # from this rank on something failed


@dataclass(frozen=True, slots=True)
class Sight:
    """One container. document: inspect; facts: of our engine, {} of another one; log: its last lines."""

    name: str
    document: Document
    facts: Mapping[str, Any] = field(default_factory=dict)
    log: Sequence[str] = ()

    @property
    def state(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document["State"]
        return found

    @property
    def health(self) -> Mapping[str, Any]:
        return self.state.get("Health") or {}


@dataclass(frozen=True, slots=True)
class Answer:
    """fine: it is as it should be. after: the answers of what it waits for. grave: it fails, it is not only late."""

    service: str
    fine: bool
    says: str
    reasons: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    after: tuple[Answer, ...] = ()
    grave: bool = False


def why(project: Project, service: str, seen: Mapping[str, Sequence[Sight]], now: float, above: tuple[str, ...] = ()) -> Answer:
    """seen: service -> its containers. now: seconds since the epoch."""
    if service in project.disabled_services:
        profiles = ", ".join(project.disabled_services[service].profiles) or "none"
        wish = project.disabled_services[service].profiles[:1]
        flag = f"--profile {wish[0]} " if wish else ""
        return Answer(service, False, f"is not active: its profiles ({profiles}) are not", next=(f"compose-lite {flag}up -d {service}",))
    wanted = project.services[service]
    if wanted.provider is not None:
        return Answer(service, True, f"has no container: {wanted.provider.type} provides it")
    after = tuple(_unmet(project, wanted, seen, now, (*above, service)))
    containers = sorted(seen.get(service, ()), key=lambda s: _rank(s, service in _jobs(project)), reverse=True)
    if not containers:
        if not wanted.replicas:
            return Answer(service, True, "has no container: it is scaled to 0")
        return Answer(service, False, "has no container", after=after, next=() if after else (f"compose-lite up -d {service}",))
    return replace(_answer(project, wanted, containers[0], after, now), grave=_rank(containers[0], False) >= GRAVE)


def _unmet(project: Project, service: Service, seen: Mapping[str, Sequence[Sight]], now: float, above: tuple[str, ...]) -> Iterator[Answer]:
    """Of what it needs, those whose condition does not hold."""
    for name, dependency in needs(service).items():
        if name not in project.services or name in above or not dependency.required:
            continue
        if not all(_holds(dependency.condition, s) for s in seen.get(name, ())) or not seen.get(name):
            answer = why(project, name, seen, now, above)
            if not answer.fine or dependency.condition == "service_completed_successfully":
                yield answer


def _holds(condition: str, sight: Sight) -> bool:
    state = sight.state
    if condition == "service_completed_successfully":
        return bool(state["Status"] == "exited" and state["ExitCode"] == 0)
    if condition == "service_healthy":
        return bool(state["Status"] == "running" and sight.health.get("Status") == "healthy")
    return state["Status"] in ("running", "exited", "paused", "restarting") and not state.get("Error")


def _jobs(project: Project) -> set[str]:
    """Services whose end is what others wait for."""
    return {
        other
        for service in project.services.values()
        for other, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    }


def _rank(sight: Sight, job: bool) -> int:
    """The worse off, the higher; 0 is fine."""
    state, health = sight.state, sight.health.get("Status")
    match state["Status"]:
        case "running":
            return 4 if health == "unhealthy" else 2 if health == "starting" else 0
        case "exited":
            return 0 if state["ExitCode"] == 0 and not state.get("Error") else 6
        case "restarting" | "dead":
            return 5
        case "created":
            return 7 if state.get("Error") else 3
    return 1


def _answer(project: Project, service: Service, sight: Sight, after: tuple[Answer, ...], now: float) -> Answer:
    state, name = sight.state, service.name
    log = tuple(sight.log[-LINES:])
    logs = f"compose-lite logs --tail 50 {name}"
    again = f"compose-lite up -d {name}"
    match state["Status"]:
        case "created" if state.get("Error"):
            return Answer(name, False, "could not be started", tuple(_start_error(project, service, str(state["Error"]))), (), (again,))
        case "created":
            says = "is created, but was not started"
            return Answer(name, False, says, ("it waits for what it needs",) if after else (), after=after, next=() if after else (again,))
        case "paused":
            return Answer(name, False, "is paused", next=(f"compose-lite unpause {name}",))
        case "restarting":
            count = sight.document.get("RestartCount") or sight.facts.get("RestartCount") or 0
            says = f"ends and is started again and again ({count} times): {_ending(sight)}"
            return Answer(name, False, says, (*_reasons(project, service, sight), *_next_start(sight)), log, (logs,), after)
        case "exited" | "dead" if state["ExitCode"] == 0 and not state.get("Error"):
            return Answer(name, True, f"has ended with 0 {_ago(state.get('FinishedAt'), now)}".rstrip())
        case "exited" | "dead":
            says = f"has ended {_ago(state.get('FinishedAt'), now)}: {_ending(sight)}".replace(" :", ":")
            return Answer(name, False, says, tuple(_reasons(project, service, sight)), log, _look(service, sight, logs), after)
        case "running" if sight.health.get("Status") == "unhealthy":
            return Answer(name, False, _unhealthy(sight), tuple(_probes(sight)), log, (_probe_by_hand(service, sight), logs))
        case "running" if sight.health.get("Status") == "starting":
            return Answer(name, False, "runs, and is not healthy yet", tuple(_probes(sight)), log, (_probe_by_hand(service, sight), logs))
        case "running":
            health = " and is healthy" if sight.health.get("Status") == "healthy" else ""
            unmet = [f"a limit that could not be kept: {limit}" for limit in sight.facts.get("Unmet") or ()]
            return Answer(name, True, f"runs{health}", tuple(unmet))
    return Answer(name, False, f"is {state['Status']}", next=(f"compose-lite ps -a {name}",))


# --- an end


def _ending(sight: Sight) -> str:
    state = sight.state
    if state.get("OOMKilled"):
        return f"its memory was used up, so the kernel killed it (status {state['ExitCode']})"
    if state.get("Error") and state["ExitCode"] in (255,):
        return str(state["Error"])
    code = int(state["ExitCode"])
    return f"{_by_signal(code - 128)} (status {code})" if _is_signal(code) else f"exit status {code}"


def _is_signal(code: int) -> bool:
    return code > 128 and any(s.value == code - 128 for s in Signals)


def _by_signal(number: int) -> str:
    name = next(s.name for s in Signals if s.value == number)
    words = {"SIGSEGV": "a crash", "SIGABRT": "it aborted itself", "SIGILL": "an instruction this processor has not", "SIGBUS": "a crash"}
    return f"ended by {name}" + (f", {words[name]}" if name in words else "")


def _reasons(project: Project, service: Service, sight: Sight) -> Iterator[str]:
    state, code = sight.state, int(sight.state["ExitCode"])
    config = sight.document.get("Config") or {}
    words = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    if state.get("OOMKilled"):
        limit = (sight.document.get("HostConfig") or {}).get("Memory")
        at = _at(project, service, "mem_limit", "deploy")
        yield f"its limit is {limit / 2**20:.0f} MiB{at}" if limit else "it has no limit of its own: the machine's memory was used up"
    elif _is_signal(code):
        yield from _sender(code - 128, sight)
    elif code == 127:
        yield f"127 says that a program was not found: {words[0] if words else ''}{_at(project, service, 'command', 'entrypoint')}"
    elif code == 126:
        yield f"126 says that a program cannot be executed (a folder, no permission, another platform): {' '.join(words)[:80]}"
    if state.get("Error") and code != 255:
        yield from _start_error(project, service, str(state["Error"]))
    yield from _hints(sight.log)


def _sender(number: int, sight: Sight) -> Iterator[str]:
    """Who sent it: our engine knows what it sent itself."""
    sent = [s for s in sight.facts.get("Signals") or () if s["Number"] == number]
    if sent:
        reason = {"stop": "a stop of it", "kill": "a kill of it"}.get(sent[-1]["Because"], sent[-1]["Because"])
        yield f"the engine sent it: {reason}, {sent[-1]['At']}"
        deaf = next((s for s in sight.facts["Signals"] if s.get("Reacts") is False), None)
        if deaf and number == 9:
            yield "its first process has no handler for the stop signal, so it did not notice it (say `init: true`)"
    elif not sight.facts:
        yield "who sent it is not known: this engine does not keep that"
    elif number in (9, 19):
        yield "the engine did not send it, and no process inside can send it to the first one: it came from somebody on this machine,"
        yield "or its shell reports so that a child of it was killed"
    elif number in (4, 6, 7, 8, 11):
        yield "no one sent it: it comes from the program's own doing"
    else:
        yield "the engine did not send it: it came from inside the container or from somebody on this machine"


HINTS: tuple[tuple[str, str], ...] = (
    (r"address already in use|EADDRINUSE", "something listens on that address already, inside or in the network namespace that it shares"),
    (r"permission denied|EACCES|operation not permitted", "compare `user:` with the owner of what it opens, and see `cap_add`"),
    (r"no space left|ENOSPC", "no space: `compose-lite image prune` and `compose-lite volume prune` make some"),
    (r"exec format error", "a program for another platform, or a script without `#!`"),
    (r"read-only file system|EROFS", "it writes where it may only read: `read_only:` or a mount with `:ro`"),
    (r"connection refused|ECONNREFUSED", "what it connects to does not listen (yet): `condition: service_healthy` waits for it"),
    (r"name or service not known|could not resolve|getaddrinfo|no such host|bad address", "a name that is no service on its networks"),
    (r"no such file or directory|ENOENT", "a file that is not there: is it in the image, or hidden by a mount above it?"),
)  # fmt: skip
"""What programs say before they give up: what it usually is."""


def _hints(log: Sequence[str]) -> Iterator[str]:
    """One hint, for the last line that has one."""
    for line in reversed(log[-LINES:]):
        for pattern, hint in HINTS:
            if re.search(pattern, line, re.IGNORECASE):
                yield f"it said {line.strip()[:160]!r}: {hint}"
                return


def _next_start(sight: Sight) -> Iterator[str]:
    seconds = sight.facts.get("RestartIn")
    if seconds:
        yield f"it waits {seconds:g} s between its end and its next start"


def _look(service: Service, sight: Sight, logs: str) -> tuple[str, ...]:
    """A shell where it ended, when its own program is the question."""
    if int(sight.state["ExitCode"]) in (126, 127):
        return (f"compose-lite run --rm --entrypoint sh {service.name}",)
    return (logs, f"compose-lite up -d {service.name}")


# --- a start that failed


START_ERRORS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"address already in use|port is already allocated|not available", "a port of the machine that somebody else has", ("ports",)),
    (r"mount|bind source|not a directory", "a mount: its source is not there, or is no folder where one is needed", ("volumes",)),
    (r"executable file not found|no such file or directory", "its program is not in the image", ("command", "entrypoint", "image")),
    (r"permission denied|exec format", "its program cannot be executed", ("command", "entrypoint", "image")),
    (r"unable to find user|no matching entries in (passwd|group)|unknown user", "its user is not in the image's /etc/passwd", ("user",)),
    (r"network|subnet|address", "its network", ("networks", "network_mode")),
)  # fmt: skip


def _start_error(project: Project, service: Service, text: str) -> Iterator[str]:
    yield re.split("runc create failed: (?:unable to start .* init: )?", text)[-1] or text
    for pattern, hint, keys in START_ERRORS:
        if re.search(pattern, text, re.IGNORECASE):
            yield hint + _at(project, service, *keys)
            return


def _at(project: Project, service: Service, *keys: str) -> str:
    """` (compose.yaml:4:5)`, of the first of these keys that the service has."""
    for key in keys:
        if getattr(service, key, None) and (found := place(project, ("services", service.name, key))):
            return f" ({found})"
    return ""


# --- health


def _unhealthy(sight: Sight) -> str:
    return f"runs, but is unhealthy: {sight.health.get('FailingStreak')} probes failed, one after the other"


def _probes(sight: Sight) -> Iterator[str]:
    test = ((sight.document.get("Config") or {}).get("Healthcheck") or {}).get("Test") or ()
    if test:
        yield f"its probe: {' '.join(test[1:])[:160]}"
    last = sight.facts.get("Probed")
    log = [*(sight.health.get("Log") or ())]
    if last and (not log or log[-1]["End"] != last["End"]):
        log.append(last)
    found: list[str] = []
    for probe in log[-3:]:
        text = f"status {probe['ExitCode']}" + (f", {said_by(probe)}" if str(probe.get("Output") or "").strip() else ", no output")
        found.append(text)
    if found:
        same = len(set(found)) == 1
        yield f"its last probe{'s' if len(found) > 1 else ''}: " + (found[-1] if same else "; ".join(found))
    if any(probe["ExitCode"] in (126, 127, -1) for probe in log[-1:]) and "not found" in str(log[-1].get("Output")):
        yield "the probe's own program is not in the image"


def _probe_by_hand(service: Service, sight: Sight) -> str:
    test = ((sight.document.get("Config") or {}).get("Healthcheck") or {}).get("Test") or ()
    words = ["sh", "-c", *test[1:]] if test and test[0] == "CMD-SHELL" else list(test[1:])
    return f"compose-lite exec {service.name} {' '.join(_quoted(word) for word in words)}"


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _ago(stamp: Any, now: float) -> str:
    if not stamp or str(stamp).startswith("0001"):
        return ""
    return f"{human_duration(max(0.0, now - parse_rfc3339(str(stamp)) / 10**9)).lower()} ago"


# --- forms


def as_text(answer: Answer, indent: str = "") -> str:
    """The answer, its reasons, the last output, then what it waits for, then what to try."""
    lines = [f"{answer.service} {answer.says}"]
    lines += [f"  {reason}" for reason in answer.reasons]
    lines += [f"  its last output:{''.join(f'{chr(10)}    {line}' for line in answer.log)}"] if answer.log else []
    text = "".join(f"{indent}{line}\n" for block in lines for line in block.split("\n"))
    for other in answer.after:
        text += f"{indent}  because it needs:\n" + as_text(other, indent + "  ")
    return text + "".join(f"{indent}  {'try: ' if number == 0 else '     '}{command}\n" for number, command in enumerate(answer.next))


def as_json(answers: Sequence[Answer]) -> str:
    return json.dumps([_row(answer) for answer in answers], indent=2, ensure_ascii=False) + "\n"


def _row(answer: Answer) -> Document:
    return {
        "service": answer.service,
        "fine": answer.fine,
        "says": answer.says,
        "reasons": list(answer.reasons),
        "log": list(answer.log),
        "next": list(answer.next),
        "because": [_row(other) for other in answer.after],
    }


def roots(answers: Sequence[Answer]) -> list[Answer]:
    """Those that are not only waiting for others: what has to be mended, each once; what is only late when nothing failed."""
    found: dict[str, Answer] = {}
    for answer in answers:
        for one in roots(answer.after) if answer.after else ([] if answer.fine else [answer]):
            found.setdefault(one.service, one)
    failed = [one for one in found.values() if one.grave]
    return failed or list(found.values())
