"""A plan: steps as values, each with the reason for it and what it has to wait for. `str(plan)` is its text form.

`reconcile` makes plans, `converge` runs them; `up --dry-run`, tests and explanations read the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CreateNetwork:
    name: str
    body: Document = field(repr=False)

    def __str__(self) -> str:
        return f"create network {self.name}"


@dataclass(frozen=True, slots=True)
class CreateVolume:
    name: str
    body: Document = field(repr=False)

    def __str__(self) -> str:
        return f"create volume {self.name}"


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """Containers that are still on it are taken off."""

    name: str
    because: str = ""

    def __str__(self) -> str:
        return f"remove network {self.name}" + (f": {self.because}" if self.because else "")


@dataclass(frozen=True, slots=True)
class RemoveVolume:
    name: str
    because: str = ""

    def __str__(self) -> str:
        return f"remove volume {self.name}" + (f": {self.because}" if self.because else "")


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """A new container; replaces: the id and name of the one it takes the place of."""

    service: str
    number: int
    name: str
    replaces: str = ""
    replaced_name: str = ""
    because: str = ""

    def __str__(self) -> str:
        return f"recreate container {self.name}: {self.because}" if self.replaces else f"create container {self.name}"


@dataclass(frozen=True, slots=True)
class StopContainer:
    id: str
    name: str
    service: str
    because: str = ""

    def __str__(self) -> str:
        return f"stop container {self.name}" + (f": {self.because}" if self.because else "")


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    id: str
    name: str
    service: str
    because: str = ""

    def __str__(self) -> str:
        return f"remove container {self.name}" + (f": {self.because}" if self.because else "")


@dataclass(frozen=True, slots=True)
class StartContainer:
    """By the name it will have; id when it exists already."""

    service: str
    name: str
    id: str = ""

    def __str__(self) -> str:
        return f"start container {self.name}"


@dataclass(frozen=True, slots=True)
class PreStart:
    """The service's steps of `pre_start` that run once, with the mounts of this container of it."""

    service: str
    name: str
    id: str = ""

    def __str__(self) -> str:
        return f"run pre_start of {self.service}"


@dataclass(frozen=True, slots=True)
class AwaitCondition:
    """Waits until all containers of `needed` fulfil the condition, for the sake of `service`."""

    service: str
    needed: str
    condition: str
    required: bool
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"wait for {self.needed}: {self.condition}" + ("" if self.required else " (not required)")


@dataclass(frozen=True, slots=True)
class Rollout:
    """Running containers of a service are replaced, so many at a time (`deploy.update_config`). Seconds."""

    service: str
    replacements: tuple[CreateContainer, ...]
    order: str = "stop-first"
    parallelism: int = 1
    delay: float = 0.0
    monitor: float = 0.0
    failure_action: str = "pause"
    max_failure_ratio: float = 0.0

    def __str__(self) -> str:
        names = ", ".join(one.name for one in self.replacements)
        many = "all" if self.parallelism < 1 else str(self.parallelism)
        return f"replace containers {names}, {many} at a time, {self.order}: {self.replacements[0].because}"


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do: it is as wanted."""

    service: str
    name: str
    id: str

    def __str__(self) -> str:
        return f"keep container {self.name}"


Step = (
    CreateNetwork
    | RemoveNetwork
    | CreateVolume
    | RemoveVolume
    | CreateContainer
    | StopContainer
    | RemoveContainer
    | StartContainer
    | AwaitCondition
    | PreStart
    | Rollout
    | Keep
)


@dataclass(frozen=True, slots=True)
class Planned:
    step: Step
    after: tuple[int, ...] = ()  # numbers of steps, from 1


@dataclass(slots=True)
class Plan:
    """Steps in an order in which they could be run one by one."""

    steps: list[Planned] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, step: Step, after: Sequence[int] = ()) -> int:
        """Its number."""
        self.steps.append(Planned(step, tuple(sorted(set(after)))))
        return len(self.steps)

    def __str__(self) -> str:
        lines = []
        for number, planned in enumerate(self.steps, 1):
            after = f"  [after {', '.join(f'#{n}' for n in planned.after)}]" if planned.after else ""
            lines.append(f"#{number} {planned.step}{after}")
        return "\n".join(lines) + ("\n" if lines else "")

    def creations(self) -> list[CreateContainer]:
        """Of all containers, those of a rollout too."""
        found: list[CreateContainer] = []
        for planned in self.steps:
            if isinstance(planned.step, CreateContainer):
                found.append(planned.step)
            elif isinstance(planned.step, Rollout):
                found += planned.step.replacements
        return found

    @property
    def changes(self) -> bool:
        return any(not isinstance(p.step, Keep | AwaitCondition) for p in self.steps)
