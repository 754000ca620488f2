"""What a field says of its attribute: how it is written in a file, how a later file changes it, what its short form is, a word of help.

`schema.py`, `merge.py`, `shortforms.py` and `interpolate.py` make their tables of it (`attributes.py` walks the models), so that a new
attribute is one field. The words for merging and short forms are names of functions there. Pure data; knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
FLAG: Schema = {"type": ["boolean", "string"]}
COUNT: Schema = {"type": ["integer", "string"]}
AMOUNT: Schema = {"type": ["number", "string"]}
SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
NAME = "^[a-zA-Z0-9._-]+$"


class Block:
    """In a form: the mapping of a model, some attributes left out, others needed. closed: no other keys."""

    def __init__(self, kind: Any, without: tuple[str, ...] = (), needs: tuple[str, ...] | None = None, closed: bool = True) -> None:
        self.kind, self.without, self.needs, self.closed = kind, without, needs, closed


Form = Schema | Block


def one_of(*choices: Form) -> Schema:
    return {"oneOf": list(choices)}


def array(items: Form, unique: bool = False) -> Schema:
    return {"type": "array", "items": items, **({"uniqueItems": True} if unique else {})}


def enum(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def keyed(pattern: str, value: Form, strict: bool = True) -> Schema:
    """A mapping whose keys are the user's."""
    return {"type": "object", "patternProperties": {pattern: value}, **({"additionalProperties": False} if strict else {})}


def or_null(block: Block) -> Schema:
    return {"or_null": block}


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def between(low: int, high: int | None = None) -> Schema:
    """A text, or a number within bounds."""
    bounds = {"minimum": low} if high is None else {"minimum": low, "maximum": high}
    return one_of(STRING, {"type": "integer", **bounds})


STRINGS = array(STRING)
UNIQUE = array(STRING, unique=True)
TEXTS = one_of(STRING, UNIQUE)
COMMAND = one_of(NULL, STRING, STRINGS)
OPTIONS = keyed("^.+$", {"type": ["string", "number"]}, strict=False)
TEXT_OR_NUMBER: Schema = {"type": ["string", "number"]}
PLAIN: Schema = {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True, slots=True)
class Said:
    """says: help for editors. form: JSON Schema; None: that of the field's type. merge: word of merge.py, each: for its entries.

    once: what makes entries of the list the same one (merge.py). long: word of shortforms.py. cast: what a text becomes before the form
    is looked at, cast_each: of its entries (interpolate.py). inner: whether the rules of the model in it count here.
    """

    says: str
    form: Form | None = None
    merge: str = ""
    each: str = ""
    once: str = ""
    long: str = ""
    cast: str = ""
    cast_each: str = ""
    inner: bool = True


def of(default: Any, says: str, form: Form | None = None, *, shown: bool = True, **rules: Any) -> Any:
    """A field of a model. default: list or dict: made anew for each; `...`: required. shown: whether `config` prints it."""
    said = Said(says, form, **rules)
    if default is list or default is dict:
        return Field(default_factory=default, exclude=not shown, json_schema_extra={"said": said})  # type: ignore[dict-item]
    return Field(default, exclude=not shown, json_schema_extra={"said": said})  # type: ignore[dict-item]
