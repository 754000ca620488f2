"""A Dockerfile as stages of instructions with places, and the build checks that need nothing but its text. Pure.

The checks (rules, names, texts) are BuildKit's: https://docs.docker.com/reference/build-checks/
Those that need values of variables are found by the planner (`stages.py`), which reports in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from compose_lite.build.dockerfile import instructions as ins
from compose_lite.build.dockerfile import lines
from compose_lite.build.dockerfile.instructions import (
    Arg,
    Command,
    Copy,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Shell,
    Stage,
    Word,
)
from compose_lite.build.dockerfile.lines import Line, Span
from compose_lite.errors import BuildError, Place

RULES = {
    "StageNameCasing": "stage-name-casing",
    "FromAsCasing": "from-as-casing",
    "NoEmptyContinuation": "no-empty-continuation",
    "ConsistentInstructionCasing": "consistent-instruction-casing",
    "DuplicateStageName": "duplicate-stage-name",
    "ReservedStageName": "reserved-stage-name",
    "JSONArgsRecommended": "json-args-recommended",
    "MaintainerDeprecated": "maintainer-deprecated",
    "UndefinedArgInFrom": "undefined-arg-in-from",
    "WorkdirRelativePath": "workdir-relative-path",
    "UndefinedVar": "undefined-var",
    "MultipleInstructionsDisallowed": "multiple-instructions-disallowed",
    "LegacyKeyValueFormat": "legacy-key-value-format",
    "RedundantTargetPlatform": "redundant-target-platform",
    "SecretsUsedInArgOrEnv": "secrets-used-in-arg-or-env",
    "InvalidDefaultArgInFrom": "invalid-default-arg-in-from",
    "FromPlatformFlagConstDisallowed": "from-platform-flag-const-disallowed",
    "CopyIgnoredFile": "copy-ignored-file",
    "ExposeProtoCasing": "expose-proto-casing",
    "ExposeInvalidFormat": "expose-invalid-format",
}
EXPERIMENTAL = frozenset({"CopyIgnoredFile", "InvalidDefinitionDescription"})
_SECRET = re.compile(r"(?:^|_)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Warning:
    """A finding of a check."""

    rule: str
    says: str
    span: Span

    @property
    def url(self) -> str:
        return f"https://docs.docker.com/go/dockerfile/rule/{RULES[self.rule]}/"


@dataclass(slots=True)
class Dockerfile:
    """globals: the ARGs in front of the first FROM."""

    file: str
    source: list[str]
    escape: str
    globals: list[Arg]
    stages: list[Stage]
    warnings: list[Warning] = field(default_factory=list)
    skip: frozenset[str] = frozenset()
    """Rules that `# check=skip=...` silences; `all` for every one."""
    fatal: bool = False
    experimental: frozenset[str] = frozenset()
    """Rules that are only looked for where they are asked for (`# check=experimental=...`)."""

    def warn(self, rule: str, says: str, span: Span) -> None:
        found = Warning(rule, says, span)
        if rule in EXPERIMENTAL and not self.experimental & {rule, "all"}:
            return
        if rule not in self.skip and "all" not in self.skip and found not in self.warnings:
            self.warnings.append(found)

    def error(self, error: BuildError, line: Line) -> BuildError:
        """The error with the place of the line."""
        if error.place is None:
            error.place, error.lines = Place(self.file, line.span.first), (line.span.first, line.span.last)
        return error


def parse(content: bytes, file: str = "Dockerfile") -> Dockerfile:
    """All stages; BuildError with place, `dockerfile parse error on line N: ...` as BuildKit says it."""
    text = lines.read(content, file)
    source = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
    found = Dockerfile(file, [line.rstrip("\r") for line in source], text.escape, [], [])
    _check_directive(found, text.directives.get("check", ""))
    for span in text.empty_continuations:
        found.warn("NoEmptyContinuation", "Empty continuation line", Span(span.last, span.last))
    for line in text.lines:
        try:
            _place(found, ins.parse(line))
        except BuildError as error:
            if error.place is None and not error.says.startswith("no build stage"):
                error.says = f"dockerfile parse error on line {line.span.first}: {error.says}"
            raise found.error(error, line) from None
    if not found.stages:
        raise BuildError("dockerfile", "dockerfile contains no stages to build", place=Place(file))
    _check(found, text.lines)
    return found


def onbuild(trigger: str, of: Dockerfile, span: Span) -> Instruction:
    """A stored trigger as an instruction that stands where the FROM stands."""
    try:
        line = lines.read(trigger.encode(), of.file).lines[0]
        return ins.parse(Line(line.keyword, line.args, span, line.original, line.flags, line.json, line.heredocs))
    except BuildError as error:
        raise BuildError(
            "dockerfile", f"the base image's ONBUILD trigger cannot be used: {error.says}", place=Place(of.file, span.first)
        ) from error


def _place(found: Dockerfile, instruction: Instruction) -> None:
    if isinstance(instruction, From):
        found.stages.append(Stage(len(found.stages), instruction))
    elif found.stages:
        found.stages[-1].instructions.append(instruction)
    elif isinstance(instruction, Arg):
        found.globals.append(instruction)
    else:
        raise BuildError("dockerfile", "no build stage in current context")


def _check_directive(found: Dockerfile, text: str) -> None:
    """`skip=A,B;error=true;experimental=A`."""
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        key, _, value = part.partition("=")
        if key.strip().lower() == "skip":
            found.skip = frozenset(rule.strip() for rule in value.split(","))
        elif key.strip().lower() == "experimental":
            found.experimental = frozenset(rule.strip() for rule in value.split(","))
        elif key.strip().lower() == "error":
            found.fatal = value.strip().lower() in ("true", "1")


# Checks


def _check(found: Dockerfile, all_lines: Iterable[Line]) -> None:
    names: set[str] = set()
    for stage in found.stages:
        _check_from(found, stage, names)
        _check_repeated(found, stage)
        shell = False  # who has chosen a shell means it
        for instruction in stage.instructions:
            shell = shell or isinstance(instruction, Shell)
            if not (shell and isinstance(instruction, Command)):
                _check_one(found, instruction)
    for arg in found.globals:
        _check_one(found, arg)
    _check_casing(found, list(all_lines))
    found.warnings.sort(key=lambda w: w.span.first)


def _check_from(found: Dockerfile, stage: Stage, names: set[str]) -> None:
    start, span = stage.start, stage.start.line.span
    if not start.name:
        written = ""
    else:
        written, word = start.line.args[2], start.line.args[1]
        if written != written.lower():
            found.warn("StageNameCasing", f"Stage name '{written}' should be lowercase", span)
        keyword = start.line.keyword
        if (keyword.isupper() and not word.isupper()) or (keyword.islower() and not word.islower()):
            found.warn("FromAsCasing", f"'{word}' and '{keyword}' keywords' casing do not match", span)
        if start.name in ("scratch", "context"):
            found.warn("ReservedStageName", f'Stage name should not use the same name as reserved stage "{start.name}"', span)
        if start.name in names:
            found.warn("DuplicateStageName", f'Duplicate stage name "{start.name}", stage names should be unique', span)
        names.add(start.name)
    platform = start.platform
    if platform and "$" not in platform and not (start.name and platform.rpartition("/")[2] in start.name):
        found.warn("FromPlatformFlagConstDisallowed", f'FROM --platform flag should not use constant value "{platform}"', span)


def _check_repeated(found: Dockerfile, stage: Stage) -> None:
    kinds: dict[str, list[Instruction]] = {}
    for instruction in stage.instructions:
        if isinstance(instruction, Command | Healthcheck):
            kinds.setdefault(instruction.line.name.upper(), []).append(instruction)
    for name, all_of_it in kinds.items():
        for instruction in all_of_it[:-1]:
            says = f"Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            found.warn("MultipleInstructionsDisallowed", says, instruction.line.span)


def _check_one(found: Dockerfile, instruction: Instruction) -> None:
    line = instruction.line
    span = line.span
    if isinstance(instruction, Command) and not instruction.exec and instruction.args:
        name = line.name.upper()
        says = f"JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
        found.warn("JSONArgsRecommended", says, span)
    elif isinstance(instruction, Word) and line.name == "maintainer":
        found.warn("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", span)
    elif isinstance(instruction, Env | Label):
        if any(not separator for separator in line.args[2::3]):
            name = line.name.upper()
            says = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
            found.warn("LegacyKeyValueFormat", says, span)
        if isinstance(instruction, Env):
            _check_secrets(found, "ENV", (name for name, _ in instruction.pairs), span)
    elif isinstance(instruction, Arg):
        _check_secrets(found, "ARG", (name for name, _ in instruction.items), span)
    elif isinstance(instruction, Expose):
        for port in instruction.ports:
            _check_port(found, port, span)
    elif isinstance(instruction, Copy):
        pass  # what .dockerignore hides is found where the context is known


def _check_secrets(found: Dockerfile, kind: str, names: Iterable[str], span: Span) -> None:
    for name in names:
        if _SECRET.search(name) and not _PUBLIC.search(name):
            found.warn("SecretsUsedInArgOrEnv", f'Do not use ARG or ENV instructions for sensitive data ({kind} "{name}")', span)


def _check_port(found: Dockerfile, port: str, span: Span) -> None:
    if ":" in port and "$" not in port:
        says = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
        found.warn("ExposeInvalidFormat", says, span)
    _, slash, protocol = port.partition("/")
    if slash and protocol != protocol.lower() and "$" not in protocol:
        found.warn("ExposeProtoCasing", f"Defined protocol '{port}' in EXPOSE instruction should be lowercase", span)


def _check_casing(found: Dockerfile, all_lines: list[Line]) -> None:
    upper = sum(1 for line in all_lines if line.keyword.isupper())
    lower = sum(1 for line in all_lines if line.keyword.islower())
    majority = "lowercase" if lower > upper else "uppercase"
    for line in all_lines:
        fits = line.keyword.islower() if majority == "lowercase" else line.keyword.isupper()
        if not fits:
            says = f"Command '{line.keyword}' should match the case of the command majority ({majority})"
            found.warn("ConsistentInstructionCasing", says, line.span)


def excerpt(source: list[str], file: str, first: int, last: int) -> str:
    """The lines around a place, those of the place marked, as BuildKit shows them."""
    start, end = max(1, first - 2), min(len(source), last + 2)
    while end - start < 4 and start > 1:
        start -= 1
    if last - first > 10:
        end = min(end, last + 1)
    rows = [f"{file}:{first}", "-" * 20]
    rows += [f"{n:4} | {'>>>' if first <= n <= last else '   '} {source[n - 1]}" for n in range(start, end + 1)]
    return "\n".join([*rows, "-" * 20])
