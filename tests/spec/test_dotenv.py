"""The grammar of .env files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite.spec.dotenv import DotenvError, parse, parse_raw


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("\ufeff# c\r\nA=1\r\n\r\nB: two # c\r\n", {"A": "1", "B": "two"}),
        ("export A=1\nexport\tB=2", {"A": "1", "B": "2"}),
        ("  A = x y \n", {"A": "x y"}),
        ("A=a#b\nB=a #b\nC=#x\n", {"A": "a#b", "B": "a", "C": "#x"}),
        ("A=\nB=1", {"A": "", "B": "1"}),
        ('A="x" # c\nB=2', {"A": "x", "B": "2"}),
        ("A='x\ny' B=2", {"A": "x\ny", "B": "2"}),
        (r"A='a\'b\n'", {"A": r"a'b\n"}),
        (r'A="a\nb\t\"\\ \$HOME \c"', {"A": 'a\nb\t"\\ $HOME \\c'}),
        (r'A="\0101\012"', {"A": "A\\12"}),
        ("A=1\nB=$A-${C:-c}\nD='$A'\nE=\"$A$$\"", {"A": "1", "B": "1-c", "D": "$A", "E": "1$"}),
        ("OUTER\nNOWHERE\nA=$OUTER", {"OUTER": "o", "A": "o"}),
        ("OUTER=own\nA=$OUTER", {"OUTER": "own", "A": "o"}),
        ("A.b-c[0]=1", {"A.b-c[0]": "1"}),
    ],
)
def test_values(text: str, wanted: dict[str, str]) -> None:
    assert parse(text, {"OUTER": "o"}.get) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1\n!B=2", 'line 2: unexpected character "!" in variable name "!B=2"'),
        ("A B=1", "line 1: key cannot contain a space"),
        ('A=1\n\nB="x\ny', 'line 3: unterminated quoted value "x'),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(DotenvError) as caught:
        parse(text, {}.get)
    assert words in str(caught.value)


@given(st.text().filter(lambda t: "'" not in t and not t.endswith("\\") and "\\\\" not in t))
def test_single_quotes_keep_everything(text: str) -> None:
    assert parse(f"A='{text}'\nB=1\n", {}.get) == {"A": text, "B": "1"}


@given(st.text(alphabet="AB=:'\"\\$#{} \n\r"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, {}.get)
    except ValueError:
        pass


def test_raw_takes_values_as_they_are() -> None:
    assert parse_raw("A='x' # c \n# c\n\nB=$A\nOUTER\nNO\n", {"OUTER": "o"}.get) == {"A": "'x' # c ", "B": "$A", "OUTER": "o"}
    with pytest.raises(DotenvError, match="line 1: variable 'A B' contains whitespaces"):
        parse_raw("A B=1", {}.get)
