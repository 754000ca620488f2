"""Errors with their lines, build checks with their names."""

import pytest

from compose_lite.build.dockerfile import parse
from compose_lite.errors import BuildError


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("FROM a\nRUNN x\n", "line 2: unknown instruction: RUNN (did you mean RUN?)", 2),
        ("FROM a\nCOPY --unknown a b\n", "unknown flag: --unknown", 2),
        ("FROM a\nCOPY one\n", "COPY requires at least two arguments", 2),
        ("RUN true\n", "no build stage in current context", 1),
        ("FROM a\nRUN <<EOF\nx\n", "unterminated heredoc", 2),
        ("FROM a\nRUN --mount=type=cache,target=/c,sharing=open x\n", 'unsupported sharing value "open"', 2),
        ("FROM a\nHEALTHCHECK --interval=0.5us CMD true\n", "cannot be less than 1ms", 2),
        ("FROM a\nONBUILD FROM b\n", "FROM isn't allowed as an ONBUILD trigger", 2),
        ("FROM a\nSHELL /bin/sh\n", "SHELL requires the arguments to be in JSON form", 2),
    ],
)
def test_refused(text: str, says: str, line: int):
    with pytest.raises(BuildError) as caught:
        parse.parse(text.encode())
    assert says in caught.value.says and caught.value.place and caught.value.place.line == line


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("FROM a\nCMD echo hi\n", "JSONArgsRecommended", 2),
        ("FROM a AS Up\n", "StageNameCasing", 1),
        ("FROM a as lower\n", "FromAsCasing", 1),
        ("FROM a\nENV old form\n", "LegacyKeyValueFormat", 2),
        ('FROM a\nCMD ["a"]\nCMD ["b"]\n', "MultipleInstructionsDisallowed", 2),
        ("FROM a\nARG PASSWORD\n", "SecretsUsedInArgOrEnv", 2),
        ('FROM a\nrun true\nCMD ["a"]\n', "ConsistentInstructionCasing", 2),
        ("FROM a AS x\nFROM a AS x\n", "DuplicateStageName", 2),
        ("FROM a\nRUN true \\\n\n  && true\n", "NoEmptyContinuation", 4),
    ],
)
def test_checks(text: str, rule: str, line: int):
    found = parse.parse(text.encode())
    assert [(w.rule, w.span.first) for w in found.warnings] == [(rule, line)]
    assert not parse.parse(f"# check=skip={rule}\n{text}".encode()).warnings


def test_excerpt():
    found = parse.parse(b"FROM a\nLABEL a=b\nRUN x \\\n y\n")
    line = found.stages[0].instructions[1].line
    shown = parse.excerpt(found.source, "Dockerfile", line.span.first, line.span.last)
    assert "   3 | >>> RUN x" in shown and "   4 | >>>  y" in shown and shown.startswith("Dockerfile:3\n")
