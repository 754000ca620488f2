"""The kinds of scalar and small collection that Compose attributes are made of, as pydantic types.

Each takes what the Compose language allows after interpolation (a string where a number is meant, a list where a
mapping is meant) and gives the one canonical Python value. Never reads files or the environment.
Words: https://github.com/compose-spec/compose-spec/blob/main/spec.md ("Specifying durations", "byte values").
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from compose_lite.spec.shellwords import split_words
from compose_lite.units import parse_duration, parse_size


class Model(BaseModel):
    """What all parts of a project have: frozen, `x-...` keys kept, numbers taken for strings."""

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True, protected_namespaces=(), defer_build=True)
    shown_when_zero: ClassVar[frozenset[str]] = frozenset()
    """Fields that are written out whenever they are set, be it to 0, "" or []."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Attributes that have to be written."""
    own_keys: ClassVar[bool] = True
    """Whether it may have `x-...` keys."""

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself: nobody changes it. A field's default is copied for each value that is made."""
        return self

    @property
    def extensions(self) -> dict[str, Any]:
        """The `x-...` keys of this mapping."""
        return self.__pydantic_extra__ or {}


LIST: Any = Field(default_factory=list)
DICT: Any = Field(default_factory=dict)
"""Empty unless written; made anew a model, which is faster than pydantic's copying of a default."""


class Kind:
    """Marks how a field is written out again (render.py)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Kind({self.name!r})"


DURATION, SIZE, MODE, HOSTS, SHORT_FLOAT = Kind("duration"), Kind("size"), Kind("mode"), Kind("hosts"), Kind("float32")

TRUE_WORDS, FALSE_WORDS = ("y", "yes", "on"), ("n", "no", "off")


def boolean(text: str) -> tuple[bool, str | None]:
    """The truth a string means and a warning for the words of YAML 1.1. Raises ValueError."""
    word = text.lower()
    if word in ("true", "false"):
        return word == "true", None
    if word in TRUE_WORDS:
        return True, f'"{text}" for boolean is not supported by YAML 1.2, please use `true`'
    if word in FALSE_WORDS:
        return False, f'"{text}" for boolean is not supported by YAML 1.2, please use `false`'
    raise ValueError(f"invalid boolean: {text}")


def _bool(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    truth, warning = boolean(value)
    if warning and info.context:
        info.context["warn"](warning)
    return truth


def _integer(value: Any) -> Any:
    if isinstance(value, float):
        return int(value)
    if isinstance(value, str):
        try:
            return int(value) if value.isascii() and "_" not in value and value == value.strip() else int("x")
        except ValueError:
            raise ValueError(f"invalid number {value!r}") from None
    return value


def _unsigned(value: Any) -> Any:
    number = _integer(value)
    if isinstance(number, int) and not isinstance(number, bool) and number < 0:
        raise ValueError(f"{number} is negative")
    return number


def _small(value: Any) -> Any:
    """Docker Compose reads no text here, although the schema lets it pass."""
    if isinstance(value, str):
        raise ValueError(f"expected a number, not the text {value!r}")
    return _unsigned(value)


def short_float(value: float) -> float:
    """The value as a 32-bit float would keep it, in its shortest decimal form (0.1 stays 0.1)."""
    single = struct.unpack("f", struct.pack("f", value))[0]
    for digits in range(6, 10):
        text = f"{single:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == single:
            return float(text)
    return float(single)


def _short_float(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"invalid number {value!r}: invalid syntax") from None
    try:
        return short_float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    except OverflowError:
        raise ValueError(f"number {value} is out of range") from None


def _duration(value: Any) -> Any:
    return parse_duration(str(value), days=True) if not isinstance(value, bool) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str | float) else value


def _file_mode(value: Any) -> Any:
    """Octal when it is a string; a number is meant as it is (YAML already read 0440 as octal)."""
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError(f"invalid file mode {value!r}: expected octal digits") from None
    return int(value) if isinstance(value, float) else value


def go_text(value: Any) -> str:
    """A scalar as Go prints it: booleans in lower case, whole floats without a point, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    return str(value)


def go_float(value: float) -> str:
    """A float64 as Go's %v: the shortest digits, with an exponent below 1e-4 and from 1e+06 on."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    _, digits, power = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    exponent = len(digits) + int(power) - 1
    sign = "-" if str(value).startswith("-") else ""
    if value and not -4 <= exponent < 6:
        return f"{sign}{text[0]}{'.' if len(text) > 1 else ''}{text[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if not value:
        return sign + "0"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{text}"
    whole = text[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}{'.' + text[exponent + 1 :] if len(text) > exponent + 1 else ''}"


def _mapping(value: Any) -> Any:
    """`K=V` entries or a mapping; a key without value keeps None (it is taken from the environment)."""
    if isinstance(value, dict):
        return {k: None if v is None else go_text(v) for k, v in value.items()}
    if not isinstance(value, list):
        return value
    found: dict[str, str | None] = {}
    for entry in value:
        key, equals, text = go_text(entry).partition("=")
        if key and key[-1].isspace():
            raise ValueError(f"environment variable {key} is declared with a trailing space")
        found[key] = text if equals else None
    return found


def _text_mapping(value: Any) -> Any:
    """As _mapping, but a key without value has the empty string."""
    if isinstance(value, dict):
        return {k: go_text(v) for k, v in value.items()}
    if not isinstance(value, list):
        return value
    parts = (go_text(entry).partition("=") for entry in value)
    return {key: text for key, _, text in parts}


def _multi_options(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: [go_text(e) for e in v] if isinstance(v, list) else [go_text(v)] for k, v in value.items()}


def _hosts(value: Any) -> Any:
    """`host=ip`, `host:ip` or a mapping to one or more addresses; brackets around an IPv6 address go."""
    found: dict[str, list[str]] = {}
    if isinstance(value, dict):
        found = {k: [go_text(e) for e in v] if isinstance(v, list) else [go_text(v)] for k, v in value.items()}
    elif isinstance(value, list):
        for entry in map(go_text, value):
            host, equals, address = entry.partition("=")
            if not equals:
                host, equals, address = entry.partition(":")
            if not equals:
                raise ValueError(f"invalid additional host, missing IP: {entry}")
            found.setdefault(host, []).extend(address.split(","))
    else:
        return value
    for host, addresses in found.items():
        if not host or ":" in host or "=" in host:
            raise ValueError(f"bad host name '{host}'")
        found[host] = [a[1:-1] if len(a) > 2 and a[0] == "[" and a[-1] == "]" else a for a in addresses]
    return found


def _strings(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(v, float) for v in value):
        raise ValueError("expected whole numbers or texts")
    return [go_text(v) for v in value] if isinstance(value, list) else value


def _command(value: Any) -> Any:
    return split_words(value) if isinstance(value, str) else value


def _health_test(value: Any) -> Any:
    return ["CMD-SHELL", value] if isinstance(value, str) else value


def _device_count(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lower() == "all":
        return -1
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"invalid value {value!r}, the only value allowed is 'all' or a number") from None


def _ssh(value: Any) -> Any:
    return {k: None if v is None else go_text(v) for k, v in value.items()} if isinstance(value, dict) else value


def _text(value: Any) -> Any:
    return go_text(value) if isinstance(value, bool | float) else value


Bool = Annotated[bool, BeforeValidator(_bool)]
Int = Annotated[int, BeforeValidator(_integer)]
Count = Annotated[int, BeforeValidator(_unsigned)]
Small = Annotated[int, BeforeValidator(_small)]
Float32 = Annotated[float, BeforeValidator(_short_float), SHORT_FLOAT]
Duration = Annotated[int, BeforeValidator(_duration), DURATION]
"""Nanoseconds."""
Size = Annotated[int, BeforeValidator(_size), SIZE]
"""Bytes."""
SwapSize = Annotated[int, BeforeValidator(lambda value: -1 if value == "-1" else _size(value)), SIZE]
"""Bytes, or -1 for no limit: also as the text that `config` prints, which Docker Compose prints but does not read."""
FileMode = Annotated[int, BeforeValidator(_file_mode), MODE]
AnyText = Annotated[str, BeforeValidator(_text)]
OptionalText = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Strings = Annotated[list[str], BeforeValidator(_strings)]
Command = Annotated[list[str], BeforeValidator(_command)]
HealthTest = Annotated[list[str], BeforeValidator(_health_test)]
Mapping = Annotated[dict[str, str | None], BeforeValidator(_mapping)]
"""Values may be None: to be taken from the environment."""
TextMapping = Annotated[dict[str, str], BeforeValidator(_text_mapping)]
MultiOptions = Annotated[dict[str, list[str]], BeforeValidator(_multi_options)]
Hosts = Annotated[dict[str, list[str]], BeforeValidator(_hosts), HOSTS]
DeviceCount = Annotated[int, BeforeValidator(_device_count)]
"""-1 is all."""
SshKeys = Annotated[dict[str, str | None], BeforeValidator(_ssh)]
