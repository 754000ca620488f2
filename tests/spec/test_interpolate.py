"""Variables in values: the grammar, the operators, casts by path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.errors import SpecError
from compose_lite.spec.document import parse
from compose_lite.spec.interpolate import CASTS, InvalidTemplate, MissingVariable, interpolate, substitute, variables
from compose_lite.spec.merge import RULES, UNIQUE
from compose_lite.spec.patterns import ANY

ENVIRON = {"SET": "value", "EMPTY": "", "N": "3"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"), ("$SET", "value"), ("${SET}", "value"), ("a${SET}b$SET.c", "avaluebvalue.c"), ("$$SET", "$SET"),
        ("$", "$"), ("a$", "a$"), ("$5", "$5"), ("$-x", "$-x"), ("${NO}", ""), ("$NO-x", "-x"),
        ("${NO:-d}", "d"), ("${EMPTY:-d}", "d"), ("${SET:-d}", "value"), ("${NO-d}", "d"), ("${EMPTY-d}", ""),
        ("${NO:+a}", ""), ("${EMPTY:+a}", ""), ("${SET:+a}", "a"), ("${EMPTY+a}", "a"), ("${NO+a}", ""),
        ("${SET:?m}", "value"), ("${EMPTY?m}", ""), ("${NO:-${SET}}", "value"), ("${NO:-${ALSO:-x}}-y", "x-y"),
        ("${NO:-{a}}", "{a}"), ("${NO:-a:b?c}", "a:b?c"), ("${NO:-$$x}", "$x"), ("${NO:-}", ""),
    ],
)  # fmt: skip
def test_expressions(text: str, wanted: str) -> None:
    assert substitute(text, ENVIRON.get) == wanted


@pytest.mark.parametrize("text", ["${", "${}", "${1a}", "${A", "${A:b}", "${A!b}", "${A:-x\ny}", "${ A}"])
def test_no_expressions(text: str) -> None:
    with pytest.raises(InvalidTemplate):
        substitute(text, ENVIRON.get)


@pytest.mark.parametrize("text", ["${NO?why}", "${NO:?why}", "${EMPTY:?why}", "${NO:-${NO?why}}", "${SET:+${NO?why}}"])
def test_required(text: str) -> None:
    with pytest.raises(MissingVariable, match="missing a value: why"):
        substitute(text, ENVIRON.get)


@pytest.mark.parametrize(
    ("text", "wanted"), [("${SET:-${NO?why}}", "value"), ("${SET?${NO?why}}", "value"), ("${NO:+${NO?why}}", ""), ("${SET:-${}}", "value")]
)
def test_a_word_that_is_not_used_is_not_looked_at(text: str, wanted: str) -> None:
    assert substitute(text, ENVIRON.get) == wanted


def test_an_unset_variable_is_told_once_it_is_used() -> None:
    heard: list[str] = []
    substitute("$NO ${SET:-$ALSO}", ENVIRON.get, heard.append)
    assert heard == ['The "NO" variable is not set. Defaulting to a blank string.']


@given(st.text())
def test_doubled_dollars_give_the_text_back(text: str) -> None:
    assert substitute(text.replace("$", "$$"), ENVIRON.get) == text


@given(st.text(alphabet="${}:-+?AN1 \n"))
def test_any_text_is_replaced_or_refused(text: str) -> None:
    try:
        substitute(text, ENVIRON.get)
    except (InvalidTemplate, MissingVariable):
        pass
    list(variables(text))


def test_strings_become_what_their_attribute_takes() -> None:
    text = "services: {a: {privileged: '${P:-true}', scale: '${N}', ports: [{target: '${N}'}], ulimits: {nofile: '${N}'}, cpus: '0.1'}}"
    (document,) = parse("f.yaml", text.encode())
    interpolate(document.value, ENVIRON.get)
    wanted = {"privileged": True, "scale": 3, "ports": [{"target": 3}], "ulimits": {"nofile": 3}, "cpus": 0.1}
    assert document.value["services"]["a"] == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {a: {image: '${'}}", "f.yaml:1:23: invalid interpolation format for services.a.image"),
        ("services: {a: {command: [x, '${NO?why}']}}", "f.yaml:1:29: error while interpolating services.a.command[1]: required"),
        ("services: {a: {init: perhaps}}", "services.a.init: failed to cast to expected type: invalid boolean: perhaps"),
    ],
)
def test_errors_have_path_and_place(text: str, words: str) -> None:
    (document,) = parse("f.yaml", text.encode())
    with pytest.raises(SpecError) as caught:
        interpolate(document.value, ENVIRON.get)
    assert words in str(caught.value)


@pytest.mark.parametrize("table", [CASTS, RULES, UNIQUE])
def test_no_two_patterns_tie(table: dict[tuple[str, ...], object]) -> None:
    """A key must not be met both by its own name and by ANY: which rule holds would be an accident."""
    for one in table:
        for other in table:
            alike = len(one) == len(other) and all(a == b or ANY in (a, b) for a, b in zip(one, other, strict=True))
            assert one == other or not alike
