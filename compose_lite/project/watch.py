"""develop.watch: which changed path means what for which service. Pure; cli/watching.py looks and acts.

https://github.com/compose-spec/compose-spec/blob/main/develop.md
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from compose_lite.errors import ProjectError
from compose_lite.ignore import Pattern, ignored, parse_ignore
from compose_lite.spec.models.project import Project, place
from compose_lite.spec.models.service import Hook, Service, Trigger

UNSAVED = "**/.git\n**/*~\n**/.*.swp\n**/.*.swx\n**/.*.swo\n**/.#*\n**/#*#\n**/4913\n**/___jb_*___\n**/.~lock*#\n**/.DS_Store\n"
"""What editors leave beside a file while they write it, and what nobody wants in a container."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One trigger of a service. path is absolute; the patterns hold for paths relative to it."""

    service: str
    action: str
    path: str
    target: str
    exec: Hook
    initial_sync: bool
    include: tuple[Pattern, ...]
    ignore: tuple[Pattern, ...]

    @property
    def syncs(self) -> bool:
        return self.action.startswith("sync")

    def takes(self, path: str) -> bool:
        """Whether a change of the path is one of this rule's."""
        if path == self.path:
            return True
        if not path.startswith(self.path.rstrip("/") + "/"):
            return False
        inner = os.path.relpath(path, self.path)
        return not ignored(inner, self.ignore) and (not self.include or ignored(inner, self.include))

    def inside(self, path: str) -> str:
        """Where the path lies in the container."""
        return self.target if path == self.path else posixpath.join(self.target, os.path.relpath(path, self.path))


@dataclass(slots=True)
class Work:
    """What a batch of changes asks for. sync: service -> place in its containers -> path here."""

    rebuild: set[str] = field(default_factory=set)
    sync: dict[str, dict[str, str]] = field(default_factory=dict)
    restart: set[str] = field(default_factory=set)
    run: dict[str, list[Hook]] = field(default_factory=dict)


def rules_of(project: Project, services: Iterable[str], dockerignore: Callable[[str], str]) -> tuple[list[Rule], list[str]]:
    """(the rules of these services, warnings). dockerignore: a build context's .dockerignore. Raises ProjectError."""
    rules, warnings = [], []
    for name in services:
        service = project.services[name]
        left_out = dockerignore(service.build.context) if service.build else ""
        for number, trigger in enumerate(service.develop.watch if service.develop else ()):
            _check(project, service, trigger, number)
            bound = [v for v in service.volumes if v.type == "bind" and v.source == trigger.path]
            if bound and trigger.action.startswith("sync"):
                warnings.append(f"path '{trigger.path}' also declared by a bind mount volume, this path won't be monitored!")
                continue
            rules.append(_rule(service, trigger, left_out))
    if not rules:
        says = "none of the selected services is configured for watch, consider setting a 'develop' section"
        raise ProjectError("watch-nothing", says, remedy="Say under `develop.watch` which changes mean what.")
    return rules, warnings


def _check(project: Project, service: Service, trigger: Trigger, number: int) -> None:
    if trigger.action == "rebuild" and service.build is None:
        where = place(project, ("services", service.name, "develop", "watch", number))
        says = f'can\'t watch service "{service.name}" with action rebuild without a build context'
        raise ProjectError("watch-rebuild", says, place=where, remedy="Give the service a `build:`, or sync instead.")


def _rule(service: Service, trigger: Trigger, dockerignore: str) -> Rule:
    """The .dockerignore holds for what lies in the build context."""
    ignore = [*parse_ignore(UNSAVED), *parse_ignore("\n".join(trigger.ignore))]
    context = service.build.context if service.build else ""
    if context and trigger.path == context:
        ignore = [*parse_ignore(dockerignore), *ignore]
    include = parse_ignore("\n".join(trigger.include))
    path = trigger.path.rstrip("/") or "/"
    return Rule(service.name, trigger.action, path, trigger.target, trigger.exec, trigger.initial_sync, tuple(include), tuple(ignore))


def work(rules: Sequence[Rule], paths: Iterable[str]) -> Work:
    """What the changed paths ask for. A service that is rebuilt needs nothing else; of several rules that take a path all count."""
    made = Work()
    for path in sorted(set(paths)):
        for rule in rules:
            if not rule.takes(path):
                continue
            if rule.action == "rebuild":
                made.rebuild.add(rule.service)
            if rule.syncs:
                made.sync.setdefault(rule.service, {})[rule.inside(path)] = path
            if rule.action in ("restart", "sync+restart"):
                made.restart.add(rule.service)
            if rule.action == "sync+exec" and rule.exec not in made.run.setdefault(rule.service, []):
                made.run[rule.service].append(rule.exec)
    for service in made.rebuild:
        made.sync.pop(service, None)
        made.run.pop(service, None)
        made.restart.discard(service)
    return made


def initial(rules: Sequence[Rule], walked: Mapping[str, Sequence[str]]) -> Work:
    """What `initial_sync` asks for at the beginning. walked: a rule's path -> the files in it."""
    made = Work()
    for rule in rules:
        if rule.syncs and rule.initial_sync:
            for path in walked.get(rule.path, ()):
                if rule.takes(path):
                    made.sync.setdefault(rule.service, {})[rule.inside(path)] = path
    return made
