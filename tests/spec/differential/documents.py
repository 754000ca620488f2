"""Random documents of the schema: every attribute in every form, half of them with one defect. The same seed, the same documents."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from tests.spec.differential.jsonschema import SCHEMA, Schema, kinds, resolved
from tests.spec.differential.words import KINDS, kind_at

KEYS: dict[str, tuple[str, ...]] = {
    "services": ("web", "db", "built"),
    "services.*.depends_on": ("db", "db", "built", "zz"),
    "services.*.networks": ("a", "default", "b", "zz"),
    "services.*.models": ("m", "m", "zz"),
    "services.*.ulimits": ("nofile", "core"),
    "services.*.extra_hosts": ("h", "i"),
    "networks": ("a", "default"),
    "volumes": ("data",),
    "secrets": ("a",),
    "configs": ("a",),
    "models": ("m",),
}
"""The keys of mappings where they mean something; elsewhere they are k, l and m."""
PLAIN = ("a", "b c", "x:y", "/z", "word")
RARE = frozenset({"name", "version", "include"})


class Maker:
    """Makes values of a schema."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def text(self, path: tuple[str, ...]) -> str:
        good, bad = KINDS.get(kind_at(path), (PLAIN, ()))
        return self.rng.choice(bad if bad and (not good or self.rng.random() < 0.04) else good)

    def value(self, schema: Schema, path: tuple[str, ...]) -> Any:
        schema, rng = resolved(schema), self.rng
        if "oneOf" in schema:
            return self.value(rng.choice(schema["oneOf"]), path)
        if "enum" in schema:
            return rng.choice(schema["enum"])
        wanted = kinds(schema)
        kind = rng.choice(wanted) if wanted else "string"
        if kind == "object":
            return self.mapping(schema, path)
        if kind == "array":
            return self.items(schema, path)
        if kind == "string" or (kind == "boolean" and kind_at(path) == "bool" and rng.random() < 0.2):
            return self.pattern(schema) if "pattern" in schema else self.text(path)
        if kind == "integer":
            return rng.choice([n for n in (0, 1, 2, 100) if schema.get("minimum", 0) <= n <= schema.get("maximum", n)])
        return {"number": rng.choice((0, 1, 2, 0.5, 100)), "boolean": rng.random() < 0.5, "null": None}[kind]

    def pattern(self, schema: Schema) -> str:
        return self.rng.choice(("always", "missing", "every_12h")) if "always" in schema["pattern"] else self.rng.choice(("named", "x-1"))

    def mapping(self, schema: Schema, path: tuple[str, ...]) -> dict[str, Any]:
        rng, known = self.rng, schema.get("properties", {})
        names = [name for name in known if name not in RARE or len(path) > 1 or rng.random() < 0.1]
        count = rng.choice((1, 1, 2, 3)) if len(path) < 2 or len(path) > 2 else rng.choice((1, 2, 3, 4, 6))
        chosen = {*rng.sample(names, min(count, len(names))), *schema.get("required", ())}
        found = {name: self.value(known[name], (*path, name)) for name in known if name in chosen}
        for pattern, rule in schema.get("patternProperties", {}).items():
            if pattern == "^x-":
                if rng.random() < 0.05:
                    found["x-own"] = rng.choice((1, "t", [None], {"a": {}}))
                continue
            keys = KEYS.get(".".join(path), ("k", "l", "m"))
            for key in rng.sample(keys, rng.randint(0, min(2, len(keys)))):
                found[key] = self.value(rule, (*path, "*"))
        return found

    def items(self, schema: Schema, path: tuple[str, ...]) -> list[Any]:
        found: list[Any] = []
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            item = self.value(schema["items"], (*path, "[]"))
            if not schema.get("uniqueItems") or item not in found:
                found.append(item)
        return found

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        rng = self.rng
        known = SCHEMA["properties"]
        for name in known:
            if name in RARE:
                if rng.random() < 0.03:
                    found[name] = self.value(known[name], (name,)) if name != "include" else ["other.yaml"]
            elif name != "services" and rng.random() < 0.5:
                found[name] = self.value(known[name], (name,))
        services = {name: self.value(known["services"]["patternProperties"]["^[a-zA-Z0-9._-]+$"], ("services", "*")) for name in ("web",)}
        for service in services.values():
            if rng.random() < 0.95 and "image" not in service and "build" not in service:
                service["image"] = "a"
        found["services"] = {**services, "db": {"image": "b"}, "built": {"build": {"context": "."}}}
        if rng.random() < 0.3:
            found["services"]["base"] = {"image": "c", "environment": ["A=1"], "expose": ["1"]}
        return found


Spot = tuple[tuple[str, ...], tuple[Any, ...]]


def spots(value: Any, schema: Schema = SCHEMA, path: tuple[str, ...] = (), own: tuple[Any, ...] = ()) -> Iterator[Spot]:
    """All places in a value: as pattern and as steps. What the schema names is a step of its own, keys of the user's are `*`."""
    yield path, own
    forms = [resolved(form) for form in resolved(schema).get("oneOf", [schema])]
    if isinstance(value, dict):
        form = next((form for form in forms if "object" in kinds(form)), {})
        free = [rule for pattern, rule in form.get("patternProperties", {}).items() if pattern != "^x-"]
        for key, child in value.items():
            named = form.get("properties", {}).get(key)
            yield from spots(child, named or (free[0] if free else {}), (*path, key if named or not free else "*"), (*own, key))
    elif isinstance(value, list):
        form = next((form for form in forms if "array" in kinds(form)), {})
        for index, child in enumerate(value):
            yield from spots(child, form.get("items", {}), (*path, "[]"), (*own, index))


def damaged(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A copy with one defect (which may be none: the oracle decides)."""
    found = copy.deepcopy(document)
    path, steps = rng.choice([spot for spot in spots(found) if spot[1]])
    owner: Any = found
    for step in steps[:-1]:
        owner = owner[step]
    value = owner[steps[-1]]
    maker = Maker(rng)
    move = rng.choice(("kind", "kind", "kind", "word", "drop", "key", "twice"))
    if move == "kind":
        owner[steps[-1]] = rng.choice(
            (None, True, 7, 0.5, -1, 70000, maker.text(path), [], {}, [maker.text((*path, "[]"))], {"k": "a"}, [1], [[]])
        )
    elif move == "word" and isinstance(value, str):
        good, bad = KINDS.get(kind_at(path), (PLAIN, ()))
        owner[steps[-1]] = rng.choice(bad or good)
    elif move == "drop" or move == "word":
        del owner[steps[-1]]
    elif move == "twice" and isinstance(owner, list):
        owner.append(copy.deepcopy(value))
    elif isinstance(value, dict):
        value["unknown"] = maker.text(path)
    elif isinstance(owner, dict):
        owner["unknown_key"] = owner.pop(steps[-1])
    return found


def make(seed: int, number: int) -> dict[str, Any]:
    """The document of this number."""
    rng = random.Random(f"{seed} {number}")
    document = Maker(rng).document()
    return damaged(document, rng) if number % 2 else document
