"""A plan as people read it: per container what happens, which key changed where from what to what, and what follows. Pure.

The plan's own text (plan.py) names every step; this puts the steps of one thing together. It decides nothing: what is not
in the plan is not here. What the container was made from comes in as `known` (read by recorded.py).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compose_lite import ids
from compose_lite.errors import Place
from compose_lite.project.difference import MISSING, Change, changes
from compose_lite.project.observe import Document, Seen, Snapshot
from compose_lite.project.plan import (
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Keep,
    Plan,
    PreStart,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    Rollout,
    StartContainer,
    StopContainer,
)
from compose_lite.project.reconcile import network_body, volume_body
from compose_lite.spec.document import dotted
from compose_lite.spec.models.project import Project, place

ACTIONS = {"create": "+", "recreate": "~", "restart": ">", "start": ">", "stop": "-", "remove": "-", "pull": "+", "build": "+", "run": ">"}
"""What can happen to something, and the sign before it."""
COUNTED = ("create", "recreate", "restart", "start", "remove")
ONLY_HASH = "its configuration hash differs; which key changed is not known, as what it was made from is not kept"


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of the file. place: where it stands now, or what is around it when it is gone."""

    path: str
    place: Place | None
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing: kind is container, network, volume, image or provider; notes: what follows from it."""

    action: str
    kind: str
    name: str
    service: str = ""
    because: str = ""
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """before, after: two configurations to compare. partly: not all keys are in them."""

    before: Document
    after: Document
    partly: bool = False


@dataclass(frozen=True, slots=True)
class View:
    project: str
    entries: tuple[Entry, ...]
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        return bool(self.entries)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside plan and snapshot. known: container id -> configurations; images: image -> pull or build."""

    known: Mapping[str, Known] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    providers: Sequence[str] = ()
    renew_volumes: bool = False
    diverged: Sequence[str] = ()  # volumes that would lose their data


def view(project: Project, snapshot: Snapshot, plan: Plan, facts: Facts) -> View:
    steps = [planned.step for planned in plan.steps]
    entries = [
        *(Entry(act, "image", image, notes=_of_image(project, snapshot, image)) for image, act in sorted(facts.images.items())),
        *(Entry("run", "provider", name, name) for name in facts.providers),
        *_networks(project, snapshot, steps),
        *_volumes(project, snapshot, steps),
        *_containers(
            project, snapshot, [*steps, *(one for step in steps if isinstance(step, Rollout) for one in step.replacements)], facts
        ),
    ]
    kept = tuple(step.name for step in steps if isinstance(step, Keep))
    asks = (f"volume {name} is not as the file says: `up` asks before it makes it anew, since its data goes" for name in facts.diverged)
    entries = [_rolled(entry, steps) for entry in entries]
    restarted = {e.name for e in entries}
    return View(project.name, tuple(entries), tuple(n for n in kept if n not in restarted), (*plan.warnings, *asks))


def _rolled(entry: Entry, steps: Sequence[object]) -> Entry:
    """How it is replaced, where the file says so."""
    for step in steps:
        if isinstance(step, Rollout) and any(one.name == entry.name for one in step.replacements):
            many = "all at once" if step.parallelism < 1 else f"{step.parallelism} at a time"
            return replace(entry, notes=(*entry.notes, f"replaced {many}, {step.order}; on a failure: {step.failure_action}"))
    return entry


def _of_image(project: Project, snapshot: Snapshot, image: str) -> tuple[str, ...]:
    """Whether another image makes other containers is known only when it is there."""
    used = [c.name for s in project.services.values() if project.image_of(s) == image for c in snapshot.of(s.name)]
    return (f"recreates {', '.join(used)} if it turns out to be another one",) if used else ()


def _networks(project: Project, snapshot: Snapshot, steps: Sequence[object]) -> Iterator[Entry]:
    gone = {step.name for step in steps if isinstance(step, RemoveNetwork)}
    keys = {network.name: key for key, network in project.networks.items()}
    for step in steps:
        if isinstance(step, CreateNetwork):
            found: tuple[Difference, ...] = ()
            if step.name in gone:
                key = keys[step.name]
                found = _differences(project, ("networks", key), _network_changes(snapshot.networks[step.name], network_body(project, key)))
            notes = (ONLY_HASH,) if step.name in gone and not found else ()
            yield Entry("recreate" if step.name in gone else "create", "network", step.name, differences=found, notes=notes)


def _network_changes(seen: Document, wanted: Document) -> list[Change]:
    """Of what both documents have."""
    names = {"Driver": "driver", "Internal": "internal", "Attachable": "attachable", "Options": "driver_opts", "EnableIPv6": "enable_ipv6"}
    found = [c for key, name in names.items() if key in wanted for c in changes(seen.get(key) or None, wanted[key] or None, (name,))]
    if "IPAM" in wanted or (seen.get("Labels") or {}).get(ids.CONFIG_HASH):
        before = [{k: v for k, v in pool.items() if v} for pool in (seen.get("IPAM") or {}).get("Config") or ()]
        after = (wanted.get("IPAM") or {}).get("Config")
        if after:
            found += changes(before, after, ("ipam", "config"))
    return found + _label_changes(seen, wanted)


def _label_changes(seen: Document, wanted: Document) -> list[Change]:
    before, after = ({k: v for k, v in (d.get("Labels") or {}).items() if not k.startswith(ids.LABEL)} for d in (seen, wanted))
    return changes(before, after, ("labels",))


def _volumes(project: Project, snapshot: Snapshot, steps: Sequence[object]) -> Iterator[Entry]:
    gone = {step.name for step in steps if isinstance(step, RemoveVolume)}
    keys = {volume.name: key for key, volume in project.volumes.items()}
    for step in steps:
        if isinstance(step, CreateVolume):
            if step.name not in gone:
                yield Entry("create", "volume", step.name)
                continue
            seen, wanted = snapshot.volumes[step.name], volume_body(project, keys[step.name])
            found = [
                *changes(seen.get("Driver"), wanted["Driver"], ("driver",)),
                *changes(seen.get("Options"), wanted["DriverOpts"], ("driver_opts",)),
                *_label_changes(seen, wanted),
            ]
            notes = ("its data is lost", *(() if found else (ONLY_HASH,)))
            yield Entry("recreate", "volume", step.name, "", "", _differences(project, ("volumes", keys[step.name]), found), notes)


def _containers(project: Project, snapshot: Snapshot, steps: Sequence[object], facts: Facts) -> Iterator[Entry]:
    seen = {container.id: container for container in snapshot.containers}
    removed = {step.id: step for step in steps if isinstance(step, RemoveContainer)}
    by_name = {step.name: step for step in removed.values()}
    stopped = {step.id: step for step in steps if isinstance(step, StopContainer)}
    made: set[str] = set()
    for step in steps:
        if isinstance(step, CreateContainer):
            old = step.replaces or (by_name[step.name].id if step.name in by_name else "")
            made |= {step.name, *([seen[old].name] if old else [])}
            yield _recreated(project, seen[old], step, by_name, facts) if old else Entry("create", "container", step.name, step.service)
    yield from (Entry("run", "pre_start", step.service, step.service) for step in steps if isinstance(step, PreStart))
    for id, step in removed.items():
        if step.name not in made:
            yield Entry("remove", "container", step.name, step.service, step.because, notes=_lost(seen[id]))
    starts = {step.id: step for step in steps if isinstance(step, StartContainer) and step.id}
    for id, start in starts.items():
        because = stopped[id].because if id in stopped else ""
        if id in stopped:
            yield Entry("restart", "container", start.name, start.service, because)
        elif not seen[id].at_work:
            yield Entry("start", "container", start.name, start.service, f"is {seen[id].state}")
    for id, stop in stopped.items():
        if id not in starts and id not in removed and stop.name not in made:
            yield Entry("stop", "container", stop.name, stop.service, stop.because)


def _recreated(project: Project, old: Seen, step: CreateContainer, removed: Mapping[str, RemoveContainer], facts: Facts) -> Entry:
    because = step.because or (removed[step.name].because if step.name in removed else "")
    found: tuple[Difference, ...] = ()
    notes: list[str] = []
    if because == "configuration changed":
        known = facts.known.get(old.id)
        found = _differences(project, ("services", step.service), changes(known.before, known.after)) if known else ()
        if not found:
            notes.append(ONLY_HASH if known is None or known.partly else "its configuration hash differs, though no key does")
    elif because == "image changed":
        image = project.image_of(project.services[step.service])
        notes.append(f"{image} is another image now than {ids.short(old.labels.get(ids.IMAGE) or old.image_id)}, which it was made from")
    anonymous = _anonymous(project, step.service, old)
    if anonymous and step.replaces:
        gets = "gets new anonymous volumes for" if facts.renew_volumes else "keeps its anonymous volumes:"
        notes.append(f"{gets} {', '.join(anonymous)}")
    return Entry("recreate", "container", step.name, step.service, because, found, tuple(notes))


def _anonymous(project: Project, service: str, container: Seen) -> list[str]:
    """Where it has volumes without a name in the file."""
    named = {v.target for v in project.services[service].volumes if v.source}
    mounts = container.document.get("Mounts") or ()
    return sorted(m["Destination"] for m in mounts if m.get("Type") == "volume" and m.get("Destination") not in named)


def _lost(container: Seen) -> tuple[str, ...]:
    return (f"is {container.state} now",) if not container.running else ()


def _differences(project: Project, below: tuple[str, ...], found: Sequence[Change]) -> tuple[Difference, ...]:
    return tuple(Difference(dotted(c.path), _nearest(project, (*below, *c.path)), c.before, c.after) for c in found)


def _nearest(project: Project, path: tuple[str | int, ...]) -> Place | None:
    """Where it is written, or what is around it."""
    for end in range(len(path), 1, -1):
        found = place(project, path[:end])
        if found is not None:
            return found
    return None


# --- forms


def as_text(found: View, cwd: str) -> str:
    """An entry a line, its differences and what follows below it; the sum at the end."""
    lines: list[str] = []
    for entry in found.entries:
        because = f": {entry.because}" if entry.because else ""
        lines.append(f"{ACTIONS[entry.action]} {entry.action} {entry.kind} {entry.name}{because}")
        rows = [(_where(d.place, cwd), d.path, f"{_shown(d.before)} -> {_shown(d.after)}") for d in entry.differences]
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        lines += [f"    {where.ljust(widths[0])}  {path.ljust(widths[1])}  {what}".rstrip() for where, path, what in rows]
        lines += [f"    {note}" for note in entry.notes]
    lines.append(_sum(found))
    return "".join(f"{line}\n" for line in lines)


def _sum(found: View) -> str:
    if not found.entries:
        return "Nothing to do: " + (f"{_many(len(found.unchanged))} as the file says." if found.unchanged else "no containers are wanted.")
    counts = {action: sum(e.kind == "container" and e.action == action for e in found.entries) for action in COUNTED}
    told = [f"{count} to {action}" for action, count in counts.items() if count]
    return f"Containers: {', '.join([*told, f'{len(found.unchanged)} unchanged'])}."


def _many(count: int) -> str:
    return "1 container is" if count == 1 else f"{count} containers are"


def _where(at: Place | None, cwd: str) -> str:
    if at is None:
        return "(default)"
    inside = at.file.startswith(cwd.rstrip("/") + "/")
    return f"{posixpath.relpath(at.file, cwd) if inside else at.file}:{at.line}"


def _shown(value: Any) -> str:
    return "(nothing)" if value is MISSING or value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def as_json(found: View) -> str:
    document = {
        "project": found.project,
        "changes": found.changes,
        "actions": [_row(entry) for entry in found.entries],
        "unchanged": list(found.unchanged),
        "warnings": list(found.warnings),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _row(entry: Entry) -> Document:
    row: Document = {"action": entry.action, "kind": entry.kind, "name": entry.name, "service": entry.service, "because": entry.because}
    row["differences"] = [_difference(d) for d in entry.differences]
    return {**row, "notes": list(entry.notes)}


def _difference(found: Difference) -> Document:
    """before and after: absent where there is no value."""
    row: Document = {"path": found.path}
    if found.place is not None:
        row |= {"file": found.place.file, "line": found.place.line, "column": found.place.column}
    return row | {name: value for name, value in (("before", found.before), ("after", found.after)) if value is not MISSING}
