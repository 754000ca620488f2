"""What is written reads back as the same, for us and for readers of YAML 1.1."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.spec.document import parse
from compose_lite.spec.yamltext import yaml_text

ODD = ["yes", "1e3", "0o17", "0x1F", "80:22", "1m30s", "2024-01-01", "~", "a: b", "a #b", "- a", " a", "a\n", "\n", "x\n\ny\n\n", "=", "<<"]
TEXTS = st.text() | st.sampled_from(ODD)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


class Eleven(yaml.SafeLoader):
    """Plain `=` and `<<` as values are strings, as go-yaml reads them: the reference writes them so."""


Eleven.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)
Eleven.add_constructor("tag:yaml.org,2002:merge", lambda _, node: node.value)


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
def test_reads_back(value: dict[str, Any]) -> None:
    text = yaml_text(value)
    clean = text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore") == text
    assert not clean or yaml.load(text, Eleven) == value
    assert not clean or [d.value for d in parse("f", text.encode())] == [value]


def test_layout() -> None:
    value = {"a": {"b": ["x", {"c": 1, "d": []}, ["y"]], "e": {}, "f": "l1\nl2\n", "g": "l1\nl2"}}
    wanted = 'a:\n  b:\n    - x\n    - c: 1\n      d: []\n    - - "y"\n  e: {}\n  f: |\n    l1\n    l2\n  g: |-\n    l1\n    l2\n'
    assert yaml_text(value) == wanted
