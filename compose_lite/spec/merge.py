"""How a later file (or an extending service) changes what is there: by path. Pure, but in place: the base is used up.

Mappings merge key by key, lists append, scalars are replaced; the fields of the models say the exceptions (spec: 13-merge)
and which lists hold an entry once a key: a later entry takes the place of the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_lite.errors import SpecError
from compose_lite.spec.attributes import rules
from compose_lite.spec.document import Map, Path, Seq, place_at
from compose_lite.spec.models.values import go_text
from compose_lite.spec.patterns import Branch, compile_patterns
from compose_lite.spec.shortforms import parse_volume


class _Conflict(Exception):
    """Two files give a value of different kinds; path collected on the way up."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says
        self.path: list[str] = []
        self.mark: Any = None


def merge(base: Map, over: Map) -> Map:
    """The base changed by the other document. Raises SpecError where a mapping meets a list."""
    return _checked(base, over, _RULES, ())


def extend_service(base: Map, over: Map, name: str) -> Map:
    """A base service changed by the service that extends it: the same rules, below `services`."""
    branch = _RULES.keys["services"].any
    assert branch is not None
    return _checked(base, over, branch, ("services", name))


def _checked(base: Map, over: Map, rules: Branch, path: Path) -> Map:
    try:
        return _merge_maps(base, over, rules)
    except _Conflict as conflict:
        dotted = ".".join([*map(str, path), *reversed(conflict.path)])
        says = f"cannot override {dotted}: {conflict.says}"
        raise SpecError("merge-conflict", says, place=place_at(conflict.mark), remedy="Give it the same form in both places.") from None


def _merge_maps(base: Map, over: Map, rules: Branch | None) -> Map:
    for key, value in over.items():
        if key not in base:
            base.put(key, value, over)
            continue
        branch = rules.step(key) if rules is not None else None
        try:
            merged = _merge(base[key], value, branch)
        except _Conflict as conflict:
            conflict.path.append(key)
            if conflict.mark is None and key in over.marks:
                conflict.mark = over.marks[key][1]
            raise
        if merged is value:
            base.put(key, merged, over)
        else:
            base[key] = merged
    return base


def _merge(base: Any, over: Any, rules: Branch | None) -> Any:
    if rules is not None and rules.rule is not None:
        return rules.rule(base, over, rules)
    if over is None:
        return base
    if isinstance(base, Map):
        if not isinstance(over, Map):
            raise _Conflict(f"a mapping there, {_kind(over)} here")
        return _merge_maps(base, over, rules)
    if isinstance(base, Seq):
        if not isinstance(over, Seq):
            raise _Conflict(f"a list there, {_kind(over)} here")
        base.join(over)
        return base
    return over


def _kind(value: Any) -> str:
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a single value"


def replace(base: Any, over: Any, below: Branch) -> Any:
    return over


def append(base: Any, over: Any, below: Branch) -> Any:
    """Both as lists (a mapping as sorted `K=V`), one after the other."""
    first = as_list(base)
    first.join(as_list(over))
    return first


def append_new(base: Any, over: Any, below: Branch) -> Any:
    """As append, without what is there already."""
    first, second = as_list(base), as_list(over)
    for index, item in enumerate(second):
        if item not in first:
            first.add(item, second.mark(index))
    return first


def merge_build(base: Any, over: Any, below: Branch) -> Any:
    return _merge_maps(_as_context(base), _as_context(over), below)


def _as_context(value: Any) -> Map:
    if isinstance(value, Map):
        return value
    return Map({"context": value}) if isinstance(value, str) else Map()


def merge_keys(base: Any, over: Any, below: Branch) -> Any:
    """networks, models: a list of names is a mapping to null."""
    return _merge_maps(as_map(base), as_map(over), below)


def merge_dependencies(base: Any, over: Any, below: Branch) -> Any:
    def default() -> Map:
        return Map({"condition": "service_started", "required": True})

    return _merge_maps(as_map(base, default), as_map(over, default), below)


def merge_logging(base: Any, over: Any, below: Branch) -> Any:
    """Options merge only when both mean the same driver."""
    if not isinstance(base, Map) or not isinstance(over, Map):
        return over
    if base.get("driver") == over.get("driver") or "driver" not in base or "driver" not in over:
        return _merge_maps(base, over, below)
    return over


def merge_pools(base: Any, over: Any, below: Branch) -> Any:
    """ipam.config: pools of the same subnet merge, the others are added."""
    if not isinstance(base, Seq) or not isinstance(over, Seq):
        raise _Conflict("ipam.config has to be a list")
    found = Seq()
    for original, mark in zip(base, [*base.marks, *[None] * len(base)], strict=False):
        for index, other in enumerate(over):
            first, second = as_map(original), as_map(other)
            subnets = [pool.get("subnet") for pool in found]
            if first.get("subnet") != second.get("subnet") and second.get("subnet") not in subnets:
                found.add(second, over.mark(index))
                continue
            merged = _merge_maps(first, second, None)
            if merged.get("subnet") in subnets:
                found[subnets.index(merged.get("subnet"))] = merged
            else:
                found.add(merged, mark)
    return found


def as_list(value: Any) -> Seq:
    """A list as it is, a mapping as sorted `K=V` (`K` for null; once an item where the value is a list)."""
    if isinstance(value, Seq):
        return value
    if isinstance(value, str):
        return Seq([value])
    entries: list[tuple[str, Any]] = []
    if isinstance(value, Map):
        for key, item in value.items():
            mark = value.marks[key][1] if key in value.marks else None
            if item is None:
                entries.append((key, mark))
            elif isinstance(item, list):
                entries.extend((f"{key}={go_text(one)}", mark) for one in item)
            else:
                entries.append((f"{key}={go_text(item)}", mark))
        entries.sort(key=lambda entry: entry[0])
    return Seq([text for text, _ in entries], [mark for _, mark in entries])


def as_map(value: Any, default: Callable[[], Any] = lambda: None) -> Map:
    """A mapping as it is, a list of names as a mapping to the default."""
    if isinstance(value, Map):
        return value
    found = Map()
    if isinstance(value, Seq):
        for index, name in enumerate(value):
            if not isinstance(name, str):
                raise _Conflict("a list of names is needed")
            found[name] = default()
            if value.mark(index) is not None:
                found.marks[name] = (value.mark(index), value.mark(index))
    return found


WORDS: dict[str, Callable[[Any, Any, Branch], Any]] = {
    "append": append,
    "append_new": append_new,
    "build": merge_build,
    "dependencies": merge_dependencies,
    "keys": merge_keys,
    "logging": merge_logging,
    "pools": merge_pools,
    "replace": replace,
}
"""What the models' fields say under `merge`."""
RULES = {path: WORDS[word] for path, word in rules("merge").items()}
_RULES = compile_patterns(RULES)


class _NoKey(Exception):
    """An entry of a unique list that has no key."""


def _by_name(entry: Any) -> Any:
    if not isinstance(entry, str):
        raise _NoKey(f"unexpected type: {_kind(entry)}, wanted a string")
    return entry.partition("=")[0]


def _by_mount_target(entry: Any) -> Any:
    if isinstance(entry, Map):
        if not isinstance(entry.get("target"), str):
            raise _NoKey("service volume is missing a mount target")
        return entry["target"]
    if isinstance(entry, str):
        try:
            return parse_volume(entry)["target"]
        except ValueError as problem:
            raise _NoKey(str(problem)) from None
    return ""


def _by_device_target(entry: Any) -> Any:
    if isinstance(entry, Map):
        if not isinstance(entry.get("target"), str):
            raise _NoKey("service device is missing a mount target")
        return entry["target"]
    parts = entry.split(":") if isinstance(entry, str) else [""]
    return parts[0] if len(parts) == 1 else parts[1]


def _by_port(entry: Any) -> Any:
    if isinstance(entry, Map):
        if "target" not in entry:
            raise _NoKey("service ports entry is missing a target port")
        target, published = entry["target"], entry.get("published")
        return (entry.get("host_ip", "0.0.0.0"), go_text(published), go_text(target), entry.get("protocol", "tcp"))
    return go_text(entry)


def _by_path(entry: Any) -> Any:
    if isinstance(entry, Map):
        if not isinstance(entry.get("path"), str):
            raise _NoKey("environment path attribute is missing")
        return entry["path"]
    return entry


def _by_number(entry: Any) -> Any:
    if isinstance(entry, str | int) and not isinstance(entry, bool):
        return str(entry)
    raise _NoKey(f"unsupported expose value {entry}")


def _by_file_target(folder: str) -> Callable[[Any], Any]:
    def key(entry: Any) -> Any:
        if isinstance(entry, Map):
            return go_text(entry["target"]) if "target" in entry else f"{folder}/{go_text(entry.get('source'))}"
        if isinstance(entry, str):
            return f"{folder}/{entry}"
        raise _NoKey(f"unexpected value {entry}")

    return key


KEYS: dict[str, Callable[[Any], Any]] = {
    "config": _by_file_target(""),
    "device": _by_device_target,
    "mount": _by_mount_target,
    "name": _by_name,
    "number": _by_number,
    "path": _by_path,
    "port": _by_port,
    "secret": _by_file_target("/run/secrets"),
}
"""What they say under `once`."""
UNIQUE = {path: KEYS[word] for path, word in rules("once").items()}
_UNIQUE = compile_patterns(UNIQUE)


def keep_last(tree: Map) -> None:
    """Leaves one entry a key in the lists of UNIQUE, in place: the last one, at the first one's position."""
    _keep_last(tree, _UNIQUE, (), False)


def drop_repeated(tree: Map) -> None:
    """The cheap part of it, before long forms are made: entries of those lists that are written twice."""
    _keep_last(tree, _UNIQUE, (), True)


def _keep_last(tree: Map, rules: Branch, path: Path, exact: bool) -> None:
    """Walks whichever is smaller, the mapping or the rules: most keys have none."""
    keys = tree if rules.any is not None else [key for key in rules.keys if key in tree]
    for key in keys:
        branch = rules.step(key)
        value = tree[key]
        if branch is None:
            continue
        if isinstance(value, Map):
            _keep_last(value, branch, (*path, key), exact)
        elif isinstance(value, Seq) and branch.rule is not None and len(value) > (1 if exact else 0):
            tree[key] = _once(value, repr if exact else branch.rule, (*path, key))


def _once(items: Seq, key_of: Callable[[Any], Any], path: Path) -> Seq:
    positions: dict[Any, int] = {}
    found = Seq()
    for index, entry in enumerate(items):
        try:
            key = key_of(entry)
        except _NoKey as problem:
            dotted = f"{'.'.join(map(str, path))}[{index}]"
            raise SpecError("entry-form", f"{dotted}: {problem}", place=place_at(items.mark(index))) from None
        if key in positions:
            found[positions[key]] = entry
            found.marks[positions[key]] = items.mark(index)
        else:
            positions[key] = len(found)
            found.add(entry, items.mark(index))
    return items if len(found) == len(items) else found
