"""YAML as Compose files use it: scalars, places, tags, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.errors import SpecError
from compose_lite.spec.document import Map, Timestamp, parse, place_of, take_out


def value(text: str) -> Any:
    (document,) = parse("f.yaml", text.encode())
    return document.value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("yes", "yes"), ("on", "on"), ("true", True), ("FALSE", False), ("~", None), ("", None), ("null", None),
        ("12", 12), ("-12", -12), ("+12", 12), ("0777", 511), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("1_000", 1000),
        ("08", 8.0), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("1.2.3", "1.2.3"), ("80:22", "80:22"), ("0.1", 0.1),
        ("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"), ('!!int "3"', 3), ("!!float 3", 3.0), ("a: b", Map({"a": "b"})),
        ("99999999999999999999", 99999999999999999999.0), ("!own text", "text"),
    ],
)  # fmt: skip
def test_scalars_mean_what_go_yaml_takes_them_for(text: str, meaning: Any) -> None:
    found = value(f"key: {text}" if ": " not in text else f"key: {{{text}}}")["key"]
    assert found == meaning
    assert type(found) is type(meaning)


def test_a_date_is_no_string() -> None:
    assert isinstance(value("a: 2024-01-02")["a"], Timestamp)
    assert not isinstance(value("a: '2024-01-02'")["a"], Timestamp)


def test_merge_keys_lose_against_what_is_written() -> None:
    found = value("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 9}\n")
    assert found["z"] == {"a": 9, "b": 1, "c": 2}


@pytest.mark.parametrize("key", ["!!merge <<", '!!merge "<<"'])
def test_a_merge_key_may_say_so_as_yq_writes_it(key: str) -> None:
    assert value(f"x: &x {{a: 1}}\nz: {{{key}: *x, b: 2}}\n")["z"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("key", ["!!str 1", "!own a", '! "a"'])
def test_keys_with_tags_are_strings(key: str) -> None:
    assert value(f"{{{key}: 2}}") == {key.split()[1].strip('"'): 2}


def test_an_alias_means_the_last_anchor_before_it() -> None:
    found = value("a: &x {k: &y 1}\nb: *x\nc: &x [&y 2]\nd: [*x, *y]\n")
    assert found == {"a": {"k": 1}, "b": {"k": 1}, "c": [2], "d": [[2], 2]}
    assert [d.value for d in parse("f", b"a: &x 1\n---\nb: &x 2\nc: &x 3\nd: *x")] == [{"a": 1}, {"b": 2, "c": 3, "d": 3}]
    assert str(place_of(value("a: &x 1\nb: &x {c: 2}\n"), ("b", "c"))) == "f.yaml:2:11"


def test_each_alias_is_a_value_of_its_own() -> None:
    found = value("a: &a {k: [1]}\nb: *a\n")
    found["b"]["k"].append(2)
    assert found["a"]["k"] == [1]


def test_every_value_knows_its_place() -> None:
    tree = value("services:\n  web:\n    ports:\n      - '80'\n      -   target: 1\n    environment: [A=1, B]\n")
    assert str(place_of(tree, ("services", "web", "ports", 1, "target"))) == "f.yaml:5:19"
    assert str(place_of(tree, ("services", "web", "ports", 0))) == "f.yaml:4:9"
    assert str(place_of(tree, ("services", "web", "environment", "B"))) == "f.yaml:6:24"
    assert str(place_of(tree, ("services", "web", "ports", 0, "target"))) == "f.yaml:4:9"
    assert place_of(tree, ("services", "db")) is None


def test_reset_and_override_are_noted_and_taken_out() -> None:
    (document,) = parse("f.yaml", b"a: {b: !reset null, c: !override [1], d: 2, e: [!reset x, y]}")
    assert document.value == {"a": {"c": [1], "d": 2, "e": ["y"]}}
    base = value("a: {b: 1, c: [0], d: 1}")
    take_out(base, document.replaced)
    assert base == {"a": {"d": 1}}


def test_several_documents() -> None:
    assert [d.value for d in parse("f", b"a: 1\n---\n---\nb: 2\n")] == [{"a": 1}, None, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: yaml: line 3: mapping key "a" already defined at line 1'),
        ("a: {b: {1: x}}", "f.yaml:1:9: yaml: non-string key in a.b: 1"),
        ("a: *nope", "unknown anchor 'nope' referenced"),
        ("a: &x 1\nb: &x 2\nc: *nope", "unknown anchor 'nope' referenced"),
        ("a: {!!int 1: x}", "f.yaml:1:5: yaml: non-string key in a: 1"),
        ("a: &a [*a]", "contains itself"),
        ("a: {<<: 3}", "map merge requires map or sequence of maps"),
        ("a:\n\tb: 1", "f.yaml:2:1: yaml: found character that cannot start any token"),
        ("a: 'x", "found unexpected end of stream"),
        ("a: !!int x", "cannot decode 'x' as a !!int"),
        ("a: " + "[" * 100_000, "nest"),  # libyaml 0.2.6 and newer has words of its own
        ("a:" + "\n" + "".join("  " * n + "- a:\n" for n in range(1, 600)), "nested too deeply"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse("f.yaml", text.encode())
    assert words in str(caught.value)


@pytest.mark.parametrize("tail", ["", "z: !reset null"])
def test_exploding_aliases_are_refused_soon(tail: str) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(SpecError, match="excessive aliasing"):
        parse("f.yaml", "\n".join([*lines, tail]).encode())


def test_a_second_merge_key_is_told_with_the_first_ones_line() -> None:
    text = b"a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n"
    with pytest.raises(SpecError, match='line 5: mapping key "<<" already defined at line 4'):
        parse("f", text)
