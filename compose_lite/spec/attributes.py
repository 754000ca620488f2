"""What the fields of the models say, put together: the JSON Schema of their blocks, and their rules by path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from compose_lite.spec.models import forms, resources, service
from compose_lite.spec.models.forms import Said, Schema
from compose_lite.spec.models.values import Model
from compose_lite.spec.patterns import ANY, Pattern

SECTIONS: dict[str, type[Model]] = {
    "services": service.Service,
    "networks": resources.Network,
    "volumes": resources.Volume,
    "secrets": resources.FileObject,
    "configs": resources.FileObject,
    "models": resources.LanguageModel,
}
FORMS: dict[str, Schema] = {
    **dict.fromkeys(("str", "Duration"), forms.STRING),
    **dict.fromkeys(("Int", "Count", "Size", "Small", "DeviceCount"), forms.COUNT),
    **dict.fromkeys(("Float32", "SwapSize", "FileMode"), forms.AMOUNT),
    **dict.fromkeys(("Mapping", "TextMapping", "SshKeys"), forms.ref("key_values")),
    "Bool": forms.FLAG,
    "AnyText": forms.FLAG,
    "Strings": forms.STRINGS,
    "Command": forms.COMMAND,
    "Hosts": forms.ref("hosts"),
    "Ulimits": forms.ref("ulimits"),
}
"""The form of a type; that of a model is its block."""
_PART = re.compile(r"(?:list\[|dict\[str, )?(\w+)")


def said(kind: type[Model]) -> Iterator[tuple[str, Said, str]]:
    """(attribute, what its field says, its type as written) of all that a file can have."""
    for name, field in kind.model_fields.items():
        extra = field.json_schema_extra
        one = extra.get("said") if isinstance(extra, dict) else None
        if isinstance(one, Said):
            yield name, one, str(kind.__annotations__[name]).removesuffix(" | None")


def block_of(kind: type[Model], without: tuple[str, ...] = (), needs: tuple[str, ...] | None = None, closed: bool = True) -> Schema:
    """The mapping that a model is in a file."""
    keys = {name: {**_form(one, type_), "description": one.says} for name, one, type_ in said(kind) if name not in without}
    found: Schema = {"type": "object", "properties": keys}
    if not closed:
        return found
    found["additionalProperties"] = False
    needed = kind.needed if needs is None else needs
    if needed:
        found["required"] = list(needed)
    if kind.own_keys:
        found["patternProperties"] = {"^x-": {}}
    return found


def _form(one: Said, type_: str) -> Schema:
    if one.form is not None:
        form: Schema = resolved(one.form)
        return form
    if type_ in FORMS:
        return FORMS[type_]
    model = _model(type_)
    assert model is not None, type_
    return forms.array(block_of(model)) if type_.startswith("list[") else block_of(model)


def resolved(form: Any) -> Any:
    """The form with blocks of models (forms.block) put in."""
    if isinstance(form, forms.Block):
        return block_of(form.kind, form.without, form.needs, form.closed)
    if isinstance(form, dict) and "or_null" in form:
        return {**resolved(form["or_null"]), "type": ["object", "null"]}
    if isinstance(form, dict):
        return {key: resolved(value) for key, value in form.items()}
    return [resolved(value) for value in form] if isinstance(form, list) else form


def _model(type_: str) -> type[Model] | None:
    """The model in `X`, `list[X]` or `dict[str, X | None]`."""
    found = _PART.match("dict[str, Ulimit]" if type_ == "Ulimits" else type_)
    kind = found and (getattr(service, found[1], None) or getattr(resources, found[1], None))
    return kind if isinstance(kind, type) and issubclass(kind, Model) else None


def rules(word: str) -> dict[Pattern, str]:
    """Path -> what the field there says under the word: merge, once, long, cast. Entries of lists and mappings are ANY."""
    found: dict[Pattern, str] = {}
    for section, kind in SECTIONS.items():
        _collect(kind, (section, ANY), word, found)
    return found


def _collect(kind: type[Model], path: Pattern, word: str, found: dict[Pattern, str]) -> None:
    for name, one, type_ in said(kind):
        here = (*path, name)
        each = {"merge": one.each, "cast": one.cast_each}.get(word, "")
        for at, rule in ((here, getattr(one, word)), ((*here, ANY), each)):
            if rule:
                found[at] = rule
        model = _model(type_)
        if model is not None and one.inner:
            many = type_.startswith(("list[", "dict[")) or type_ == "Ulimits"
            _collect(model, (*here, ANY) if many else here, word, found)
