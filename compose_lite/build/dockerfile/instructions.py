"""What the instructions of a Dockerfile mean: one dataclass an instruction, with its flags, not yet expanded. Pure.

`parse(line)` refuses what BuildKit refuses, with its words; places are added by the caller, who knows the file.
Reference: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from compose_lite.build.dockerfile.lines import KEYWORDS, Heredoc, Line, heredoc
from compose_lite.errors import BuildError, nearest
from compose_lite.units import parse_duration, parse_size

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
MOUNT_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")


@dataclass(frozen=True, slots=True)
class Arg:
    """items: (name, default); a default of None is none at all."""

    line: Line
    items: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class From:
    line: Line
    base: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A `RUN --mount`; texts may hold variables. readonly None: the type's own default."""

    kind: str = "bind"
    source: str = ""
    target: str = ""
    from_: str = ""
    id: str = ""
    readonly: bool | None = None
    sharing: str = ""
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    required: bool = False
    env: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """args: one text for the shell, or (exec) words as they are."""

    line: Line
    args: tuple[str, ...]
    exec: bool
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    security: str = "sandbox"


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY, and ADD when add is True."""

    line: Line
    sources: tuple[str, ...]
    target: str
    heredocs: tuple[Heredoc, ...] = ()
    add: bool = False
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Env:
    line: Line
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Label:
    """pairs: (name, value, whether quotes and variables of the name count: not in the old form)."""

    line: Line
    pairs: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """CMD, or ENTRYPOINT when entrypoint is True."""

    line: Line
    args: tuple[str, ...]
    exec: bool
    entrypoint: bool = False


@dataclass(frozen=True, slots=True)
class Expose:
    line: Line
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    line: Line
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """USER, WORKDIR, STOPSIGNAL and MAINTAINER: one text."""

    line: Line
    text: str


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """test: as in the image's configuration, e.g. ("CMD-SHELL", "curl ..."). Durations in nanoseconds, 0 if not given."""

    line: Line
    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Shell:
    line: Line
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Onbuild:
    line: Line
    text: str


Instruction = Arg | From | Run | Copy | Env | Label | Command | Expose | Volume | Word | Healthcheck | Shell | Onbuild


def parse(line: Line) -> Instruction:
    """The instruction that the line means; BuildError `dockerfile` without a place where it means none."""
    maker = _MAKERS.get(line.name)
    if maker is None:
        hint = nearest(line.name, KEYWORDS)
        more = f" (did you mean {hint.split(chr(39))[1].upper()}?)" if hint else ""
        raise _bad(f"unknown instruction: {line.keyword}{more}")
    return maker(line, _Flags(line))


class _Flags:
    """The flags of one instruction; each is taken once, what is left over is unknown."""

    def __init__(self, line: Line) -> None:
        self._name = line.name.upper()
        self._given: dict[str, list[str | None]] = {}
        for flag in line.flags:
            name, sign, value = flag[2:].partition("=")
            self._given.setdefault(name, []).append(value if sign else None)

    def text(self, name: str) -> str:
        values = self._given.pop(name, [])
        if len(values) > 1:
            raise _bad(f"duplicate flag specified: {name}")
        if values and values[0] is None:
            raise _bad(f"missing a value on flag: {name}")
        return (values[0] or "") if values else ""

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._given.pop(name, [])
        if None in values:
            raise _bad(f"missing a value on flag: {name}")
        return tuple(v for v in values if v is not None)

    def boolean(self, name: str) -> bool | None:
        values = self._given.pop(name, [])
        if len(values) > 1:
            raise _bad(f"duplicate flag specified: {name}")
        if not values:
            return None
        return _boolean(values[0], f"boolean flag {name}")

    def done(self, known: Sequence[str]) -> None:
        for name in self._given:
            hint = nearest(name, known)
            more = f" (did you mean {hint.split(chr(39))[1]}?)" if hint else ""
            raise _bad(f"unknown flag: --{name}{more}")


def _boolean(value: str | None, what: str) -> bool:
    if value is None or value.lower() in ("true", "1", "t"):
        return True
    if value.lower() in ("false", "0", "f"):
        return False
    raise _bad(f"expecting {what} to be true or false, not: {value}")


def _no_flags(flags: _Flags) -> None:
    flags.done(())


def _at_least_one(line: Line) -> None:
    if not line.args:
        raise _bad(f"{line.name.upper()} requires at least one argument")


def _exactly_one(line: Line) -> str:
    if len(line.args) != 1:
        raise _bad(f"{line.name.upper()} requires exactly one argument")
    return line.args[0]


def _from(line: Line, flags: _Flags) -> From:
    platform = flags.text("platform")
    flags.done(("platform",))
    args = line.args
    if not (len(args) == 1 or (len(args) == 3 and args[1].lower() == "as")):
        raise _bad("FROM requires either one or three arguments")
    name = args[-1].lower() if len(args) == 3 else ""
    if name and not _STAGE_NAME.fullmatch(name):
        raise _bad(f'invalid name for build stage: "{args[-1]}", name can\'t start with a number or contain symbols')
    return From(line, args[0], name, platform)


def _arg(line: Line, flags: _Flags) -> Arg:
    _no_flags(flags)
    _at_least_one(line)
    items: list[tuple[str, str | None]] = []
    for word in line.args:
        name, sign, value = word.partition("=")
        if not name:
            raise _bad("ARG names can not be blank")
        items.append((name, value if sign else None))
    return Arg(line, tuple(items))


def _run(line: Line, flags: _Flags) -> Run:
    mounts = tuple(_mount(text) for text in flags.texts("mount"))
    network, security = flags.text("network") or "default", flags.text("security") or "sandbox"
    flags.done(("mount", "network", "security"))
    if network not in ("default", "none", "host"):
        raise _bad(f"invalid network mode: {network}")
    if security not in ("sandbox", "insecure"):
        raise _bad(f"security {security!r} is not valid")
    return Run(line, line.args or ("",), line.json, mounts, network, security)


def _mount(text: str) -> Mount:
    values: dict[str, str | None] = {}
    for part in _comma_fields(text):
        key, sign, value = part.partition("=")
        key = key.lower()
        if not sign and key not in ("readonly", "ro", "readwrite", "rw", "required"):
            raise _bad(f"invalid field '{part}' must be a key=value pair")
        values[_MOUNT_KEYS.get(key, key)] = value if sign else None
        if _MOUNT_KEYS.get(key, key) not in _MOUNT_FIELDS:
            hint = nearest(key, _MOUNT_FIELDS)
            more = f" (did you mean {hint.split(chr(39))[1]}?)" if hint else ""
            raise _bad(f"unexpected key '{key}' in '{part}'{more}")
    kind = (values.pop("type", None) or "bind").lower()
    if kind not in MOUNT_TYPES:
        hint = nearest(kind, MOUNT_TYPES)
        raise _bad(f'unsupported mount type "{kind}"' + (f" (did you mean {hint.split(chr(39))[1]}?)" if hint else ""))
    return _checked(kind, values)


_MOUNT_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_MOUNT_FIELDS = (
    "type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required", "size", "mode", "uid", "gid", "env",
)  # fmt: skip


def _comma_fields(text: str) -> list[str]:
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise _bad(f"failed to parse csv mounts: {error}") from error


def _checked(kind: str, values: dict[str, str | None]) -> Mount:
    readonly = None
    if "readonly" in values:
        readonly = _boolean(values["readonly"], "readonly")
    elif "readwrite" in values:
        readonly = not _boolean(values["readwrite"], "readwrite")
    sharing = (values.get("sharing") or "").lower()
    if sharing and sharing not in SHARING:
        raise _bad(f'unsupported sharing value "{values["sharing"]}"')
    if sharing and kind != "cache":
        raise _bad(f"sharing=... is only allowed for cache mounts, not for type '{kind}'")
    if values.get("from") and kind in ("tmpfs", "secret", "ssh"):
        raise _bad(f'mount type "{kind}" does not support a from field')
    if kind == "secret" and readonly is not None:
        raise _bad("secret mounts are always read-only: readonly and readwrite are not allowed")
    target = values.get("target") or ""
    if kind == "secret" and not (values.get("id") or values.get("source") or target):
        raise _bad("invalid secret mount. one of source, target required")
    return Mount(
        kind,
        values.get("source") or "",
        target,
        values.get("from") or "",
        values.get("id") or "",
        readonly,
        sharing,
        _size(values.get("size")),
        _number(values.get("mode"), "mode", 8),
        _number(values.get("uid"), "uid", 10),
        _number(values.get("gid"), "gid", 10),
        "required" in values and _boolean(values["required"], "required"),
        values.get("env"),
    )


def _size(text: str | None) -> int:
    try:
        return parse_size(text) if text else 0
    except ValueError:
        raise _bad(f"invalid value for size: {text}") from None


def _number(text: str | None, what: str, base: int) -> int | None:
    if text is None:
        return None
    try:
        return int(text, base)
    except ValueError:
        raise _bad(f"invalid value {text} for {what}") from None


def _copy(line: Line, flags: _Flags) -> Copy:
    add = line.name == "add"
    values: dict[str, object] = {"chown": flags.text("chown"), "chmod": flags.text("chmod")}
    values["link"] = bool(flags.boolean("link"))
    values["exclude"] = flags.texts("exclude")
    known = ["chown", "chmod", "link", "exclude"]
    if add:
        values |= {"checksum": flags.text("checksum"), "keep_git": flags.boolean("keep-git-dir"), "unpack": flags.boolean("unpack")}
        known += ["checksum", "keep-git-dir", "unpack"]
    else:
        values |= {"from_": flags.text("from"), "parents": bool(flags.boolean("parents"))}
        known += ["from", "parents"]
    flags.done(known)
    if len(line.args) < 2:
        raise _bad(
            f"{line.name.upper()} requires at least two arguments, but only {len(line.args)} was provided. Destination could not be determined"  # noqa: E501
        )
    named = {document.name: document for document in line.heredocs}
    sources, documents = [], []
    for source in line.args[:-1]:
        announced = None if line.json else heredoc(source)
        if announced and announced.name in named:
            documents.append(named[announced.name])
        else:
            sources.append(source)
    target = line.args[-1]
    if not line.json and target.startswith("<<") and heredoc(target):
        raise _bad("COPY cannot accept a heredoc as a destination")
    return Copy(line, tuple(sources), target, tuple(documents), add, **values)  # type: ignore[arg-type]


def _env(line: Line, flags: _Flags) -> Env:
    _no_flags(flags)
    _at_least_one(line)
    pairs = tuple((line.args[i], line.args[i + 1]) for i in range(0, len(line.args), 3))
    if any(not name for name, _ in pairs):
        raise _bad("ENV names can not be blank")
    return Env(line, pairs)


def _label(line: Line, flags: _Flags) -> Label:
    _no_flags(flags)
    _at_least_one(line)
    pairs = tuple((line.args[i], line.args[i + 1], bool(line.args[i + 2])) for i in range(0, len(line.args), 3))
    if any(not name for name, _, _ in pairs):
        raise _bad("LABEL names can not be blank")
    return Label(line, pairs)


def _command(line: Line, flags: _Flags) -> Command:
    _no_flags(flags)
    entrypoint = line.name == "entrypoint"
    return Command(line, line.args, line.json, entrypoint)


def _expose(line: Line, flags: _Flags) -> Expose:
    _no_flags(flags)
    _at_least_one(line)
    return Expose(line, line.args)


def _volume(line: Line, flags: _Flags) -> Volume:
    _no_flags(flags)
    _at_least_one(line)
    paths = tuple(path.strip() for path in line.args)
    if not all(paths):
        raise _bad("VOLUME specified can not be an empty string")
    return Volume(line, paths)


def _word(line: Line, flags: _Flags) -> Word:
    _no_flags(flags)
    return Word(line, _exactly_one(line))


def _health(line: Line, flags: _Flags) -> Healthcheck:
    given: dict[str, int] = {}
    for flag in ("interval", "timeout", "start-period", "start-interval"):
        given[flag] = _duration(flags.text(flag), flag)
    retries_text = flags.text("retries")
    flags.done(("interval", "timeout", "start-period", "start-interval", "retries"))
    if not line.args:
        raise _bad("HEALTHCHECK requires at least one argument")
    kind, rest = line.args[0].upper(), line.args[1:]
    if kind == "NONE":
        if rest:
            raise _bad("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(line, ("NONE",))
    if kind != "CMD":
        raise _bad(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    if not rest:
        raise _bad("Missing command after HEALTHCHECK CMD")
    retries = 0
    if retries_text:
        try:
            retries = int(retries_text)
        except ValueError:
            raise _bad(f"--retries: {retries_text!r} is no number") from None
        if retries < 0:
            raise _bad(f"--retries cannot be negative ({retries})")
    test = ("CMD", *rest) if line.json else ("CMD-SHELL", *rest)
    return Healthcheck(line, test, given["interval"], given["timeout"], given["start-period"], given["start-interval"], retries)


def _duration(text: str, flag: str) -> int:
    if not text:
        return 0
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise _bad(f"--{flag}: {error}") from None
    if value < 0 or 0 < value < 1_000_000:
        raise _bad(f"Interval {flag!r} cannot be less than 1ms")
    return value


def _shell(line: Line, flags: _Flags) -> Shell:
    _no_flags(flags)
    if not line.json:
        raise _bad("SHELL requires the arguments to be in JSON form")
    if not line.args:
        raise _bad("SHELL requires at least one argument")
    return Shell(line, line.args)


def _onbuild(line: Line, flags: _Flags) -> Onbuild:
    _no_flags(flags)
    if line.inner is None:
        raise _bad("ONBUILD requires at least one argument")
    trigger = line.inner.name.upper()
    if trigger == "ONBUILD":
        raise _bad("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise _bad(f"{trigger} isn't allowed as an ONBUILD trigger")
    parse(line.inner)
    text = line.args[0]
    for document in line.heredocs:
        text += f"\n{document.content}{document.name}"
    return Onbuild(line, text)


_MAKERS: Mapping[str, Callable[[Line, _Flags], Instruction]] = {
    "add": _copy,
    "arg": _arg,
    "cmd": _command,
    "copy": _copy,
    "entrypoint": _command,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _health,
    "label": _label,
    "maintainer": _word,
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": _word,
    "user": _word,
    "volume": _volume,
    "workdir": _word,
}


def _bad(says: str) -> BuildError:
    return BuildError("dockerfile", says)


@dataclass(slots=True)
class Stage:
    """From one FROM to the next."""

    index: int
    start: From
    instructions: list[Instruction] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.start.name

    @property
    def shown(self) -> str:
        return self.name or f"stage-{self.index}"
