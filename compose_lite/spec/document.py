"""YAML text -> values that know where they were written. Pure.

YAML as Compose files use it (YAML 1.2's core schema with go-yaml's rules for plain scalars: `yes` is a string, 0777 is
octal, 1_000 a number), merge keys, several documents, `!reset` and `!override`. Duplicate keys, keys that are no
strings, recursive and exploding aliases are refused. A mapping is a Map, a list a Seq; scalars are str, int, float,
bool, None or Timestamp. Each use of an alias gives values of its own, so later passes may change them in place.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any, Final

import yaml
from yaml.composer import Composer, ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from compose_lite.errors import Place, SpecError

if yaml.__with_libyaml__:
    from yaml.cyaml import CLoader as _Composer
else:  # a PyYAML built without libyaml: the same, ten times slower
    from yaml.loader import Loader as _Composer  # type: ignore[assignment]

_PLAIN: Final = "plain"
_STR: Final = "tag:yaml.org,2002:str"
_YAML: Final = "tag:yaml.org,2002:"
_MERGE: Final = "tag:yaml.org,2002:merge"

Path = tuple[str | int, ...]

LIMIT = 400_000
"""So many values a document may have before aliases are no longer followed (the smaller bound of go-yaml)."""


LARGEST = 32 << 20
"""Bytes that a file may have: no text of people's is that long, and reading takes ten times as much memory."""


class Map(dict[str, Any]):
    """A mapping of the file. marks: key -> (mark of the key, mark of the value); derived keys may have none."""

    __slots__ = ("marks",)

    def __init__(self, *args: Any, marks: dict[str, Any] | None = None) -> None:
        super().__init__(*args)
        self.marks: dict[str, Any] = {} if marks is None else marks

    def put(self, key: str, value: Any, source: Map | None = None, source_key: str | None = None) -> None:
        """Sets the key; its place is that of the source's key, when it has one."""
        self[key] = value
        mark = source.marks.get(key if source_key is None else source_key) if source is not None else None
        if mark is not None:
            self.marks[key] = mark


class Seq(list[Any]):
    """A list of the file. marks: one mark (or None) an item, as long as the list or shorter."""

    __slots__ = ("marks",)

    def __init__(self, items: Any = (), marks: list[Any] | None = None) -> None:
        super().__init__(items)
        self.marks: list[Any] = [] if marks is None else marks

    def mark(self, index: int) -> Any:
        return self.marks[index] if index < len(self.marks) else None

    def add(self, item: Any, mark: Any = None) -> None:
        self.marks.extend([None] * (len(self) - len(self.marks)))
        self.append(item)
        self.marks.append(mark)

    def join(self, other: list[Any]) -> None:
        """Appends the other list with its places."""
        self.marks.extend([None] * (len(self) - len(self.marks)))
        self.extend(other)
        self.marks.extend(other.marks if isinstance(other, Seq) else [])


class Timestamp(str):
    """An unquoted date or time: YAML makes it a value of its own kind, which no attribute takes."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A `!reset` or `!override`. place: of the key that it is the value of."""

    word: str
    place: Place

    def __str__(self) -> str:
        return f"{self.word} at {self.place}"


Replaced = Mapping[Path, Tag]
"""What `!reset` and `!override` of a document take out of what was there before."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document."""

    file: str
    value: Any
    replaced: Replaced = field(default_factory=dict)
    place: Place | None = None


class _Parser(_Composer):
    """libyaml's parser and composer; what a plain scalar means is decided later, by `_plain`."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _STR
        return ""

    def descend_resolver(self, node: Node, index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


class _Again(Composer, _Parser):
    """For files that define an anchor twice, which libyaml's composer refuses: an alias means the last one before it. Python, so slow."""

    def __init__(self, stream: Any) -> None:
        _Parser.__init__(self, stream)
        Composer.__init__(self)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


class _Named:
    """Bytes with a file name, so that marks carry it."""

    __slots__ = ("content", "name")

    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content = name, content

    def read(self, size: int = -1, /) -> bytes:
        part, self.content = self.content[:size], self.content[size:]
        return part


def parse(file: str, content: bytes) -> list[Document]:
    """The documents of a file. Raises SpecError with the place of what is wrong."""
    if len(content) > LARGEST:
        says = f"{file} is larger than {LARGEST >> 20} MiB: that is no Compose file"
        raise SpecError("file-too-large", says, place=Place(file), remedy="Put large texts into files of their own (configs, env_file).")
    if b"%YAML" in content:
        _check_version(file, content)
    documents: list[Document] = []
    node: Node | None = None
    tags = b"!reset" in content or b"!override" in content
    try:
        _bound_depth(file, content)
        for node in _composed(file, content):
            replaced: dict[Path, Tag] = {}
            if tags:
                node = _take_out(node, (), replaced, {}, node.start_mark)
            if node is None:
                continue
            start = node.start_mark
            place = Place(file, start.line + 1, start.column + 1)
            documents.append(Document(file, _Builder().value(node), replaced, place))
    except yaml.YAMLError as error:
        raise _syntax_error(file, content, error) from error
    except _Refused as refused:
        raise _refused_error(refused, node) from None
    except RecursionError:
        raise SpecError("yaml-syntax", "yaml: nested too deeply", place=Place(file)) from None
    return documents


def _composed(file: str, content: bytes) -> Iterator[Node]:
    """The documents' nodes."""
    given = 0
    try:
        for node in _nodes(_Parser(_Named(file, content))):
            yield node
            given += 1
    except ComposerError as error:
        if "duplicate anchor" not in str(error.context):
            raise
        yield from islice(_nodes(_Again(_Named(file, content))), given, None)


def _nodes(parser: Any) -> Iterator[Node]:
    while parser.check_node():
        yield parser.get_node()


DEPTH = 200
_STEPS = bytes.maketrans(b"[{]}", bytes((1, 1, 2, 2)))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_INDENTED = re.compile(rb"(?m)^[ \t?:-]{100}")


_OTHER_VERSION = re.compile(rb"(?m)^%YAML[ \t]+(?!1\.1\s)")


def _check_version(file: str, content: bytes) -> None:
    """go-yaml takes no document that says to be of another YAML than 1.1."""
    found = _OTHER_VERSION.search(content)
    if found:
        place = Place(file, content.count(b"\n", 0, found.start()) + 1, 1)
        remedy = "Take the %YAML line out: Compose files are read alike without it."
        raise SpecError("yaml-syntax", "yaml: found incompatible YAML document", place=place, remedy=remedy)


def _bound_depth(file: str, content: bytes) -> None:
    """Refuses nesting that the composer, recursive and in C, would not survive. Events alone cost no stack."""
    deepest = 0
    if content.count(b"[") + content.count(b"{") > DEPTH:
        brackets = content.translate(_STEPS, _NO_BRACKETS)
        deepest = max(accumulate(map((0, 1, -1).__getitem__, brackets)))
    if deepest <= DEPTH and not _INDENTED.search(content):
        return
    parser = _Parser(_Named(file, content))
    depth = 0
    while parser.check_event():
        event = parser.get_event()
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise SpecError("yaml-syntax", "yaml: nested too deeply", place=place_at(getattr(event, "start_mark", None)))


def _syntax_error(file: str, content: bytes, error: yaml.YAMLError) -> SpecError:
    mark = getattr(error, "problem_mark", None)
    place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
    problem = (getattr(error, "problem", None) or str(error)).partition("\n")[0]
    remedy = "Indent with spaces, not tabs." if "cannot start any token" in problem else None
    if problem.startswith("found undefined alias") and mark is not None:
        lines = content.decode("utf-8", "replace").splitlines()
        name = re.match(r"\*([^\s,\[\]{}]*)", lines[mark.line][mark.column :] if mark.line < len(lines) else "")
        problem = f"unknown anchor '{name[1] if name else ''}' referenced"
        remedy = "Define it with & before it is used."
    return SpecError("yaml-syntax", f"yaml: {problem}", place=place, remedy=remedy)


class _Refused(Exception):
    """Well-formed YAML that cannot be taken. where: the node to blame."""

    def __init__(self, node: Node, says: str, remedy: str | None = None) -> None:
        super().__init__(says)
        self.node, self.says, self.remedy = node, says, remedy


def _refused_error(refused: _Refused, root: Node | None) -> SpecError:
    mark = refused.node.start_mark
    path = _path_to(root, refused.node, set()) if root is not None else None
    says = refused.says.replace("{at}", f"in {dotted(path)}" if path else "at top level")
    place = Place(mark.name, mark.line + 1, mark.column + 1)
    return SpecError("yaml-content", f"yaml: {says}", place=place, remedy=refused.remedy)


def _path_to(at: Node, wanted: Node, seen: set[int]) -> Path | None:
    """The keys to a node (for a key: to its mapping), found only when there is something to complain about."""
    if at is wanted:
        return ()
    if isinstance(at, ScalarNode) or id(at) in seen:
        return None
    seen.add(id(at))
    for index, item in enumerate(at.value):
        key, child = item if isinstance(at, MappingNode) else (None, item)
        if key is wanted:
            return ()
        found = _path_to(child, wanted, seen)
        if found is not None:
            return (index if key is None else str(key.value), *found)
    return None


def dotted(path: Sequence[str | int]) -> str:
    """`services.web.ports[0]`"""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _take_out(node: Node, path: Path, replaced: dict[Path, Tag], within: dict[int, int], mark: Any) -> Node | None:
    """The node without its `!reset` parts; the paths of those and of `!override` parts are noted. `<<` is no step.

    within: ids of the nodes around this one; key 0 counts the visits. mark: of the node's key.
    """
    if node.tag in ("!reset", "!override"):
        replaced[path] = Tag(node.tag, Place(mark.name, mark.line + 1, mark.column + 1))
    if node.tag == "!reset":
        return None
    if node.tag == "!override":
        node.tag = _PLAIN if isinstance(node, ScalarNode) and node.style is None else _STR if isinstance(node, ScalarNode) else ""
        return node
    if isinstance(node, ScalarNode):
        return node
    if id(node) in within:
        raise _Refused(node, "cycle detected: an anchor contains itself")
    within[0] = within.get(0, 0) + len(node.value)
    if within[0] > LIMIT:
        raise _Refused(node, "document contains excessive aliasing")
    within[id(node)] = 1
    copy: Node
    if isinstance(node, SequenceNode):
        items = [_take_out(item, (*path, index), replaced, within, item.start_mark) for index, item in enumerate(node.value)]
        copy = SequenceNode(node.tag, [item for item in items if item is not None], node.start_mark, node.end_mark)
    else:
        pairs = [(key, _take_out(value, _step(path, key.value), replaced, within, key.start_mark)) for key, value in node.value]
        copy = MappingNode(node.tag, [(k, v) for k, v in pairs if v is not None], node.start_mark, node.end_mark)
    del within[id(node)]
    return copy


def _step(path: Path, key: Any) -> Path:
    return path if key == "<<" else (*path, str(key))


class _Builder:
    """Nodes -> values. Counts what aliases add, so that a small file cannot become a huge value."""

    def __init__(self) -> None:
        self.made = 0
        self.depth = 0
        self.seen: set[int] = set()
        self.open: set[int] = set()

    def value(self, node: Node) -> Any:
        if node.__class__ is ScalarNode:
            return _scalar(node)
        again = id(node) in self.seen
        if again:
            if id(node) in self.open:
                raise _Refused(node, "cycle detected: an anchor contains itself")
            self.depth += 1
        self.seen.add(id(node))
        self.open.add(id(node))
        found = self.mapping(node) if node.__class__ is MappingNode else self.sequence(node)
        self.open.discard(id(node))
        if again:
            self.depth -= 1
        return found

    def sequence(self, node: Node) -> Seq:
        self._bound(node)
        value = self.value
        items = [_scalar(item) if item.__class__ is ScalarNode else value(item) for item in node.value]
        return Seq(items, [item.start_mark for item in node.value])

    def mapping(self, node: Node) -> Map:
        self._bound(node)
        result = Map()
        marks = result.marks
        merges: list[tuple[Node, Node]] = []  # key and value
        value = self.value
        for key_node, value_node in node.value:
            key = key_node.value
            tag = key_node.tag
            if key_node.__class__ is not ScalarNode:
                raise _Refused(key_node, "non-string key {at}: a key has to be a string")
            if key == "<<" and tag in (_PLAIN, _MERGE):  # yq writes the tag
                if merges:
                    raise _duplicate(key_node, merges[0][0].start_mark)
                merges.append((key_node, value_node))
                continue
            if tag not in (_STR, _MERGE) and _scalar(key_node).__class__ is not str:
                raise _Refused(key_node, f"non-string key {{at}}: {key}", "Put it in quotes.")
            if key in marks:
                raise _duplicate(key_node, marks[key][0])
            marks[key] = (key_node.start_mark, value_node.start_mark)
            result[key] = _scalar(value_node) if value_node.__class__ is ScalarNode else value(value_node)
        for _, merge in merges:
            self._merge(result, merge)
        return result

    def _merge(self, result: Map, node: Node) -> None:
        """Merge key: what the mapping says itself wins, then earlier mappings of the list."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                raise _Refused(source, "map merge requires map or sequence of maps as the value")
            merged = self.value(source)
            for key, value in merged.items():
                if key not in result:
                    result.put(key, value, merged)

    def _bound(self, node: Node) -> None:
        self.made += len(node.value) + 1
        if self.depth and self.made > LIMIT:
            raise _Refused(node, "document contains excessive aliasing")


def _duplicate(node: Node, first: Any) -> _Refused:
    line = node.start_mark.line + 1
    says = f'line {line}: mapping key "{node.value}" already defined at line {first.line + 1}'
    return _Refused(node, says, "Keep one of them.")


def _scalar(node: Node) -> Any:
    tag = node.tag
    if tag == _STR:
        return node.value
    return _plain(node.value) if tag == _PLAIN else _tagged(node)


_WORDS: dict[str, Any] = {w: v for t, v in (("true", True), ("false", False), ("null", None)) for w in (t, t.capitalize(), t.upper())}
_WORDS |= {"~": None, "": None}
_WORDS |= {w: float("nan") for w in (".nan", ".NaN", ".NAN")}
_WORDS |= {s + w: float("inf") for w in (".inf", ".Inf", ".INF") for s in ("", "+")}
_WORDS |= {"-" + w: float("-inf") for w in (".inf", ".Inf", ".INF")}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"([-+]?)(?:(0[bB])([01]+)|(0[xX])([0-9a-fA-F]+)|(0[oO]?)([0-7]+)|(0|[1-9][0-9]*))")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:(?:[Tt]| +)\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d*)?(?:\s*(?:Z|[-+]\d{1,2}(?::?\d{2})?))?)?")


_MEMO: dict[str, Any] = {}


def _plain(text: str) -> Any:
    """What an unquoted scalar means; most are keys and words that come again and again."""
    found = _MEMO.get(text, _MEMO)
    if found is _MEMO:
        found = _resolve(text)
        if len(_MEMO) < 20_000:
            _MEMO[text] = found
    return found


def _resolve(text: str) -> Any:
    """go-yaml's resolve."""
    first = text[:1]
    if first in "tTfFnN~":  # "" too
        return _WORDS.get(text, text)
    if first not in "0123456789+-.":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if first.isdigit() and _DATE.fullmatch(text):
        return Timestamp(text)
    plain = text.replace("_", "")
    number = _INT.fullmatch(plain)
    if number:
        return _integer(number, text)
    if not _FLOAT.fullmatch(plain):
        return text
    value = float(plain)
    return text if value in (float("inf"), float("-inf")) else value  # out of range: no number for Go


def _integer(number: re.Match[str], text: str) -> Any:
    sign, _, binary, _, hexa, _, octal, decimal = number.groups()
    if binary:
        value = int(binary, 2)
    elif hexa:
        value = int(hexa, 16)
    elif octal:
        value = int(octal, 8)
    else:
        if len(decimal) > 20:  # more than any 64-bit integer has
            return float(text)
        value = int(decimal)
    value = -value if sign == "-" else value
    return value if -(2**63) <= value < 2**64 else float(value)


def _tagged(node: Node) -> Any:
    """A scalar with an explicit tag: `!!str 1`, `!!int "1"`."""
    tag, text = node.tag, node.value
    if not tag.startswith(_YAML):
        found = _plain(text) if getattr(node, "style", None) is None else text
        return found if not isinstance(found, str) else text
    wanted = tag[len(_YAML) :]
    found = _plain(text)
    kinds: dict[str, Any] = {"int": int, "bool": bool, "null": type(None), "timestamp": Timestamp}
    if wanted == "float" and isinstance(found, int | float) and not isinstance(found, bool):
        return float(found)
    if wanted in kinds and type(found) is kinds[wanted]:
        return found
    if wanted == "str":
        return text
    if wanted == "binary":
        try:
            return base64.b64decode(text).decode("utf-8", "replace")
        except ValueError:
            raise _Refused(node, f"{text[:40]!r} is no base64") from None
    raise _Refused(node, f"cannot decode {text!r} as a !!{wanted}")


def place_of(tree: Any, path: Path) -> Place | None:
    """The place of the value at the path, else that of the nearest value around it; None when there is no such path."""
    mark: Any = None
    at = tree
    for step in path:
        if isinstance(at, Map) and isinstance(step, str) and step in at:
            pair = at.marks.get(step)
            mark = pair[1] if pair is not None else mark
            at = at[step]
        elif isinstance(at, Seq):
            index = step if isinstance(step, int) else _index_of(at, step)
            if index is None or not 0 <= index < len(at):
                return None
            mark = at.mark(index) or mark
            at = at[index] if isinstance(step, int) else None
        elif at is not None and not isinstance(at, dict | list):
            break  # a short form: its parts are where it is
        else:
            return None
    return place_at(mark)


def key_place(container: Any, key: str) -> Place | None:
    """Where the key itself is written."""
    pair = container.marks.get(key) if isinstance(container, Map) else None
    return place_at(pair[0]) if pair is not None else None


def place_at(mark: Any) -> Place | None:
    return Place(mark.name, mark.line + 1, mark.column + 1) if mark is not None else None


def _index_of(items: Seq, key: str) -> int | None:
    """The last entry `key`, `key=...` or `key:...` of a list that stands for a mapping."""
    for index in range(len(items) - 1, -1, -1):
        entry = items[index]
        if isinstance(entry, str) and (entry == key or entry.startswith((f"{key}=", f"{key}:"))):
            return index
    return None


def clone(value: Any) -> Any:
    """A copy that can be changed without touching the original; marks are shared."""
    if isinstance(value, Map):
        return Map({key: clone(item) for key, item in value.items()}, marks=dict(value.marks))
    if isinstance(value, Seq):
        return Seq([clone(item) for item in value], list(value.marks))
    return value


def take_out(tree: Any, paths: Iterable[Path]) -> None:
    """Removes what `!reset` and `!override` name, in place. Entries of lists cannot be named."""
    for path in paths:
        at = tree
        for step in path[:-1]:
            at = at.get(str(step)) if isinstance(at, Map) else None
        if isinstance(at, Map) and path:
            at.pop(str(path[-1]), None)
